"""Stage 04: the migration itself, proven before it commits.

Whether it happened is decided by the ledger in the database, never by a record: a kill can fall
between the commit and the record.
"""

from __future__ import annotations

import contextlib
import dataclasses

from runbook.errors import (
    Interrupted,
    NotAllowedNow,
    NotProven,
    OutcomeUnknown,
    Refused,
    RunbookError,
    RunFolderError,
)
from runbook.files import write_durably
from runbook.migration.job import Job
from runbook.migration.migrate import migrate as migrate_target
from runbook.migration.migrate import recover_record
from runbook.progress import Progress, no_progress, rehearsed
from runbook.run.approvals import approval_problem, bind_snapshot
from runbook.run.command_line import command_line
from runbook.run.folder import Run, Stage
from runbook.run.records import Confirmation, MigrateRecord, RehearseRecord
from runbook.run.stage import shorten, was_interrupted
from runbook.script.migration import Script
from runbook.stages.backup import baseline, checked_backup
from runbook.targets.open_target import target_of
from runbook.targets.protocol import Target


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
        "migrate", MigrateRecord, lambda stage: _migrate(run, stage, confirmation, progress)
    )


def _migrate(
    run: Run, stage: Stage, confirmation: Confirmation, progress: Progress
) -> MigrateRecord:
    target = target_of(run)
    already = _committed(run, stage, target, tried=stage.previous is not None)
    if already is not None:
        return already
    if stage.previous is not None:
        run.log("migrate", "recovered", note="an earlier attempt did not commit")
        stage.begin_anew()
    problem = run.snapshot_problem()
    if problem and target.unfinished(run.info.plan.migration.name) is None:
        raise NotAllowedNow(f"The database was not migrated: {problem}.")
    if waits := approval_problem(run, confirmed_by=confirmation.by):
        raise NotAllowedNow(f"The database was not migrated: {waits}.")
    bind_snapshot(run)
    progress("Checksum of the backup")
    backup = checked_backup(run, remedy="take a new snapshot")
    job = Job(
        target, run.info.plan, run.info.run, backup, rehearsed(progress, _rehearsed_seconds(run))
    )

    def keep_script(script: Script) -> None:
        write_durably(run.folder / "sql" / "migrate.sql", script.text.encode())

    def keep_proof(record: MigrateRecord) -> None:
        stage.proven(dataclasses.replace(record, confirmation=confirmation))

    try:
        record = migrate_target(
            job,
            on_proven=keep_proof,
            on_script=keep_script,
            baseline=baseline(run, backup),
        )
    except BaseException as error:
        return _settled(run, stage, target, _agreed_by(confirmation, error))
    return dataclasses.replace(record, confirmation=confirmation)


def _agreed_by(confirmation: Confirmation, error: BaseException) -> BaseException:
    """The error, its record with who agreed to what was then refused."""
    if isinstance(error, RunbookError) and isinstance(error.record, MigrateRecord):
        record = dataclasses.replace(error.record, confirmation=confirmation)
        return type(error)(str(error), record=record)
    return error


def _rehearsed_seconds(run: Run) -> dict[str, float]:
    """Seconds of each step as it was rehearsed, by its title; empty without a rehearsal."""
    with contextlib.suppress(RunFolderError):  # damaged, and nothing but a forecast
        if run.finished("rehearse"):
            steps = run.result("rehearse", RehearseRecord).steps
            return {step.title: step.seconds for step in steps}
    return {}


def _settled(run: Run, stage: Stage, target: Target, error: BaseException) -> MigrateRecord:
    """The record, if the migration was committed before it stopped; else raises what to do."""
    committed = _committed(run, stage, target, tried=True)
    if committed is not None and isinstance(error, NotProven | Refused):
        raise OutcomeUnknown(
            f"The migration was refused and yet the ledger holds it ({error}); look at the "
            f"database {run.info.database} before anything else."
        ) from error
    if committed is not None:  # the interruption came after the commit
        return committed
    if isinstance(error, RunbookError):
        raise error
    if target.unfinished(run.info.plan.migration.name) is not None:
        raise OutcomeUnknown(
            f"The migration in chunks stopped on its way ({shorten(error)}), so the database "
            "is neither before nor after; call the same command again, which goes on, or take "
            f"it back with `{command_line(run, 'rollback')}`."
        ) from error
    if was_interrupted(error):
        raise Interrupted(
            "The migration was interrupted, and everything was rolled back, so the database is as "
            "it was; run it again when you are ready."
        ) from error
    raise Refused(
        f"The migration stopped ({shorten(error)}) and everything was rolled back, so the "
        "database is as it was; remove the cause and run it again."
    ) from error


def _committed(run: Run, stage: Stage, target: Target, *, tried: bool) -> MigrateRecord | None:
    """The record if the ledger says that this run has committed; None if nothing has happened.

    `tried` says that there was an attempt, so that an unreadable ledger leaves a question open.

    Raises:
        OutcomeUnknown: the ledger cannot be read, or holds what this run cannot vouch for.
    """
    try:
        row = target.ledger(run.info.plan.migration.name)
    except RunbookError as error:
        if not tried:
            raise
        raise OutcomeUnknown(
            f"Whether the migration was committed cannot be known now, because its ledger cannot "
            f"be read ({error}); run it again when it can."
        ) from error
    if row is None:
        return None
    if row.run != run.info.run:
        raise OutcomeUnknown(
            f'The ledger says that the run "{row.run}" already migrated this database at '
            f"{row.applied_at}; go on in that run's folder, or inspect the database."
        )
    proof = stage.proof(MigrateRecord)
    if proof is not None and proof.ledger == row:
        note = "an earlier attempt was stopped after its commit; the ledger shows it is complete"
        record: MigrateRecord | None = dataclasses.replace(proof, committed=True)
    else:
        note = "its record was lost; the ledger shows it is complete, and verify proves it anew"
        record = recover_record(run.info.plan, run.info.run, checked_backup(run), row)
    if record is None:
        raise OutcomeUnknown(
            f"The ledger says that this run migrated the database at {row.applied_at}, but with "
            "other SQL than this version would run, and its record is lost; put the record back."
        )
    run.log("migrate", "recovered", note=note)
    return dataclasses.replace(record, note=note)
