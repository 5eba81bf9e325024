"""What is proven of D1 from outside: nobody wrote before the change, and what it holds after."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from pathlib import Path

from runbook.errors import NotProven, OutcomeUnknown, Refused, TargetError
from runbook.sqlite.connect import attach_immutable, open_immutable
from runbook.targets.d1.notes import read_notes
from runbook.targets.d1.schema import read_schema, sums_sql
from runbook.targets.d1.state_file import check_exact, differences
from runbook.targets.d1.wrangler import Wrangler
from runbook.targets.protocol import Applied, R, Work


def check_unchanged(wrangler: Wrangler, backup: Path) -> None:
    """Refuses where the database is no longer what the backup holds."""
    changed = Refused(
        f"The D1 database {wrangler.config.name} was written to since the snapshot; put the "
        "application into maintenance mode and take the snapshot again; nothing was migrated."
    )
    if wrangler.local:
        try:
            check_exact(backup, wrangler.state_file, wrangler.config.migrations_table)
        except TargetError as error:
            raise changed from error
        return
    schema = read_schema(wrangler.read, wrangler.config.migrations_table)
    now = wrangler.read([sums_sql(table) for table in schema.tables])
    with contextlib.closing(open_immutable(backup)) as connection:
        for table, rows in zip(schema.tables, now, strict=True):
            try:
                (was,) = connection.execute(sums_sql(table)).fetchone()
            except sqlite3.OperationalError:
                raise changed from None
            if was != rows[0]["sums"]:
                raise changed
    if read_notes(backup.parent)["bookmark"] != wrangler.time_travel_bookmark():
        raise changed


def prove_committed(work: Work[R], after: Path, backup: Path, tried: Applied[R]) -> Applied[R]:
    """Proves the migration once more on a replica of what D1 holds after its commit."""
    with contextlib.closing(open_immutable(after)) as connection:
        attach_immutable(connection, backup)
        try:
            prove = work.prove_committed or work.prove
            return dataclasses.replace(tried, proven=prove(connection, tried.steps))
        except NotProven as error:
            raise OutcomeUnknown(
                f"D1 committed the migration, but what it holds now is not as it should be "
                f"({str(error).rstrip('.')}); read the findings, and roll it back.",
                record=error.record,
            ) from error


def check_taken_back(after: Path, copy: Path) -> None:
    """Raises OutcomeUnknown where D1 does not hold what was proven on the copy."""
    if left := differences(after, copy):
        raise OutcomeUnknown(
            f"D1 took the migration back, but it does not hold what was proven on a copy "
            f"({left[0]}); look at it, and compare it with the backup."
        )
