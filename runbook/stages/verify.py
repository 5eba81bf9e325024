"""Stage 05: three witnesses over the committed database, and whether they agree."""

from __future__ import annotations

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
from runbook.targets.open_target import open_target


def verify(run: Run, *, progress: Progress = no_progress, again: bool = False) -> VerifyRecord:
    """Has the migrated database compared with its backup by SQLite, DuckDB and pandas.

    Raises:
        OutcomeUnknown: the ledger does not say that this run migrated the database.
        RunFolderError: the backup or a file of the snapshot is missing or was altered.
        Refused, TargetError: the database cannot be read.
    """
    return run.perform("verify", VerifyRecord, lambda _: _verify(run, progress), again=again)


def _verify(run: Run, progress: Progress) -> VerifyRecord:
    plan = run.info.plan
    target = open_target(run.info.database, run.info.options)
    migrated = run.result("migrate", MigrateRecord)
    row = target.ledger(plan.migration.name)
    if row is None or row.run != run.info.run:
        raise OutcomeUnknown(
            f"The ledger of {run.info.database} does not hold this run, although its record says "
            "that it was committed; somebody replaced or rolled back the database, so look at it."
        )
    progress("Checksums", 0, 1)
    backup = checked_backup(run)
    captured = check_capture(run.before)
    taken = run.result("snapshot", SnapshotRecord)
    shape = baseline(run, backup).shape
    expected = Expectation(plan, Baseline(shape, migrated.footprint), row)
    before = Before(backup, captured, taken.digests)
    with target.committed() as database:
        return ask_witnesses(database, expected, before, run.after, progress=progress)
