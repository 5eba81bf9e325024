"""Which databases make up a fleet: patterns, lists and names of D1 databases, each once."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import BadInput
from runbook.targets.d1.options import D1_PREFIX

_COMPANIONS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Entry:
    """A database of the fleet.

    `name` is as it was listed, `database` its whole path or `d1:NAME`; `problem` says why it
    cannot be migrated, "" where nothing is known against it.
    """

    name: str
    database: str
    problem: str = ""


def list_databases(names: Iterable[str], lists: Iterable[Path] = ()) -> tuple[Entry, ...]:
    """The databases that are named, in that order.

    A second entry for a file, also by another path or through a link, is named as a problem, and
    so is a path where there is nothing.

    Args:
        names: paths, patterns such as `tenants/*.db`, or `d1:NAME`.
        lists: files of such names, one a line; `#` begins a comment, and a path is relative to the
            list's folder.

    Raises:
        BadInput: a pattern fits nothing, a list cannot be read, or nothing is named at all.
    """
    listed = [(name, name) for text in names for name in _expand(text)]
    for path in lists:
        listed += _read_list(path)
    if not listed:
        raise BadInput("No database is named; pass --databases with a pattern, or --list.")
    return tuple(_entries(listed))


def read_names(path: Path) -> frozenset[str]:
    """The databases that a list names, each as the fleet knows it (see `Entry.database`).

    Raises:
        BadInput: the list cannot be read.
    """
    return frozenset(_whole(place) for _, place in _read_list(path))


def _expand(text: str) -> Sequence[str]:
    if text.startswith(D1_PREFIX) or not glob.has_magic(text) or os.path.lexists(text):
        return (text,)
    matches = sorted(
        path
        for path in glob.glob(text, recursive=True)  # noqa: PTH207 (Path.glob takes no whole path)
        if not path.endswith(_COMPANIONS) and not Path(path).is_dir()
    )
    if not matches:
        raise BadInput(f"The pattern {text} fits no file; check --databases.")
    return matches


def _read_list(path: Path) -> list[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors may put a mark before it
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The list {path} cannot be read ({error}); check the path.") from error
    if "\0" in text:
        raise BadInput(f"The list {path} holds a NUL character, which no path can; correct it.")
    names = [line.strip() for line in text.split("\n")]  # of the line ends, paths may hold others
    wanted = [name for name in names if name and not name.startswith("#")]
    return [(n, n if n.startswith(D1_PREFIX) else str(path.parent / n)) for n in wanted]


def _whole(place: str) -> str:
    # Unlike Path.resolve, this leaves a link that leads in a circle to whoever opens it.
    return place if place.startswith(D1_PREFIX) else os.path.realpath(place)


def _entries(listed: Iterable[tuple[str, str]]) -> Iterator[Entry]:
    earlier: dict[object, str] = {}
    for name, place in listed:
        database, identity, problem = _whole(place), object(), ""
        if place.startswith(D1_PREFIX):
            identity = place
        else:
            try:
                status = Path(place).stat()
                identity = (status.st_dev, status.st_ino)
            except OSError as error:
                identity, problem = database, f"{place} cannot be read ({error.strerror})."
        if identity in earlier:
            problem = f"It is the same database as {earlier[identity]}; list it once."
        if (escaped := _escaped(database)) != database:
            database = escaped
            problem = f"The path {escaped} is not UTF-8, which fleet.db needs; rename the file."
        earlier.setdefault(identity, name)
        yield Entry(_escaped(name), database, problem)


def _escaped(path: str) -> str:
    """The path, with bytes that are no UTF-8 written as escapes."""
    return path.encode("utf-8", "backslashreplace").decode()
