"""Stage 08: the way back, proven before it commits.

Whether there is something to take back, and whether it was taken back, is decided by the ledger in
the database, never by a record: a kill can fall between a commit and its record.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from runbook.errors import NotAllowedNow, NotProven, OutcomeUnknown, Refused, RunFolderError
from runbook.files import sha256, write_durably
from runbook.records import Assessment, Confirmation, RollbackRecord, SnapshotRecord, from_json
from runbook.reversal import assess, restore_backup, roll_back
from runbook.run import Run, Stage, StageRecord
from runbook.script import Script
from runbook.targets import Progress, Target, no_progress, open_target


def look(run: Run) -> Assessment:
    """What a rollback of `run` would restore, keep and discard; nothing is changed.

    Raises:
        NotAllowedNow: there is nothing to roll back.
        Refused: the database is not as a rollback needs it.
    """
    if run.finished("rollback"):
        done = run.result("rollback", RollbackRecord)
        if done.assessment is not None:
            return done.assessment
    run.check_allowed("rollback")
    target = open_target(run.info.database, run.info.options)
    previous = run.record("rollback")
    if target.ledger(run.info.plan.migration.name) is None and _is_proven(previous):
        assert previous is not None
        found = from_json(RollbackRecord, previous.result).assessment
        if found is not None:  # it was killed between its commit and its record
            return found
    return assess(target, run.info.plan, run.info.run, _checked_backup(run))


def rollback(
    run: Run,
    confirmation: Confirmation,
    *,
    discard_organizations: bool = False,
    restore: bool = False,
    progress: Progress = no_progress,
) -> RollbackRecord:
    """Takes the migration of `run` back, once; a second call shows the result of the first.

    Args:
        run: the run that migrated; it need not have been verified.
        confirmation: who agreed.
        discard_organizations: go on although organizations or memberships were made since.
        restore: put the whole backup back instead, and lose every later write.
        progress: told of each step.

    Raises:
        NotAllowedNow: there is nothing to roll back.
        NotProven: the proof failed; the database is as it was.
        Refused: something stands in the way; the database is as it was.
        OutcomeUnknown: the ledger contradicts the records.
    """

    def work(stage: Stage) -> RollbackRecord:
        return _rollback(stage, confirmation, discard_organizations, restore, progress)

    return run.perform("rollback", RollbackRecord, work)


def _rollback(
    stage: Stage,
    confirmation: Confirmation,
    discard_organizations: bool,
    restore: bool,
    progress: Progress,
) -> RollbackRecord:
    run = stage.run
    target = open_target(run.info.database, run.info.options)
    already = _recover(stage, target)
    if already is not None:
        return already
    backup = _checked_backup(run)

    def keep(script: Script) -> None:
        write_durably(run.folder / "sql" / "rollback.sql", script.text.encode())

    def proven(record: RollbackRecord) -> None:
        stage.proven(dataclasses.replace(record, confirmation=confirmation))

    plan, name, exports = run.info.plan, run.info.run, run.exports
    try:
        if restore:
            record = restore_backup(
                target, plan, name, backup, exports, on_proven=proven, progress=progress
            )
        else:
            record = roll_back(
                target,
                plan,
                name,
                backup,
                exports,
                discard_organizations=discard_organizations,
                on_proven=proven,
                on_script=keep,
                progress=progress,
            )
    except (NotProven, Refused):
        if target.ledger(plan.migration.name) is None:
            raise OutcomeUnknown(
                "The rollback was refused and yet the ledger does not hold the migration any more; "
                f"look at the database {run.info.database} before anything else."
            ) from None
        raise
    return dataclasses.replace(record, confirmation=confirmation)


def _recover(stage: Stage, target: Target) -> RollbackRecord | None:
    """The result of an earlier attempt that committed; None where the migration still stands."""
    run = stage.run
    row = target.ledger(run.info.plan.migration.name)
    if row is not None and row.run == run.info.run:
        if stage.previous is not None and stage.previous.status in ("started", "proven"):
            run.log("rollback", "recovered", note="an earlier attempt did not commit")
            stage.write("started", None)
        return None
    if row is not None:
        raise OutcomeUnknown(
            f'The ledger says that the run "{row.run}" migrated this database at {row.applied_at}, '
            f'not "{run.info.run}"; roll back in that run\'s folder, or look at the database.'
        )
    previous = stage.previous
    if _is_proven(previous):
        assert previous is not None
        note = "an earlier attempt was stopped after its commit; the ledger shows it is complete"
        run.log("rollback", "recovered", note=note)
        record = from_json(RollbackRecord, previous.result)
        return dataclasses.replace(record, done=True, note=note)
    if not run.finished("migrate"):
        raise NotAllowedNow(
            "There is nothing to roll back: the ledger does not hold this run, so its migration "
            "never committed."
        )
    raise OutcomeUnknown(
        f"The ledger of {run.info.database} does not hold this run, although its record says that "
        "it was committed; somebody replaced or rolled back the database, so look at it."
    )


def _is_proven(record: StageRecord | None) -> bool:
    """Whether a proof was kept before a commit, and nothing after it."""
    return record is not None and record.status == "proven" and record.result is not None


def _checked_backup(run: Run) -> Path:
    """The backup's path, if it still is what the snapshot recorded."""
    record = run.record("snapshot")
    if record is None or record.result is None:
        raise RunFolderError(
            f"The record of the snapshot in {run.folder} is missing or incomplete, so its backup "
            "cannot be trusted; put the record back, or restore the database by hand."
        )
    taken = from_json(SnapshotRecord, record.result).backup
    path = run.folder / taken.file
    if not path.is_file() or sha256(path) != taken.sha256:
        raise RunFolderError(
            f"The backup {path} is missing or was altered since the snapshot; put back the "
            "original file, without which nothing can be restored."
        )
    return path
