"""DuckDB as the audit uses it: offline, bounded in memory, spilling beside the snapshots."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import duckdb

from runbook.sqlite.quoting import quote_value

_MEMORY = "1GB"
_THREADS = 4
_SMALL = 8 << 20  # bytes of Parquet


_numbers = itertools.count(1)

_shared: ContextVar[duckdb.DuckDBPyConnection | None] = ContextVar("shared", default=None)


@contextlib.contextmanager
def one_duckdb(folder: Path) -> Iterator[None]:
    """Within, what this thread opens is one engine, whose making takes 50 ms of the processor.

    Each still has a connection, and a database with schemas and views, of its own.
    """
    with open_duckdb(folder) as connection:
        token = _shared.set(connection)
        try:
            yield
        finally:
            _shared.reset(token)


@contextlib.contextmanager
def open_duckdb(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory DuckDB that spills into `folder`; it never fetches an extension."""
    shared = _shared.get()
    if shared is not None:
        with contextlib.closing(shared.cursor()) as cursor, _own_database(cursor):
            yield cursor
        return
    spill = tempfile.mkdtemp(prefix=".duckdb-", dir=folder)
    try:
        connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "preserve_insertion_order": "false",  # every query that needs one orders its rows
                "memory_limit": _MEMORY,
                "threads": 1 if _is_small(folder) else min(_THREADS, os.cpu_count() or 1),
                "temp_directory": spill,
            }
        )
        with contextlib.closing(connection):
            connection.execute("SET enable_progress_bar = false")
            yield connection
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _is_small(folder: Path) -> bool:
    """Whether waking other threads would cost more than they could do."""
    return sum(file.stat().st_size for file in folder.glob("*.parquet")) < _SMALL


@contextlib.contextmanager
def _own_database(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Within, names of the connection mean a database that nobody else sees."""
    name = f"session_{next(_numbers)}"
    cursor.execute(f"ATTACH ':memory:' AS {name}")
    cursor.execute(f"USE {name}")
    try:
        yield
    finally:
        with contextlib.suppress(duckdb.Error):  # of a connection that an error has ended
            cursor.execute("USE memory")
            cursor.execute(f"DETACH {name}")


def read_parquet(file: Path) -> str:
    """Return the table function that reads exactly this file, whatever its path looks like."""
    literal = "".join(f"[{c}]" if c in "*?[" else c for c in str(file))
    return f"read_parquet({quote_value(literal)})"
