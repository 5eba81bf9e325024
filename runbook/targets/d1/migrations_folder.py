"""The application's folder of migrations, by wrangler's own rules: which files, in which order.

wrangler takes the files that `migrations_pattern` names (by default `*.sql` directly in the
folder), calls each by its path below the folder, and applies what its table does not name, in the
order of the leading numbers. Drizzle keeps a list of its own in `meta/_journal.json`.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from wcmatch import glob

from runbook.errors import Refused
from runbook.files import parse_json, write_durably
from runbook.sqlite.quoting import fold_name, same_name

JOURNAL = Path("meta") / "_journal.json"

_NUMBER = re.compile(r"\d+")
_CREATES = re.compile(
    r"\bCREATE\s+(?:UNIQUE\s+|VIRTUAL\s+)?(?:TABLE|INDEX|VIEW|TRIGGER)\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    r"(?:\"([^\"]+)\"|`([^`]+)`|\[([^\]]+)\]|(\w+))",
    re.IGNORECASE,
)
_ADDS = re.compile(
    r"\bALTER\s+TABLE\s+[\"`\[]?(\w+)[\"`\]]?\s+ADD\s+(?:COLUMN\s+)?[\"`\[]?(\w+)", re.IGNORECASE
)
_TIMESTAMP_DIGITS = 14


@dataclass(frozen=True)
class MigrationsFolder:
    """A folder of migrations; `pattern` names its files by their paths below it."""

    path: Path
    pattern: str = "*.sql"

    def names(self) -> tuple[str, ...]:
        """The migrations in the folder as wrangler names them, in its order."""
        if not self.path.is_dir():
            return ()
        paths = (p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.is_file())
        return tuple(sorted(filter(self._matches, paths), key=_order))

    def place_of(self, stem: str) -> str:
        """The name that a migration gets here: `NAME.sql`, or `NAME/migration.sql` in folders."""
        plain = f"{stem}.sql"
        if self._matches(plain):
            return plain
        *folders, last = PurePosixPath(self.pattern).parts
        nested = "/".join(["*" if "*" in f else f for f in folders]).replace("*", stem, 1)
        name = f"{nested}/{last if '*' not in last else plain}"
        return name if self._matches(name) else plain

    def free_name(self, migration: str, applied: Iterable[str] = ()) -> str:
        """The migration's name, with the next free number where its own sorts before a file.

        Args:
            migration: the plan's name.
            applied: what wrangler has noted as applied; its files may be gone.
        """
        number = _NUMBER.match(migration)
        rest = migration[number.end() :] if number else migration
        every = {*self.names(), *applied}
        # The very migration under another number, from an earlier call, is no other one.
        others = {n for n in every if _NUMBER.sub("", self._stem(n), count=1) != rest}
        numbers = [m[0] for m in map(_NUMBER.match, others) if m is not None]
        own = _order(self.place_of(migration))
        if number is None or not any(_order(other) > own for other in others) or not numbers:
            return migration
        highest = max(numbers, key=int)
        following = str(int(highest) + 1)
        if len(highest) == _TIMESTAMP_DIGITS:
            following = max(following, datetime.now(UTC).strftime("%Y%m%d%H%M%S"))
        return following.zfill(len(highest)) + rest

    def write(self, name: str, text: str) -> Path:
        """Writes a migration, and its entry in Drizzle's journal where there is one.

        Raises:
            Refused: a file of that name is there and holds something else.
        """
        path = self.path / name
        if path.exists() and path.read_bytes() != text.encode():
            raise Refused(
                f"The file {path} is not the one that would be applied; move it away; the "
                "database was not touched."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, text.encode())
        self._write_journal(name, present=True)
        return path

    def remove(self, name: str) -> None:
        """Takes a migration out of the folder again, and its entry out of Drizzle's journal."""
        path = self.path / name
        path.unlink(missing_ok=True)
        self._write_journal(name, present=False)
        if path.parent != self.path:
            with contextlib.suppress(OSError):  # something else is in it, or it is gone
                path.parent.rmdir()

    def _stem(self, name: str) -> str:
        return name.removesuffix(".sql").removesuffix("/migration")

    def _matches(self, name: str) -> bool:
        flags = glob.GLOBSTAR | glob.BRACE | glob.CASE | glob.FORCEUNIX
        return bool(glob.globmatch(name, self.pattern, flags=flags))

    def _write_journal(self, name: str, *, present: bool) -> None:
        """Drizzle's list of migrations; its time must rise from entry to entry."""
        path = self.path / JOURNAL
        if not path.is_file():
            return
        tag = self._stem(name)
        text = path.read_text(encoding="utf-8")
        try:
            journal: dict[str, Any] = parse_json(text)
            entries = [e for e in journal["entries"] if e["tag"] != tag]
            known = len(entries) < len(journal["entries"])
            if present == known:
                return
            if present:
                now = int(time.time() * 1000)
                entry = {
                    "idx": max((int(e["idx"]) for e in entries), default=-1) + 1,
                    "version": str(journal.get("version", "6")),
                    "when": max(now, *(int(e["when"]) + 1 for e in entries), 0),
                    "tag": tag,
                    "breakpoints": True,
                }
                entries.append(entry)
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(
                f"Drizzle's journal {path} cannot be read ({error}); put it right, or move it "
                "away; the database was not touched."
            ) from error
        written = json.dumps(journal | {"entries": entries}, indent=2, ensure_ascii=False)
        end = "\n" if text.endswith("\n") else ""
        write_durably(path, (written + end).encode())


def split_pending(
    folder: MigrationsFolder, pending: Sequence[str], replica: sqlite3.Connection
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of files that wrangler has not noted, those to be applied and those whose work is there.

    A file counts as applied by other means (`execute --file`) where all the tables, indexes, views,
    triggers and columns that it makes are there already, and it makes some.
    """
    names = {fold_name(str(name)) for (name,) in replica.execute("SELECT name FROM sqlite_schema")}
    there = {name for name in pending if _is_there(folder.path / name, names, replica)}
    return tuple(n for n in pending if n not in there), tuple(n for n in pending if n in there)


def _is_there(path: Path, names: Collection[str], replica: sqlite3.Connection) -> bool:
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    text = re.sub(r"--[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
    objects = [next(filter(None, match.groups())) for match in _CREATES.finditer(text)]
    columns = [(match[1], match[2]) for match in _ADDS.finditer(text)]
    return bool(objects or columns) and all(
        (
            *(fold_name(name) in names for name in objects),
            *(any(same_name(c, n) for n in _columns(replica, t)) for t, c in columns),
        )
    )


def _columns(replica: sqlite3.Connection, table: str) -> Iterator[str]:
    for (name,) in replica.execute("SELECT name FROM pragma_table_xinfo(?)", (table,)):
        yield str(name)


def _order(name: str) -> tuple[tuple[float, str], ...]:
    """Sorts as wrangler does: folder by folder, by the leading number and then by the letters."""
    parts = []
    for part in name.split("/"):
        number = _NUMBER.match(part.split("_")[0])
        parts.append((float(number[0]) if number else float("inf"), part))
    return tuple(parts)
