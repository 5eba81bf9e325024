"""Opens an SQLite file for reading without leaving a trace on it.

A read-only connection never checkpoints a write-ahead log and never rolls back a journal. It does
create an empty `-wal` and a `-shm` beside a database in WAL mode; those are taken away again by
SQLite itself, under its own locks, when nobody else has come meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from runbook.errors import TargetError
from runbook.sqlite.interrupts import Interruptible
from runbook.sqlite.quoting import quote_name

JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
CACHE_KIBIBYTES = 131072
"""The page cache of a connection that reads or writes the whole database."""

_FILE_MAGIC = b"SQLite format 3\0"

# Files whose empty -wal was made by a connection of this process.
_tidied_later: set[Path] = set()


class CutOff(TargetError):
    """A hot journal lies beside the file; reading needs a roll back, which a reader must not do."""


class Locked(TargetError):
    """Another process holds the file so that it cannot even be read."""


class ReadOnlyConnection(Interruptible):
    """A connection that takes its own empty side files away when it is closed."""

    place: Path

    def close(self) -> None:
        """Closes, and lets SQLite remove a `-wal` that was not there before and is still empty."""
        super().close()
        tidy(self.place)


def open_readonly(path: Path, timeout: float = 5.0) -> sqlite3.Connection:
    """A connection that can only read; `timeout` in seconds is how long it waits for a lock.

    Raises:
        CutOff: a hot journal lies beside the file.
        Locked: another process keeps readers out.
        TargetError: the file is missing, empty, a folder, no database, encrypted or truncated.
    """
    _check_file(path)
    had_log = side_file(path, "-wal").exists()
    connection: ReadOnlyConnection | None = None
    try:
        connection = sqlite3.connect(
            file_uri(path, mode="ro"),
            uri=True,
            isolation_level=None,
            timeout=timeout,
            factory=ReadOnlyConnection,
        )
        connection.place = path.resolve()
        if not had_log:
            _tidied_later.add(connection.place)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where damaged text is quoted
        if connection is not None:
            connection.close()
        raise _explained(path, error) from error
    return connection


def open_immutable(path: Path) -> sqlite3.Connection:
    """A connection to a file that nobody changes: it takes no locks and leaves no side files."""
    return sqlite3.connect(
        file_uri(path, mode="ro", immutable="1"),
        uri=True,
        isolation_level=None,
        factory=Interruptible,
    )


def open_writable(path: Path, timeout: float = 5.0) -> sqlite3.Connection:
    """A connection to a file that is there; it waits `timeout` seconds for a lock."""
    return sqlite3.connect(
        file_uri(path, mode="rw"),
        uri=True,
        isolation_level=None,
        timeout=timeout,
        factory=Interruptible,
    )


def attach_immutable(connection: sqlite3.Connection, path: Path, schema: str = "before") -> None:
    """Attaches a file that nobody changes, for example the backup, as `schema`."""
    uri = file_uri(path, mode="ro", immutable="1")
    connection.execute(f"ATTACH ? AS {quote_name(schema)}", (uri,))


@contextlib.contextmanager
def open_with_backup(database: Path, backup: Path) -> Iterator[sqlite3.Connection]:
    """The database as `main` and its backup as `before`, in one read transaction.

    Raises:
        TargetError: the database cannot be read.
    """
    with contextlib.closing(open_readonly(database)) as connection:
        attach_immutable(connection, backup)
        connection.execute(f"PRAGMA main.cache_size = -{CACHE_KIBIBYTES}")
        connection.execute("BEGIN")
        yield connection


def tidy(place: Path) -> None:
    """Removes the side files that reading has made, if the log is empty and nobody uses it.

    The last writer to close checkpoints the log and deletes it; with an empty log that writes
    nothing. Deleting the files ourselves could take them from under another process.
    """
    if place not in _tidied_later:
        return
    log = side_file(place, "-wal")
    if not log.exists():
        _tidied_later.discard(place)
        return
    if log.stat().st_size:
        return  # somebody writes: the files are in use, and theirs
    try:
        closer = open_writable(place, timeout=0)
    except sqlite3.Error:
        return
    try:
        closer.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        pass
    finally:
        closer.close()
    if not log.exists():
        _tidied_later.discard(place)


def file_uri(path: Path, **options: str) -> str:
    """SQLite's URI of a file; the path may hold any character."""
    query = urllib.parse.urlencode(options)
    # The bytes of the name, which need not be text.
    return f"file:{urllib.parse.quote(os.fsencode(path.resolve()))}?{query}"


def side_file(path: Path, suffix: str) -> Path:
    """The side file `-wal`, `-shm` or `-journal`, which lies beside the resolved file."""
    place = path.resolve()
    return place.with_name(place.name + suffix)


def has_hot_journal(path: Path) -> bool:
    """Whether a rollback journal with pages to be put back lies beside the file.

    A writer at work has one too; whether it is hot is for SQLite to say, which looks at the lock.
    """
    try:
        with side_file(path, "-journal").open("rb") as journal:
            return journal.read(len(JOURNAL_MAGIC)) == JOURNAL_MAGIC
    except OSError:
        return False


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        what = "a symbolic link that leads to nothing" if path.is_symlink() else "not there"
        raise TargetError(f"The database {path} is {what}; check the path.") from None
    except OSError as error:
        raise TargetError(
            f"The database {path} cannot be reached ({error.strerror}); check the path and the "
            "rights of its folders."
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise TargetError(f"{path} is a folder; name the database file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise TargetError(f"{path} is not a regular file; name a database file.")
    if status.st_size == 0:
        raise TargetError(f"The file {path} is empty (0 bytes), not a database; check the path.")


def _explained(path: Path, error: Exception) -> TargetError:
    """Why the file could not be read, in one sentence."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_READONLY") and has_hot_journal(path):
        return CutOff(
            f"A transaction on {path} was cut off and its journal lies beside it; open it once "
            "with the application or the sqlite3 shell, which undoes it, then run again."
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Locked(
            f"The database {path} is locked by another process; stop the application or wait for "
            "its transaction to end."
        )
    # Only now is the file opened apart from SQLite: closing it would drop this process's locks.
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError as problem:
        return TargetError(
            f"The database {path} cannot be read ({problem.strerror}); grant the right to read it."
        )
    if not head.startswith(_FILE_MAGIC):
        return TargetError(_not_a_database(path, head))
    size, expected = path.stat().st_size, _expected_size(head)
    if size < expected:
        return TargetError(
            f"The database {path} is truncated: its header says {expected} bytes and {size} are "
            "there; restore it from a backup."
        )
    if name.startswith("SQLITE_CANTOPEN"):
        return TargetError(
            f"The database {path} cannot be opened ({error}): it is in WAL mode and its folder "
            "cannot be written, so grant that right or copy it with its -wal."
        )
    return TargetError(
        f"The database {path} cannot be read ({error}); it is damaged, so restore a backup."
    )


def _not_a_database(path: Path, head: bytes) -> str:
    try:
        text = head[: len(head) // 2].decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text and all(c.isprintable() or c in "\r\n\t" for c in text):
        return f"The file {path} is a text file, not a database; check the path."
    return (
        f"The file {path} is not an SQLite database, or it is encrypted; check the path, or "
        "decrypt it into a copy first."
    )


def _expected_size(head: bytes) -> int:
    """Bytes that the header promises: pages times page size (1 stands for 65536)."""
    if len(head) < 100:
        return 100
    page = int.from_bytes(head[16:18], "big")
    return int.from_bytes(head[28:32], "big") * (65536 if page == 1 else page)


@contextlib.contextmanager
def readable_text(connection: sqlite3.Connection) -> Iterator[None]:
    """Meanwhile text that is not valid UTF-8 is shown with escapes instead of failing."""
    before = connection.text_factory
    connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
    try:
        yield
    finally:
        connection.text_factory = before
