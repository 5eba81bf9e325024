"""What the header of a database file says of it beside its tables.

None of it is in any table, and nobody sees it in a comparison of rows: the application's own
numbers, how the file makes room, how it is journalled, and how its text is encoded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Vacuum = Literal["none", "full", "incremental"]

_VACUUM: dict[int, Vacuum] = {0: "none", 1: "full", 2: "incremental"}
_ENCODINGS = {0: "UTF-8", 1: "UTF-8", 2: "UTF-16le", 3: "UTF-16be"}
_WAL_VERSION = 2
_LENGTH = 100  # bytes of the header; https://www.sqlite.org/fileformat.html#the_database_header


@dataclass(frozen=True)
class Header:
    """The settings that a file keeps in its header; `page_size` is in bytes.

    Of the journal modes only `wal` is kept in the file; the others belong to a connection.
    """

    user_version: int
    application_id: int
    auto_vacuum: Vacuum
    page_size: int
    wal: bool
    encoding: str

    @property
    def digest(self) -> str:
        """SHA-256 of `name=value;` for each setting, in the order of their declaration."""
        values = dataclasses.asdict(self).items()
        return hashlib.sha256("".join(f"{k}={v};" for k, v in values).encode()).hexdigest()

    def changes(self, after: Header) -> tuple[tuple[str, str, str], ...]:
        """Name, value here and value in `after` of each setting that is not the same."""
        return tuple(
            (field.name, str(was), str(now))
            for field in dataclasses.fields(self)
            if (was := getattr(self, field.name)) != (now := getattr(after, field.name))
        )


def read_header(connection: sqlite3.Connection) -> Header:
    """The header of `main` as this connection sees it, in a transaction that is open, too."""

    def ask(name: str) -> int:
        return int(connection.execute(f"PRAGMA main.{name}").fetchone()[0])

    (journal,) = connection.execute("PRAGMA main.journal_mode").fetchone()
    (encoding,) = connection.execute("PRAGMA main.encoding").fetchone()
    return Header(
        user_version=ask("user_version"),
        application_id=ask("application_id"),
        auto_vacuum=_VACUUM[ask("auto_vacuum")],
        page_size=ask("page_size"),
        wal=str(journal).casefold() == "wal",
        encoding=str(encoding),
    )


def attached_header(connection: sqlite3.Connection, schema: str = "before") -> Header:
    """The header of an attached file that nobody writes (see `read_file_header`)."""
    (path,) = connection.execute(
        "SELECT file FROM pragma_database_list WHERE name = ?", (schema,)
    ).fetchone()
    return read_file_header(Path(path))


def read_file_header(path: Path) -> Header:
    """The header of a file that nobody writes and no connection of this process has locked.

    Its bytes are read, because a connection to a file that is called immutable knows no WAL.
    An empty file has the header that SQLite gives to a new one.
    """
    with path.open("rb") as file:
        head = file.read(_LENGTH)
    if len(head) < _LENGTH:
        return Header(0, 0, "none", 4096, False, "UTF-8")

    def number(at: int, length: int = 4, signed: bool = False) -> int:
        return int.from_bytes(head[at : at + length], "big", signed=signed)

    page = number(16, 2)
    vacuum = (2 if number(64) else 1) if number(52) else 0
    return Header(
        user_version=number(60, signed=True),
        application_id=number(68, signed=True),
        auto_vacuum=_VACUUM[vacuum],
        page_size=65536 if page == 1 else page,
        wal=number(19, 1) == _WAL_VERSION,
        encoding=_ENCODINGS.get(number(56), "unknown"),
    )
