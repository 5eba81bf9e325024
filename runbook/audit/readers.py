"""Connections of the ADBC driver to one SQLite file, which all see one state of it.

The driver brings its own copy of SQLite. POSIX locks belong to a process, and closing a file
drops all of them, so no connection of Python's `sqlite3` to the same file may be open in this
process meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_sqlite.dbapi as adbc

from runbook.sqlite.connect import file_uri

BUSY_MILLISECONDS = 10_000
ATTEMPTS = 50
"""At catching a moment in which nobody commits."""

_READERS = 4
_ONE_READER_BELOW = 32 << 20  # bytes of database: opening more connections would cost more


def uri_of(database: Path, immutable: bool) -> str:
    """Its address for SQLite; an `immutable` one is read without locks and without its WAL."""
    return file_uri(database, mode="ro", **({"immutable": "1"} if immutable else {}))


class Readers:
    """Connections that all see one state of the database, lent to one thread at a time."""

    def __init__(self, database: Path, immutable: bool) -> None:
        self._uri = uri_of(database, immutable)
        small = database.stat().st_size < _ONE_READER_BELOW
        self._wanted = 1 if small else min(_READERS, os.cpu_count() or 1)
        self._stack = contextlib.ExitStack()
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.count = 0

    def __enter__(self) -> Readers:
        watcher = self._stack.enter_context(adbc.connect(self._uri, autocommit=True))
        for attempt in range(ATTEMPTS):
            # After many failures one reader has to do: it agrees with itself.
            number = self._wanted if attempt < ATTEMPTS - 1 else 1
            version = scalar(watcher, "PRAGMA data_version")
            with contextlib.ExitStack() as opened:
                connections = [opened.enter_context(self._open()) for _ in range(number)]
                if number == 1 or scalar(watcher, "PRAGMA data_version") == version:
                    self._stack.push(opened.pop_all())
                    break
        self.count = len(connections)
        for connection in connections:
            self._free.put(connection)
        return self

    def _open(self) -> Any:
        connection = adbc.connect(self._uri)  # not in autocommit: this begins a transaction
        scalar(connection, f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        scalar(connection, "SELECT count(*) FROM sqlite_schema")  # the first read fixes the state
        return connection

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def one(self) -> Iterator[Any]:
        """One of them, for the time of the context."""
        connection = self._free.get()
        try:
            yield connection
        finally:
            self._free.put(connection)

    def schema_version(self) -> int:
        """What changes with the schema."""
        with self.one() as connection:
            return scalar(connection, "PRAGMA schema_version")

    def bytes(self) -> int:
        """The size of the database, with what of it is still in its WAL."""
        with self.one() as connection:
            pages, size = (scalar(connection, f"PRAGMA page_{of}") for of in ("count", "size"))
        return pages * size


def scalar(connection: Any, sql: str) -> int:
    """The number that a query returns; 0 where it returns none."""
    return int(first_value(connection, sql) or 0)


def first_value(connection: Any, sql: str) -> Any:
    """The first value of the first row; None where there is none."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
        return row[0] if row else None
