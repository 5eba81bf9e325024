"""Stage 02: the whole migration and the way back, on a copy, with the code of the real ones."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runbook.audit.compare_database import differences_but_written
from runbook.audit.gate import Counts, Expectation, Proof
from runbook.audit.snapshot import capture, digests
from runbook.audit.verify import Before, read_to_verify
from runbook.errors import NotProven, RunbookError
from runbook.files import create_private, sha256
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.migration.rollback import roll_back
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.progress import Progress, no_progress
from runbook.run.findings import Finding
from runbook.run.folder import Run
from runbook.run.records import Assessment, MigrateRecord, RehearseRecord, VerifyRecord
from runbook.script.footprint import Baseline, read_baseline
from runbook.script.migration import NEW_TABLES
from runbook.stages.rehearsal_capture import Captured
from runbook.stages.rehearsal_capture import keep as keep_capture
from runbook.targets.open_target import target_of
from runbook.targets.sqlite import SqliteTarget
from runbook.window.workflows import try_workflows
from runbook.wording import and_more, counted
from runbook.workers import is_small, workers


def rehearse(
    run: Run, *, keep: bool = False, progress: Progress = no_progress, again: bool = False
) -> RehearseRecord:
    """Migrates a copy of the database, verifies it, rolls it back, and verifies that too.

    Args:
        run: the run; its database is only read.
        keep: leave the copy in the run folder, as `rehearsal/copy.db`, migrated and rolled back.
        progress: shown each part.
        again: rehearse once more.

    Raises:
        NotProven: the rehearsal failed, so the real migration would; the database was not touched.
        Refused: there is no room for the copy.
    """
    return run.perform(
        "rehearse", RehearseRecord, lambda _: _rehearse(run, keep, progress), again=again
    )


def _rehearse(run: Run, keep: bool, progress: Progress) -> RehearseRecord:
    folder = run.folder / "rehearsal"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        return _on_a_copy(run, folder, progress)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _on_a_copy(run: Run, folder: Path, progress: Progress) -> RehearseRecord:
    began = time.perf_counter()
    plan, name = run.info.plan, run.info.run
    copy, backup = folder / "copy.db", folder / "backup.db"
    # As the snapshot will make its own, which is the same to the byte if nobody writes meanwhile.
    target_of(run).backup(backup, progress)
    create_private(copy)
    shutil.copyfile(backup, copy)
    progress("Prediction")
    baseline = read_baseline(backup, plan)
    bytes_before = copy.stat().st_size
    job = Job(SqliteTarget(copy), plan, name, backup, progress)
    done, before = _migrated_and_captured(job, baseline, folder / "before")
    assert done.ledger is not None
    bytes_after = copy.stat().st_size
    verified, back = _verified_and_taken_back(job, copy, baseline, done, before)
    if not run.finished("snapshot"):
        kept = Captured(sha256(backup), before.digests, baseline)
        keep_capture(run, before.capture.folder, kept)
    return RehearseRecord(
        steps=done.steps,
        footprint=verified.footprint,
        digests=verified.digests,
        rolled_back_equal=True,
        locked_seconds=done.locked_seconds,
        seconds=round(time.perf_counter() - began, 3),
        bytes_before=bytes_before,
        bytes_after=bytes_after,
        kept_writes=back.kept_writes,
        views_left_out=done.views_left_out,
        script=done.ledger.checksum,
    )


def _migrated_and_captured(job: Job, baseline: Baseline, to: Path) -> tuple[MigrateRecord, Before]:
    """Nobody writes the backup, so that it is captured while its copy is migrated."""

    def captured() -> Before:
        taken = capture(job.backup, to, immutable=True)
        return Before(job.backup, taken, digests(taken, job.plan, baseline.shape))

    with workers(1, small=is_small(job.backup)) as pool:
        capturing = pool.submit(captured)
        done = _migrated(job, baseline)
        job.progress("Snapshot of the backup")
        return done, capturing.result()


def _verified_and_taken_back(
    job: Job, copy: Path, baseline: Baseline, done: MigrateRecord, before: Before
) -> tuple[VerifyRecord, _Back]:
    """DuckDB and pandas compare what was read of the copy while the copy goes back."""
    folder, plan = copy.parent, job.plan
    assert done.ledger is not None
    expected = Expectation(plan, Baseline(baseline.shape, done.footprint), done.ledger)
    comparing = read_to_verify(copy, expected, before, folder / "after", _gate(done), job.progress)
    with workers(1, small=is_small(job.backup)) as pool:
        compared = pool.submit(comparing)
        try:
            back = _taken_back(job, copy, baseline.shape, folder / "exports")
        except RunbookError:
            _passed(compared.result())  # what was wrong before the way back comes first
            raise
        job.progress("Witnesses DuckDB and pandas")
        verified = _passed(compared.result())
    _as_many(back.assessment, verified.rows_after)
    return verified, back


@dataclass(frozen=True)
class _Back:
    """What the way back found before it began, and the rows of triggers' that it leaves."""

    assessment: Assessment | None
    kept_writes: Mapping[str, int]


def _taken_back(job: Job, copy: Path, shape: Shape, exports: Path) -> _Back:
    """Tries the workflows on the migrated copy, takes it back, and compares it with the backup.

    Raises:
        NotProven: a workflow does not work, or something is not as it was.
    """
    job.progress("Key workflows")
    _workflows_work(copy, job.plan, shape)
    assessment = roll_back(job, exports).assessment
    job.progress("Comparing with before")
    left, kept_writes = differences_but_written(copy, job.backup, job.plan)
    if left:
        raise _failed("after the way back,", left)
    return _Back(assessment, kept_writes)


def _passed(verified: VerifyRecord) -> VerifyRecord:
    """The verification; raises NotProven if a witness found something."""
    if verified.findings:
        raise _failed("the witnesses found that", verified.findings)
    return verified


def _gate(done: MigrateRecord) -> Proof | None:
    """What the gate found before the commit, if it compared everything.

    Nobody writes to the copy, and the way back reads it whole once more: each row of a resource and
    of a new table by its rule, all else against the backup.
    """
    if done.proven_after_commit:
        return None
    lines = [line for line in done.footprint if "gate" in line.counts]
    counts: Counts = {(line.table, line.change, line.column): line.counts["gate"] for line in lines}
    return Proof(counts, done.findings)


def _workflows_work(copy: Path, plan: Plan, shape: Shape) -> None:
    """What is tried after the commit has to work here first, where nothing is lost by it.

    What it leaves behind stands in the way back, is missed there, or is found by the last
    comparison, but for rows in tables that triggers may write.

    Raises:
        NotProven: a workflow does not work, or leaves something behind.
    """
    fires = plan.triggers.policy == "fire"
    outcome = try_workflows(copy, plan, shape, compare=fires)
    problems = [f"{t.action} of {t.subject}: {t.note}" for t in outcome.failed]
    problems += outcome.remains
    if problems:
        raise NotProven(
            f"The rehearsal on a copy failed: the key workflows do not work ({problems[0]})"
            f"{and_more(len(problems) - 1)}; the database itself was not touched."
        )


def _migrated(job: Job, baseline: Baseline) -> MigrateRecord:
    try:
        return migrate(job, baseline=baseline)
    except NotProven as error:
        raise _of_a_copy(error) from error


def _of_a_copy(error: NotProven) -> NotProven:
    """The error as it is of a copy: what is no part of the migration was written by a trigger.

    The record is of another stage and stays out.
    """
    findings: tuple[Finding, ...] = getattr(error.record, "findings", ())
    if not findings or not findings[0].drift:
        return NotProven(str(error))
    return NotProven(
        f"The rehearsal on a copy failed: {findings[0].message}; no other process writes to the "
        'copy, so a trigger made the change: take [triggers] policy = "suspend", or name the table '
        "under may_write if it only adds rows; the database itself was not touched."
    )


def _as_many(assessment: Assessment | None, verified: Mapping[str, int]) -> None:
    """The way back has found as many rows in the new tables as were verified, each by its rule.

    Raises:
        NotProven: something took rows away in between.
    """
    assert assessment is not None  # every way back begins with it
    held = (assessment.organizations, assessment.memberships)
    for table, rows in zip(NEW_TABLES, held, strict=True):
        if rows != verified[table]:
            raise NotProven(
                f'The rehearsal on a copy failed: "{table}" held {counted(verified[table], "row")} '
                f"after the migration and {rows:,} before the way back; the database itself was "
                "not touched."
            )


def _failed(what: str, findings: tuple[Finding, ...]) -> NotProven:
    return NotProven(
        f"The rehearsal on a copy failed: {what} {findings[0].message}; the database itself was "
        "not touched."
    )
