"""The SQLite file in which wrangler keeps a local D1 database: the check that a replica is exact.

Only a local database has one. It is read with the backup API (copying the file would lose what is
in its write-ahead log) and compared strictly, rowids included, with what came through D1's SQL.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runbook.errors import Refused, TargetError
from runbook.sqlite.compare_database import compare_databases
from runbook.sqlite.connect import attach_immutable, open_immutable, open_writable
from runbook.sqlite.copy import copy_database
from runbook.sqlite.quoting import quote_name
from runbook.targets.d1.schema import INTERNAL
from runbook.targets.d1.write_replica import make_counters
from runbook.wording import counted


def copy_state(state: Path, to: Path, leave_out: str = "") -> None:
    """Copies a state file to the new file `to`, as a replica would hold it.

    Cloudflare's own tables are left out, and `leave_out`, wrangler's table of applied migrations.

    Raises:
        TargetError: there is no state file, so wrangler has never opened this database.
    """
    with contextlib.closing(open_state(state)) as source:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        copy_database(source, to)
    with contextlib.closing(sqlite3.connect(to, isolation_level=None)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()
        copy.execute("PRAGMA synchronous = OFF")
        rows = copy.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (name,) in rows:
            if name.startswith(INTERNAL) or name == leave_out:
                copy.execute(f"DROP TABLE {quote_name(name)}")
        make_counters(copy)


def open_state(state: Path) -> sqlite3.Connection:
    """A connection that only reads.

    Raises:
        TargetError: there is no state file.
    """
    if not state.is_file():
        raise TargetError(f"There is no local D1 database at {state}; check its id.")
    # Opened for writing, since a reader too has to set up the index of a write-ahead log.
    connection = open_writable(state)
    connection.execute("PRAGMA query_only = ON")
    return connection


def differences(replica: Path, copy: Path) -> tuple[str, ...]:
    """How a replica differs from a copy of the state file, one sentence each; () where exact."""
    with contextlib.closing(open_immutable(replica)) as connection:
        attach_immutable(connection, copy)
        difference = compare_databases(connection, samples=0)
    changed = {each.table for each in difference.tables}
    return (
        *(f"{each.type} {each.name} was {each.change}" for each in difference.objects),
        *(
            f"table {each.table}: {counted(each.added, 'row')} added, {each.removed} removed, "
            f"{each.rows_changed} changed"
            for each in difference.tables
        ),
        *(
            f"table {name}: rowids are not the same"
            for name in difference.rowids_moved
            if name not in changed
        ),
    )


@contextlib.contextmanager
def write_lock(state: Path, wait: float) -> Iterator[sqlite3.Connection]:
    """Holds the write lock of a state file, so that no wrangler can be writing meanwhile.

    A wrangler whose parent was killed may still be at work for a moment; this waits for it.

    Raises:
        Refused: somebody held the lock for `wait` seconds.
    """
    connection = open_writable(state, wait)
    try:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise Refused(
                f"The local D1 database {state} is being written to by another process; stop "
                "`wrangler dev` or whatever uses it, and try again."
            ) from error
        yield connection
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def check_exact(replica: Path, state: Path, leave_out: str = "") -> None:
    """Compares a replica with the state file it was taken of.

    Raises:
        TargetError: they differ: the database was written to meanwhile, or the replica is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="runbook-d1-", dir=replica.parent) as folder:
        copy = Path(folder) / "state.db"
        copy_state(state, copy, leave_out)
        left = differences(replica, copy)
    if left:
        raise TargetError(
            f"The replica of the local D1 database is not what its file holds ({left[0]}); stop "
            "what writes to the database and try again."
        )
