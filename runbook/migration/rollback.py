"""The way back as one act: assess, export, run in one transaction, prove, and only then commit.

The stage `rollback` does it to the target, the rehearsal to a copy.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runbook.audit.assignments import Assignments
from runbook.audit.compare_database import differences
from runbook.audit.later_objects import broken_object
from runbook.audit.rollback_gate import (
    Before,
    WriteGuard,
    prove_rollback,
    read_before,
    restored_texts,
)
from runbook.errors import NotProven, Refused
from runbook.migration.assess import all_assignments, assess, assessment_of, find_all_written
from runbook.migration.export import export_organizations
from runbook.migration.job import Job
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape, read_backup_shape, suspended_triggers
from runbook.run.findings import Finding, StepResult
from runbook.run.records import Assessment, RollbackRecord
from runbook.script.migration import Script, Step
from runbook.script.rollback import Circumstances, render_rollback
from runbook.sqlite.authorizer import was_denied
from runbook.sqlite.connect import attach_immutable
from runbook.sqlite.drop_column import rewritten_objects
from runbook.targets.protocol import Work
from runbook.targets.sqlite import SqliteTarget
from runbook.wording import and_more, counted

Keep = Callable[[RollbackRecord], None]


def roll_back(
    job: Job,
    exports: Path,
    *,
    discard_organizations: bool = False,
    on_proven: Keep = lambda record: None,
    on_script: Callable[[Script], None] = lambda script: None,
) -> RollbackRecord:
    """Takes the migration of the job's run back, proves it against the backup, and commits.

    Args:
        job: the migrated database.
        exports: folder that organizations and memberships are exported to first.
        discard_organizations: go on although organizations or memberships were written since.
        on_proven: keeps the result durably, just before the commit.
        on_script: keeps the script, before it runs.

    Raises:
        Refused: something stands in the way, or what people wrote since would be discarded;
            nothing was changed.
        NotProven: the proof failed and everything was rolled back; the error's attribute `record`
            holds the findings.
    """
    prepare = _Preparation(
        job,
        read_backup_shape(job.backup, job.plan),
        exports,
        discard_organizations,
        on_proven,
        on_script,
    )
    applied = job.target.apply(prepare, job.backup, job.progress, job.wait)
    return dataclasses.replace(
        applied.proven,
        done=True,
        steps=applied.steps,
        waited_seconds=applied.waited_seconds,
        proof_seconds=applied.gate_seconds,
        locked_seconds=applied.locked_seconds,
    )


def restore_backup(
    job: Job, exports: Path, *, on_proven: Keep = lambda record: None
) -> RollbackRecord:
    """The other way back: puts the whole backup in place of the database, in one transaction.

    Every later write is lost; the record's assessment counts them, as they were when it began.

    Raises:
        Refused: the database could not be locked, or the target cannot do it; it is as it was.
        NotProven: what is there afterwards is not the backup.
    """
    job.progress("Counting what was written since")
    target, assessment = job.target, assess(job)
    if not isinstance(target, SqliteTarget):
        raise Refused(
            "Only a SQLite file can be restored by the runbook; "
            f"{target.restore_by_hand(job.backup)}, but that would erase "
            f"{counted(assessment.lost_by_restore, 'row')} written since, which a rollback without "
            "--restore-backup keeps."
        )
    with target.reading() as connection:
        exported = _export_before_restore(connection, job, exports)
    record = _record(
        assessment,
        exported,
        kept=0,
        discarded=assessment.lost_by_restore,
        how="restore",
        proof="after commit",
    )
    on_proven(record)
    seconds = target.restore(job.backup, job.progress, job.wait)
    job.progress("Comparing with the backup")
    findings = differences(target.path, job.backup, "gate")
    record = dataclasses.replace(record, locked_seconds=seconds, findings=findings)
    if findings:
        raise _not_proven(record)
    return dataclasses.replace(record, done=True)


@dataclass(frozen=True)
class _Rollback:
    """What is checked inside the transaction of one rollback; `record` has what is known before."""

    plan: Plan
    guard: WriteGuard
    before: Before
    record: RollbackRecord
    on_proven: Keep

    def prove(
        self, connection: sqlite3.Connection, steps: tuple[StepResult, ...]
    ) -> RollbackRecord:
        """The record of the proof; raises NotProven where it failed."""
        connection.set_authorizer(None)
        findings = prove_rollback(connection, self.plan, self.before)
        record = dataclasses.replace(self.record, steps=steps, findings=findings)
        if findings:
            raise _not_proven(record)
        self.on_proven(record)
        return record

    def explain(
        self, connection: sqlite3.Connection, step: Step, error: sqlite3.Error
    ) -> Exception | None:
        """That a statement tried to write where a rollback has nothing to write."""
        connection.set_authorizer(None)
        if not self.guard.denied:
            if was_denied(error):  # not by the guard, which Ctrl-C ended while it was asked
                raise KeyboardInterrupt from error
            return None
        denied = self.guard.denied[-1]
        message = f'the step "{step.title}" tried to {denied}, which is not its business'
        finding = Finding("gate", "", "", "write denied", 1, message)
        return _not_proven(dataclasses.replace(self.record, findings=(finding,)))


@dataclass(frozen=True)
class _Preparation:
    """Everything up to the script, done inside the transaction of one rollback."""

    job: Job
    shape: Shape
    exports: Path
    discard_organizations: bool
    on_proven: Keep
    on_script: Callable[[Script], None]

    def __call__(self, connection: sqlite3.Connection) -> Work[RollbackRecord]:
        """The work to do; raises Refused where something stands in the way."""
        job, plan = self.job, self.job.plan
        job.progress("Comparing with the backup")
        written = find_all_written(connection, job, self.shape)
        assessment = assessment_of(connection, plan, self.shape, written)
        # Under the lock, so that nothing is written after the export; a second thread gains
        # nothing, for SQLite's memory is shared between connections.
        job.progress("Exporting organizations")
        assigned = all_assignments(connection, plan, self.shape, written)
        record = _record(assessment, _export(connection, self.exports, assigned))
        _refuse(record, assessment, self.discard_organizations)
        broken = broken_object(connection)
        if broken:
            note = f"{broken}; it was broken before, and stays so"
            record = dataclasses.replace(record, note=note)
        before = read_before(connection, plan, written)
        circumstances = Circumstances(
            tables=tuple(w.old for w in written),
            suspended=suspended_triggers(connection, plan),
            drop_ledger=before.drop_ledger,
            moved=tuple(w.resource.table for w in written if w.moved),
            broken=broken,
            rewritten=restored_texts(before, rewritten_objects(connection)),
        )
        script = render_rollback(plan, self.shape, job.run, circumstances)
        self.on_script(script)
        guard = WriteGuard(plan)
        connection.set_authorizer(guard)
        rollback = _Rollback(plan, guard, before, record, self.on_proven)
        return Work(script, rollback.prove, rollback.explain)


def _record(assessment: Assessment, exported: tuple[str, ...], **changes: object) -> RollbackRecord:
    """The record of a rollback that has not happened yet."""
    record = RollbackRecord(
        done=False,
        restored=assessment.restored,
        kept=assessment.kept,
        discarded=assessment.discarded,
        findings=(),
        steps=(),
        locked_seconds=0.0,
        exported=exported,
        assessment=assessment,
    )
    return dataclasses.replace(record, **changes)  # type: ignore[arg-type]


def _export(
    connection: sqlite3.Connection, exports: Path, assignments: tuple[Assignments, ...]
) -> tuple[str, ...]:
    """Exports what would be discarded; returns the files' names from the run folder on."""
    files = export_organizations(connection, exports, assignments)
    return tuple(str(file.relative_to(exports.parent)) for file in files)


def _export_before_restore(
    connection: sqlite3.Connection, job: Job, exports: Path
) -> tuple[str, ...]:
    shape = read_backup_shape(job.backup, job.plan)
    attach_immutable(connection, job.backup)
    written = find_all_written(connection, job, shape)
    return _export(connection, exports, all_assignments(connection, job.plan, shape, written))


def _refuse(record: RollbackRecord, assessment: Assessment, discard_organizations: bool) -> None:
    """Raises Refused if something stands in the way."""
    message = ""
    if assessment.obstacles:
        first, *others = assessment.obstacles
        more = and_more(len(others), "obstacle")
        message = f"The rollback cannot be done now: {first}{more}."
    elif (assessment.discarded or assessment.objects_discarded) and not discard_organizations:
        extra = (
            f", {', '.join(assessment.objects_discarded)}" if assessment.objects_discarded else ""
        )
        message = (
            "The migration did not make "
            f"{assessment.organizations_since:,} of the organizations, "
            f"{assessment.memberships_since:,} of the memberships and "
            f"{assessment.assignments:,} of the assignments of rows to organizations as they are "
            f"now{extra}, and a rollback would discard them; they are exported to "
            f"{', '.join(record.exported)}, so pass --discard-organizations if they may "
            "be discarded."
        )
    if message:
        raise Refused(message, record=record)


def _not_proven(record: RollbackRecord) -> NotProven:
    first, *others = record.findings
    more = and_more(len(others), "finding")
    return NotProven(f"The proof of the rollback failed: {first.message}{more}.", record=record)
