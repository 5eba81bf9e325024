"""DuckDB as the audit uses it: offline, bounded in memory, spilling beside the snapshots."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import duckdb

from runbook.sqlite.quoting import quote_value

_MEMORY = "1GB"
_THREADS = 4
_SMALL = 8 << 20  # bytes of Parquet
_TINY = 1 << 20  # bytes of Parquet that a kept engine is used for


_numbers = itertools.count(1)

_shared: ContextVar[duckdb.DuckDBPyConnection | None] = ContextVar("shared", default=None)

_kept: deque[duckdb.DuckDBPyConnection] = deque()
"""Engines that nobody uses just now: making one takes longer than what a tiny database asks."""

_of_parents: list[duckdb.DuckDBPyConnection] = []
"""Engines that a fork got with the memory of its parent, which it must neither use nor close."""


def _leave_to_parent() -> None:
    _of_parents.extend(_kept)
    _kept.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


@contextlib.contextmanager
def one_duckdb(folder: Path) -> Iterator[None]:
    """Within, what this thread opens is one engine, whose making takes 50 ms of the processor.

    Each still has a connection, and a database with schemas and views, of its own.
    """
    with _engine(folder) as engine:
        token = _shared.set(engine)
        try:
            yield
        finally:
            _shared.reset(token)


@contextlib.contextmanager
def open_duckdb(folder: Path, *, alone: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory DuckDB that spills into `folder`; it never fetches an extension.

    Whatever the engine did before, the connection has an empty database of its own. `alone` is for
    whoever adds functions, which belong to an engine and not to a database: nobody else gets it.
    """
    with contextlib.ExitStack() as stack:
        shared = None if alone else _shared.get()
        engine = shared or stack.enter_context(_engine(folder, alone=alone))
        cursor = stack.enter_context(contextlib.closing(engine.cursor()))
        stack.enter_context(_own_database(cursor))
        yield cursor


@contextlib.contextmanager
def _engine(folder: Path, *, alone: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine for the time of the context; one for tiny data is kept for the next."""
    size = sum(file.stat().st_size for file in folder.glob("*.parquet"))
    # A folder without snapshots is no sign of how much is asked.
    keeps = not alone and 0 < size < _TINY
    spill = Path(tempfile.mkdtemp(prefix=".duckdb-", dir=folder))
    try:
        engine = _take(spill) if keeps else _make(spill, 1 if size < _SMALL else _THREADS)
        try:
            yield engine
        except BaseException:  # whatever state it is in now
            engine.close()
            raise
        if keeps and not any(spill.iterdir()):
            _kept.append(engine)
        else:  # once it has spilled, it has its place
            engine.close()
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _take(spill: Path) -> duckdb.DuckDBPyConnection:
    """A kept engine, which nobody else has meanwhile, or a new one."""
    try:
        engine = _kept.pop()
    except IndexError:
        return _make(spill, 1)
    engine.execute(f"SET temp_directory = {quote_value(str(spill))}")
    return engine


def _make(spill: Path, threads: int) -> duckdb.DuckDBPyConnection:
    engine = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "false",  # every query that needs one orders its rows
            "memory_limit": _MEMORY,
            "threads": min(threads, os.cpu_count() or 1),
            "temp_directory": str(spill),
        }
    )
    engine.execute("SET enable_progress_bar = false")
    return engine


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
