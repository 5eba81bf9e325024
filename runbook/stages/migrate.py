"""Stage 04: the migration itself, proven before it commits.

Whether it happened is decided by the ledger in the database, never by a record: a kill can fall
between the commit and the record.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from runbook.errors import NotProven, OutcomeUnknown, Refused, RunFolderError
from runbook.files import sha256, write_durably
from runbook.migration import migrate as migrate_target
from runbook.records import Confirmation, MigrateRecord, SnapshotRecord, from_json
from runbook.run import Run, Stage
from runbook.script import Script
from runbook.targets import Progress, Target, no_progress, open_target


def migrate(
    run: Run, confirmation: Confirmation, *, progress: Progress = no_progress
) -> MigrateRecord:
    """Migrates the database of `run`, once; a second call shows the result of the first.

    Raises:
        NotProven: the proof failed; the database is as it was.
        Refused: the database could not be locked or written; it is as it was.
        OutcomeUnknown: the ledger holds another run's row.
    """
    return run.perform(
        "migrate", MigrateRecord, lambda stage: _migrate(stage, confirmation, progress)
    )


def _migrate(stage: Stage, confirmation: Confirmation, progress: Progress) -> MigrateRecord:
    run = stage.run
    target = open_target(run.info.database, run.info.options)
    already = _recover(stage, target)
    if already is not None:
        return already
    backup = _checked_backup(run)

    def keep(script: Script) -> None:
        write_durably(run.folder / "sql" / "migrate.sql", script.text.encode())

    try:
        record = migrate_target(
            target,
            run.info.plan,
            run.info.run,
            backup,
            on_proven=lambda record: stage.proven(
                dataclasses.replace(record, confirmation=confirmation)
            ),
            on_script=keep,
            progress=progress,
        )
    except (NotProven, Refused):
        if target.ledger(run.info.plan.migration.name) is not None:
            raise OutcomeUnknown(
                "The migration was refused and yet the ledger holds it; look at the database "
                f"{run.info.database} before anything else."
            ) from None
        raise
    return dataclasses.replace(record, confirmation=confirmation)


def _recover(stage: Stage, target: Target) -> MigrateRecord | None:
    """The result of an earlier attempt that committed; None where the database is as before."""
    plan = stage.run.info.plan
    row = target.ledger(plan.migration.name)
    if row is None:
        if stage.previous is not None and stage.previous.status in ("started", "proven"):
            stage.run.log("migrate", "recovered", note="an earlier attempt did not commit")
            stage.write("started", None)
        return None
    if row.run != stage.run.info.run:
        raise OutcomeUnknown(
            f'The ledger says that the run "{row.run}" already migrated this database at '
            f"{row.applied_at}; go on in that run's folder, or look at the database."
        )
    note = "an earlier attempt was stopped after its commit; the ledger shows that it is complete"
    stage.run.log("migrate", "recovered", note=note)
    if stage.previous is None or stage.previous.result is None:
        raise OutcomeUnknown(
            "The ledger says that this run migrated the database, but its record is lost; verify "
            "it by hand with the backup, or roll it back."
        )
    record = from_json(MigrateRecord, stage.previous.result)
    return dataclasses.replace(record, committed=True, ledger=row, note=note)


def _checked_backup(run: Run) -> Path:
    """The backup's path, if it still is what the snapshot recorded."""
    taken = run.result("snapshot", SnapshotRecord).backup
    path = run.folder / taken.file
    if not path.is_file() or sha256(path) != taken.sha256:
        raise RunFolderError(
            f"The backup {path} is missing or was altered since the snapshot; take a new snapshot."
        )
    return path
