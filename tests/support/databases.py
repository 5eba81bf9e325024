"""Small things that are done to a database file from outside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3.dump import _iterdump


def dump_lines(connection: sqlite3.Connection) -> Iterator[str]:
    """The database as SQL, line by line: `Connection.iterdump`, which pysqlite3 does not have."""
    return iter(_iterdump(connection))


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A writing connection without Python's own transactions, closed in the end."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def execute(path: Path, *statements: str) -> None:
    """Runs statements on a database file."""
    with connected(path) as connection:
        for statement in statements:
            connection.execute(statement)


def dump(path: Path) -> str:
    """The database as SQL text: schema and content."""
    with connected(path) as connection:
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        return "\n".join(dump_lines(connection))
