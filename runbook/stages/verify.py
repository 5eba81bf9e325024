"""Stage 05: three witnesses over the committed database, and whether they agree."""

from __future__ import annotations

import dataclasses

from runbook.audit.gate import Expectation
from runbook.audit.snapshot import check_capture
from runbook.audit.verify import Before
from runbook.audit.verify import verify as ask_witnesses
from runbook.errors import OutcomeUnknown
from runbook.progress import Progress, no_progress
from runbook.run.folder import Run
from runbook.run.records import MigrateRecord, SnapshotRecord, VerifyRecord
from runbook.script.footprint import Baseline
from runbook.stages.backup import baseline, checked_backup
from runbook.targets.open_target import target_of
from runbook.targets.protocol import Target


def verify(run: Run, *, progress: Progress = no_progress, again: bool = False) -> VerifyRecord:
    """Has the migrated database compared with its backup by SQLite, DuckDB and pandas.

    Done `again`, the earlier record is kept under `stages/attempts`.

    Raises:
        OutcomeUnknown: the ledger does not say that this run migrated the database.
        RunFolderError: the backup or a file of the snapshot is missing or was altered.
        Refused, TargetError: the database cannot be read.
    """
    return run.perform(
        "verify",
        VerifyRecord,
        lambda _: _verify(run, progress),
        again=again,
    )


def _size(target: Target) -> int:
    """Bytes of the database with what is still in its WAL; 0 where it is no file."""
    if target.file is None:
        return 0
    with target.reading() as connection:
        pages, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "page_size")
        )
    return pages * size


def _verify(run: Run, progress: Progress) -> VerifyRecord:
    plan = run.info.plan
    target = target_of(run)
    migrated = run.result("migrate", MigrateRecord)
    row = target.ledger(plan.migration.name)
    if row is None or row.run != run.info.run:
        raise OutcomeUnknown(
            f"The ledger of {run.info.database} does not hold this run, although its record says "
            "that it was committed; the database was replaced or rolled back, so inspect it."
        )
    progress("Checksums of the backup and the snapshot")
    backup = checked_backup(run)
    captured = check_capture(run.before)
    taken = run.result("snapshot", SnapshotRecord)
    shape = baseline(run, backup).shape
    # As it was when the migration committed: the row of now is among what is verified.
    ledger = migrated.ledger or row
    expected = Expectation(plan, Baseline(shape, migrated.footprint), ledger)
    before = Before(backup, captured, taken.digests)
    with target.committed() as database:
        record = ask_witnesses(database, expected, before, run.after, progress=progress)
    record = dataclasses.replace(record, bytes_after=_size(target))
    if record.verdict != "pass":
        run.log("verify", "failed", error="the verdict is fail")
    return record
