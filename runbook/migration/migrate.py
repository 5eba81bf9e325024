"""The migration as one act: render, run in one transaction, prove, and only then commit.

The stage `migrate` does it to the target, the rehearsal to a copy.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runbook.audit.compare_at_begin import find_overwritten, header_findings
from runbook.audit.gate import Expectation, prove, refuse
from runbook.audit.samples import sample_rows
from runbook.migration.job import Job
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.progress import Progress
from runbook.run.findings import Finding, InvariantResult, StepResult
from runbook.run.identity import LedgerRow
from runbook.run.records import MigrateRecord
from runbook.script.footprint import (
    Baseline,
    FootprintLine,
    complete_counts,
    read_baseline,
    with_counts,
)
from runbook.script.migration import LEDGER, Script, Step, guard_query, left_to_gate, render
from runbook.sqlite.header import read_file_header, read_header
from runbook.targets.protocol import Work
from runbook.targets.sqlite import read_ledger
from runbook.templates import SqlFile, sql_files
from runbook.wording import counted

_CHECK_FAILED = re.compile(r"CHECK constraint failed: (\w+)")


def migrate(
    job: Job,
    *,
    on_proven: Callable[[MigrateRecord], None] = lambda record: None,
    on_script: Callable[[Script], None] = lambda script: None,
    baseline: Baseline | None = None,
) -> MigrateRecord:
    """Migrates the job's database, proves it against the backup, and commits.

    Args:
        job: the database to migrate.
        on_proven: keeps the result durably, just before the commit.
        on_script: keeps the script, before it runs.
        baseline: what `read_baseline` gives for the backup, where that was kept.

    Raises:
        NotProven: the proof failed and everything was rolled back; the error's attribute
            `record` holds the findings.
        Refused: the database could not be locked or written; it is as it was.
    """
    baseline = baseline or read_baseline(job.backup, job.plan)
    script = render(job.plan, baseline.shape, job.run)
    on_script(script)
    started = datetime.now(UTC)
    unfinished = job.target.unfinished(job.plan.migration.name)
    if unfinished is not None:
        started = min(started, _instant(unfinished))
    row = LedgerRow(script.migration, job.run, script.checksum, "")
    migration = _Migration(Expectation(job.plan, baseline, row), started, on_proven, job.progress)
    migration.check_header(job)
    work = Work(
        script,
        migration.prove,
        migration.explain,
        migration.compare_at_begin,
        functools.partial(migration.prove, committed=True),
    )
    applied = job.target.apply(work, job.backup, job.progress, job.wait)
    return dataclasses.replace(
        applied.proven,
        committed=True,
        steps=applied.steps,
        waited_seconds=applied.waited_seconds,
        gate_seconds=applied.gate_seconds,
        locked_seconds=applied.locked_seconds,
        proof="before commit" if job.target.proof_before_commit else "after commit",
    )


def recover_record(plan: Plan, run: str, backup: Path, row: LedgerRow) -> MigrateRecord | None:
    """What can be claimed of a committed migration whose record is lost; None if the SQL differs.

    The ledger's row came with the proof in one transaction, but the result of that proof is gone,
    so the record claims only what the verification proves once more after the commit.
    """
    baseline = read_baseline(backup, plan)
    if render(plan, baseline.shape, run).checksum != row.checksum:
        return None
    record = _empty_record(baseline.footprint)
    return dataclasses.replace(record, committed=True, ledger=row, proof="after commit")


@dataclass(frozen=True)
class _Migration:
    """What is checked inside the transaction of one migration."""

    expected: Expectation
    started: datetime
    on_proven: Callable[[MigrateRecord], None]
    progress: Progress

    def check_header(self, job: Job) -> None:
        """Raises NotProven where the header differs already: another encoding stops the rest."""
        if not job.target.proof_before_commit:
            return  # a replica has the header that we give it
        with job.target.reading() as connection:
            header = read_header(connection)
        self._refuse(tuple(header_findings(read_file_header(job.backup), header, "gate")))

    def compare_at_begin(self, connection: sqlite3.Connection) -> None:
        """Raises NotProven where somebody wrote into what would be overwritten."""
        expected = self.expected
        self.progress("Comparing what will be overwritten")
        self._refuse(find_overwritten(connection, expected.plan, expected.baseline.shape))

    def _refuse(self, findings: tuple[Finding, ...]) -> None:
        if findings:
            record = _empty_record(self.expected.baseline.footprint)
            raise refuse(findings, dataclasses.replace(record, findings=findings))

    def prove(
        self,
        connection: sqlite3.Connection,
        steps: tuple[StepResult, ...],
        *,
        committed: bool = False,
    ) -> MigrateRecord:
        """The record of the proof, before the commit or after it; raises NotProven if it failed."""
        proof = prove(connection, self.expected, progress=self.progress)
        row = read_ledger(connection, self.expected.plan.migration.name)
        footprint = self.expected.baseline.footprint
        record = dataclasses.replace(
            _empty_record(with_counts(footprint, "gate", complete_counts(proof.counts, footprint))),
            ledger=row,
            steps=steps,
            findings=proof.findings + _time_findings(row, self.started),
            invariants=_held(),
            proven_after_commit=proof.deferred,
            views_left_out=proof.views_left_out,
            proof="after commit" if committed else "before commit",
        )
        if record.findings:
            if not committed:
                self._name_what_was_left(connection)
            raise refuse(record.findings, record, committed=committed)
        self.on_proven(record)
        return record

    def _name_what_was_left(self, connection: sqlite3.Connection) -> None:
        """Raises NotProven for an invariant whose guard was left to the gate, in its own words."""
        baseline = self.expected.baseline
        for invariant, subject, query in left_to_gate(self.expected.plan, baseline.shape):
            finding = None
            with contextlib.suppress(sqlite3.Error):  # what it asks may not be there
                finding = _violation(connection, invariant, subject, query)
            if finding is not None:
                record = _empty_record(baseline.footprint)
                raise refuse([finding], dataclasses.replace(record, findings=(finding,)))

    def explain(
        self, connection: sqlite3.Connection, step: Step, error: sqlite3.Error
    ) -> Exception | None:
        """The invariant that a failed statement stands for, if it is one."""
        baseline = self.expected.baseline
        finding = _violated(connection, self.expected.plan, baseline.shape, error)
        if finding is None:
            return None
        record = _empty_record(baseline.footprint)
        return refuse([finding], dataclasses.replace(record, findings=(finding,)))


def _empty_record(footprint: tuple[FootprintLine, ...]) -> MigrateRecord:
    """The record of a migration of which nothing is known yet."""
    return MigrateRecord(
        committed=False,
        ledger=None,
        steps=(),
        footprint=footprint,
        findings=(),
        invariants=(),
        waited_seconds=0,
        gate_seconds=0,
        locked_seconds=0,
    )


def _time_findings(row: LedgerRow | None, started: datetime) -> tuple[Finding, ...]:
    """The ledger's time must be the time of this transaction, give or take a clock's step."""
    if row is None:
        return ()
    with contextlib.suppress(ValueError, TypeError):  # it is no time at all
        at = _instant(row)
        if started - timedelta(minutes=5) <= at <= datetime.now(UTC) + timedelta(minutes=5):
            return ()
    message = (
        f"the run's timestamp {row.applied_at} is not the time at which it ran; check the clock"
    )
    return (Finding("gate", LEDGER, "applied_at", "wrong value", 1, message),)


def _instant(row: LedgerRow) -> datetime:
    return datetime.strptime(row.applied_at, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)


def _held() -> tuple[InvariantResult, ...]:
    """The guarded invariants, all of which held: their guards or the gate would have stopped it."""
    return tuple(
        InvariantResult(f.name, f.title, f.why, {"gate": 0})
        for f in sql_files("invariants")
        if f.when == "before commit"
    )


def _violated(
    connection: sqlite3.Connection, plan: Plan, shape: Shape, error: sqlite3.Error
) -> Finding | None:
    """The finding behind a guard's CHECK that failed, with sample rows; None if it was another."""
    match = _CHECK_FAILED.search(str(error))
    name = match.group(1) if match else ""
    for invariant in sql_files("invariants"):
        if invariant.name != name:
            continue
        for subject, query in guard_query(invariant, plan, shape):
            if finding := _violation(connection, invariant, subject, query):
                return finding
    return None


def _violation(
    connection: sqlite3.Connection, invariant: SqlFile, subject: str, query: str
) -> Finding | None:
    """The rows that violate an invariant, with examples."""
    (rows,) = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
    if not rows:
        return None
    of = f' in "{subject}"' if subject else ""
    message = (
        f'the invariant "{invariant.title}" is violated by {counted(rows, "row")}{of}; '
        "correct what is named, and run again"
    )
    samples = sample_rows(connection, query)
    return Finding("gate", subject, "", f"invariant {invariant.name}", rows, message, samples)
