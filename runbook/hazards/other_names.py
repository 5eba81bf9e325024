"""Hazards of a database file that has more than one name.

SQLite looks for a journal beside the name by which a file is opened. A file with two names (hard
links, or a link that an older SQLite did not follow) can have a half transaction undone under one
of them only: whoever opens it by the other reads, and migrates, half a transaction.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runbook.hazards.remedy import word
from runbook.hazards.sighting import Sighting
from runbook.sqlite.connect import JOURNAL_MAGIC, side_file

JOURNAL = "journal_of_another_name"
LINKS = "several_names"


@dataclass(frozen=True)
class OtherName:
    """Another name of a file; a symbolic one leads to it, a hard one is as good as the first."""

    path: Path
    symbolic: bool


def probe_other_names(path: Path) -> Iterator[Sighting]:
    """Journals and logs beside other names of the file at `path`, and that it has such names.

    Nothing is opened by means of SQLite, so this may run before anything else does. `path` is the
    path as the operator wrote it: links on the way are names of the file, too.
    """
    place = path.resolve()
    if not place.exists():
        return
    others = tuple(other_names(path))
    for other in others:
        yield from _side_files(place, other)
    links = place.stat().st_nlink
    if links > 1:
        yield _several(place, links, [o.path for o in others if not o.symbolic])


def other_names(path: Path) -> Iterator[OtherName]:
    """Names of the file besides its own, as far as the given path and the folder show them."""
    place = path.resolve()
    status = place.stat()
    on_the_way = list(_links(path))
    yield from (OtherName(link, symbolic=True) for link in on_the_way)
    try:
        entries = sorted(os.scandir(place.parent), key=lambda entry: entry.name)
    except OSError:
        return  # a folder that may be entered and not listed
    for entry in entries:
        candidate = place.parent / entry.name
        if candidate == place or candidate in on_the_way:
            continue
        if entry.is_symlink():
            if _leads_to(candidate, place):
                yield OtherName(candidate, symbolic=True)
        elif entry.inode() == status.st_ino and candidate.stat().st_dev == status.st_dev:
            yield OtherName(candidate, symbolic=False)


def _links(path: Path) -> Iterator[Path]:
    """The symbolic links from the given path to the file itself, without the file."""
    place, current = path.resolve(), Path(os.path.abspath(path))  # noqa: PTH100 (links stay)
    for _ in range(40):  # as many as the system follows
        if current != place:
            yield current
        if not current.is_symlink():
            return
        current = Path(os.path.abspath(current.parent / current.readlink()))  # noqa: PTH100


def _leads_to(link: Path, place: Path) -> bool:
    try:
        return link.resolve(strict=True) == place
    except (OSError, RuntimeError):
        return False  # it leads nowhere, or in a circle


def _side_files(place: Path, other: OtherName) -> Iterator[Sighting]:
    """What lies beside the other name and still has to be put back or written."""
    for suffix, statement in (
        ("-journal", "SELECT count(*) FROM sqlite_schema"),
        ("-wal", "PRAGMA wal_checkpoint(TRUNCATE)"),
    ):
        left = other.path.with_name(other.path.name + suffix)
        if not _pending(left, suffix) or _same_file(left, side_file(place, suffix)):
            continue
        remedy = f"sqlite3 {word(other.path)} '{statement}' # finishes it by that name"
        if other.symbolic:  # SQLite follows the link, and would look beside the file itself
            target = side_file(place, suffix)
            remedy = (
                f"mv -n {word(left)} {word(target)} && "
                f"sqlite3 {word(place)} '{statement}' # finishes it beside the file"
            )
        yield Sighting(
            JOURNAL,
            left.name,
            samples=(str(left),),
            detail=f"{other.path} is another name of {place}.",
            remedy=remedy,
        )


def _pending(side: Path, suffix: str) -> bool:
    """Whether the side file holds something; empty ones are left over from an orderly end."""
    try:
        if suffix == "-wal":
            return side.stat().st_size > 0
        with side.open("rb") as journal:
            return journal.read(len(JOURNAL_MAGIC)) == JOURNAL_MAGIC
    except OSError:
        return False


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _several(place: Path, links: int, names: list[Path]) -> Sighting:
    """The hazard of hard links, with their names where the folder shows them."""
    missing = links - 1 - len(names)
    steps = [f"rm {word(name)}" for name in names]
    if missing:
        mount = place.parent
        while not mount.is_mount():
            mount = mount.parent
        steps.append(
            f"find {word(mount)} -xdev -samefile {word(place)}"
            f" # lists the names; then rm all but {word(place)}"
        )
    else:
        steps[-1] += " # takes that name away, not the file"
    return Sighting(
        LINKS,
        str(place),
        links - 1,
        tuple(map(str, names)),
        "; ".join(steps),
        detail=f"It has {links} names (hard links)"
        + (f", {missing} of them outside {place.parent}." if missing else "."),
    )
