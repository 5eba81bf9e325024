"""Other tools on the same pair: the backup and the migrated database, or their `projects` alone.

None of them proves a migration. They say which rows differ, which is part of what a verification
does, so they are a measure for that part.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from runbook.audit.duckdb_session import open_duckdb, read_parquet
from runbook.audit.snapshot import read_capture
from runbook.run.folder import Run
from tests.benchmarks.usage import Usage, used

Parts = dict[str, dict[str, float]]
Peer = Callable[[Path], tuple[Usage, Parts]]

ENVIRONMENT = "RUNBOOK_DATACOMPY"
"""Names the Python of an environment in which datacompy is installed."""

_MOST_ROWS = 1_000_000
"""Of projects, beyond which pandas would take more memory than most machines have."""

_DATACOMPY = """
import sqlite3, sys
import datacompy, pandas
one, other = (
    pandas.read_sql("SELECT * FROM projects", sqlite3.connect(path)) for path in sys.argv[1:]
)
compared = datacompy.PandasCompare(one, other, join_columns="id")
print(int((~compared.intersect_rows["updated_at_match"]).sum()))
"""


class Skipped(Exception):
    """Why a peer cannot be measured here."""


def sqldiff(folder: Path) -> tuple[Usage, Parts]:
    """`sqldiff --primarykey`, whose SQL for every difference is thrown away."""
    command = shutil.which("sqldiff")
    if command is None:
        raise Skipped("the command sqldiff is not installed")
    run = Run.open(folder / "run")
    with used() as usage:
        subprocess.run(
            [command, "--primarykey", str(run.backup), run.info.database],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return usage, {}


def duckdb_alone(folder: Path) -> tuple[Usage, Parts]:
    """One join of `projects` before and after by key in DuckDB, from Parquet that is there."""
    run = Run.open(folder / "run")
    before, after = (
        read_parquet(c.path(c.table("projects")))
        for c in map(read_capture, (run.before, run.after))
    )
    with used() as usage, open_duckdb(run.after) as connection:
        connection.execute(
            f"SELECT count(*) FROM {before} AS a FULL JOIN {after} AS b USING (id)"
            " WHERE (a.name, a.owner_id, a.status, a.updated_at)"
            " IS DISTINCT FROM (b.name, b.owner_id, b.status, b.updated_at)"
        ).fetchall()
    return usage, {}


def datacompy(folder: Path) -> tuple[Usage, Parts]:
    """datacompy over pandas, `projects` read from both databases."""
    python = os.environ.get(ENVIRONMENT)
    if not python:
        raise Skipped(f"{ENVIRONMENT} does not name the Python of an environment that has it")
    run = Run.open(folder / "run")
    rows = read_capture(run.before).table("projects").rows
    if rows > _MOST_ROWS:
        raise Skipped(f"it would hold {rows:,} projects twice in memory")
    with used() as usage:
        command = [python, "-c", _DATACOMPY, str(run.backup), run.info.database]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return usage, {}


PEERS: dict[str, Peer] = {
    "sqldiff": sqldiff,
    "DuckDB alone": duckdb_alone,
    "datacompy": datacompy,
}
