"""Stage 08: the way back, proven before it commits.

Whether there is something to take back, and whether it was taken back, is decided by the ledger in
the database, never by a record: a kill can fall between a commit and its record.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from runbook.errors import (
    Interrupted,
    NotAllowedNow,
    NotProven,
    OutcomeUnknown,
    Refused,
    RunbookError,
)
from runbook.files import write_durably
from runbook.migration.assess import assess
from runbook.migration.job import Job
from runbook.migration.rollback import restore_backup, roll_back
from runbook.progress import Progress, no_progress
from runbook.run.folder import Run, Stage
from runbook.run.identity import LedgerRow
from runbook.run.json_form import from_json
from runbook.run.records import Assessment, Confirmation, RollbackRecord
from runbook.run.stage import shorten, was_interrupted
from runbook.script.migration import Script
from runbook.stages.backup import checked_backup
from runbook.targets.open_target import target_of
from runbook.targets.protocol import Target


def preview(run: Run) -> Assessment:
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
    target = target_of(run)
    # Asked first: a transaction that was cut off is undone by it.
    row = _ledger(run, target)
    previous = run.record("rollback") if run.unsettled("rollback") else None
    if previous is not None and previous.result is not None:
        assessment = from_json(RollbackRecord, previous.result).assessment
        # It was stopped between its commit and its record.
        if assessment is not None and row is None:
            return assessment
    return assess(Job(target, run.info.plan, run.info.run, checked_backup(run)))


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
        progress: shown each step.

    Raises:
        NotAllowedNow: there is nothing to roll back.
        NotProven: the proof failed; the database is as it was.
        Refused: something stands in the way; the database is as it was.
        OutcomeUnknown: the ledger contradicts the records.
    """

    request = _Request(confirmation, discard_organizations, restore)
    return run.perform(
        "rollback", RollbackRecord, lambda stage: _rollback(run, stage, request, progress)
    )


@dataclass(frozen=True)
class _Request:
    confirmation: Confirmation
    discard_organizations: bool
    restore: bool


def _rollback(run: Run, stage: Stage, request: _Request, progress: Progress) -> RollbackRecord:
    target = target_of(run)
    already = _committed(run, stage, target, tried=stage.previous is not None)
    if already is not None:
        return already
    if stage.previous is not None:
        run.log("rollback", "recovered", note="an earlier attempt did not commit")
        stage.begin_anew()
    progress("Checksum of the backup")
    job = Job(target, run.info.plan, run.info.run, checked_backup(run), progress)

    def keep_script(script: Script) -> None:
        write_durably(run.folder / "sql" / "rollback.sql", script.text.encode())

    def keep_proof(record: RollbackRecord) -> None:
        stage.proven(dataclasses.replace(record, confirmation=request.confirmation))

    try:
        if request.restore:
            record = restore_backup(job, run.exports, on_proven=keep_proof)
        else:
            record = roll_back(
                job,
                run.exports,
                discard_organizations=request.discard_organizations,
                on_proven=keep_proof,
                on_script=keep_script,
            )
    except BaseException as error:
        return _settled(run, stage, target, error)
    return dataclasses.replace(record, confirmation=request.confirmation)


def _settled(run: Run, stage: Stage, target: Target, error: BaseException) -> RollbackRecord:
    """The record, if the rollback was committed before it stopped; else raises what to do."""
    committed = _committed(run, stage, target, tried=True)
    if committed is not None and isinstance(error, NotProven | Refused):
        raise OutcomeUnknown(
            f"The rollback was refused and yet the ledger does not hold the migration any more "
            f"({error}); look at the database {run.info.database} before anything else."
        ) from error
    if committed is not None:  # the interruption came after the commit
        return committed
    if isinstance(error, RunbookError):
        raise error
    if was_interrupted(error):
        raise Interrupted(
            "The rollback was interrupted, and was itself undone, so the migration still stands; "
            "run it again when you are ready."
        ) from error
    raise Refused(
        f"The rollback stopped ({shorten(error)}) and was itself undone, so the migration "
        "still stands; remove the cause and run it again."
    ) from error


def _ledger(run: Run, target: Target) -> LedgerRow | None:
    """The ledger's row of a migration that happened, or has happened in part."""
    name = run.info.plan.migration.name
    return target.ledger(name) or target.unfinished(name)


def _committed(run: Run, stage: Stage, target: Target, *, tried: bool) -> RollbackRecord | None:
    """The record if the rollback was committed; None where the migration still stands.

    `tried` says that there was an attempt, so that an unreadable ledger leaves a question open.

    Raises:
        NotAllowedNow: there is nothing to roll back.
        OutcomeUnknown: the ledger cannot be read, or contradicts the records.
    """
    try:
        row = _ledger(run, target)
    except RunbookError as error:
        if not tried:
            raise
        raise OutcomeUnknown(
            f"Whether the rollback was committed cannot be known now, because the ledger cannot be "
            f"read ({error}); run it again when it can."
        ) from error
    if row is not None and row.run == run.info.run:
        return None
    if row is not None:
        raise OutcomeUnknown(
            f'The ledger says that the run "{row.run}" migrated this database at {row.applied_at}, '
            f'not "{run.info.run}"; roll back in that run\'s folder, or inspect the database.'
        )
    proof = stage.proof(RollbackRecord)
    if proof is not None:
        note = "an earlier attempt was stopped after its commit; the ledger shows it is complete"
        run.log("rollback", "recovered", note=note)
        return dataclasses.replace(proof, done=True, note=note)
    if not run.finished("migrate"):
        raise NotAllowedNow(
            "There is nothing to roll back: the ledger does not hold this run, so its migration "
            "never committed."
        )
    raise OutcomeUnknown(
        f"The ledger of {run.info.database} does not hold this run, although its record says that "
        "it was committed; the database was replaced or rolled back, so inspect it."
    )
