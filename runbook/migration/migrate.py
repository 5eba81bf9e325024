"""The migration as one act: render, run in one transaction, prove, and only then commit.

The stage `migrate` does it to the target, the rehearsal to a copy.
"""

from __future__ import annotations

import dataclasses
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runbook.audit.gate import Proof, prove, refuse
from runbook.audit.samples import sample_rows
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape, look
from runbook.progress import Progress, no_progress
from runbook.run.findings import Finding, InvariantResult, StepResult
from runbook.run.identity import LedgerRow
from runbook.run.records import MigrateRecord
from runbook.script.footprint import FootprintLine, declare, with_counts
from runbook.script.migration import LEDGER, Script, Step, guard_query, render
from runbook.sqlite.connect import immutable_uri
from runbook.targets.protocol import Target
from runbook.targets.sqlite import read_ledger
from runbook.templates import sql_files

_CHECK_FAILED = re.compile(r"CHECK constraint failed: (\w+)")


def look_at_backup(backup: Path, plan: Plan) -> tuple[Shape, tuple[FootprintLine, ...]]:
    """Shape and footprint of the database as the backup holds it, from before the migration."""
    connection = sqlite3.connect(immutable_uri(backup), uri=True, isolation_level=None)
    try:
        shape = look(connection, plan)
        return shape, declare(connection, plan, shape)
    finally:
        connection.close()


def migrate(
    target: Target,
    plan: Plan,
    run: str,
    backup: Path,
    *,
    on_proven: Callable[[MigrateRecord], None] = lambda record: None,
    on_script: Callable[[Script], None] = lambda script: None,
    looked: tuple[Shape, tuple[FootprintLine, ...]] | None = None,
    progress: Progress = no_progress,
    wait: float = 30.0,
) -> MigrateRecord:
    """Migrates `target`, proves it against `backup`, and commits.

    Args:
        target: the database to migrate.
        plan: what to migrate.
        run: the name of the run, for the ledger.
        backup: the database's backup, which the proof compares with.
        on_proven: told of the result just before the commit, to keep it durably.
        on_script: told of the script before it runs.
        looked: what `look_at_backup` has said of this backup already, where that was kept.
        progress: told of each step.
        wait: seconds to wait for the write lock.

    Raises:
        NotProven: the proof failed and everything was rolled back; the error's attribute
            `record` holds the findings.
        Refused: the database could not be locked or written; it is as it was.
    """
    shape, footprint = looked or look_at_backup(backup, plan)
    script = render(plan, shape, run)
    on_script(script)
    expected = LedgerRow(script.migration, run, script.checksum, "")
    began = datetime.now(UTC)
    begun = target.unfinished(plan.migration.name)
    if begun is not None:
        began = min(began, _instant(begun))
    state = MigrateRecord(
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

    def check(connection: sqlite3.Connection, steps: tuple[StepResult, ...]) -> None:
        nonlocal state
        proof = prove(
            connection,
            plan,
            shape,
            expected,
            defer_untouched=plan.proof.untouched == "after",
            organizations=_predicted(footprint),
        )
        row = read_ledger(connection, plan.migration.name)
        findings = proof.findings + _time_findings(row, began)
        state = dataclasses.replace(
            state,
            ledger=row,
            steps=steps,
            footprint=with_counts(footprint, "gate", _complete(proof, footprint)),
            findings=findings,
            invariants=_held(),
            proven_after_commit=proof.deferred,
        )
        if findings:
            raise refuse(findings, state)
        on_proven(state)

    def explain(
        connection: sqlite3.Connection, step: Step, error: sqlite3.Error
    ) -> Exception | None:
        nonlocal state
        finding = _violated(connection, plan, shape, error)
        if finding is None:
            return None
        state = dataclasses.replace(state, findings=(finding,))
        return refuse([finding], state)

    applied = target.apply(script, backup, check, explain, progress, wait)
    return dataclasses.replace(
        state,
        committed=True,
        steps=applied.steps,
        waited_seconds=applied.waited_seconds,
        gate_seconds=applied.gate_seconds,
        locked_seconds=applied.locked_seconds,
        proof="before commit" if target.proof_before_commit else "after commit",
    )


def found_again(plan: Plan, run: str, backup: Path, row: LedgerRow) -> MigrateRecord | None:
    """What can be said of a committed migration whose record is lost; None if the SQL was other.

    The ledger's row came with the proof in one transaction, but the evidence of that proof is
    gone, so the record claims only what the verification proves once more after the commit.
    """
    shape, footprint = look_at_backup(backup, plan)
    if render(plan, shape, run).checksum != row.checksum:
        return None
    return MigrateRecord(
        committed=True,
        ledger=row,
        steps=(),
        footprint=footprint,
        findings=(),
        invariants=(),
        waited_seconds=0,
        gate_seconds=0,
        locked_seconds=0,
        proof="after commit",
    )


def _predicted(footprint: tuple[FootprintLine, ...]) -> int | None:
    """How many organizations were counted beforehand, in the backup."""
    return next(
        (f.predicted for f in footprint if (f.table, f.change) == ("organizations", "added")), None
    )


def _complete(
    proof: Proof, footprint: tuple[FootprintLine, ...]
) -> dict[tuple[str, str, str], int]:
    """The gate's counts, with zero where a line was looked at and nothing was seen."""
    lines: dict[tuple[str, str, str], int] = {
        (f.table, f.change, f.column): 0 for f in footprint if f.change in ("added", "changed")
    }
    return {**lines, **{k: v for k, v in proof.counts.items() if v or k in lines}}


def _time_findings(row: LedgerRow | None, began: datetime) -> tuple[Finding, ...]:
    """The ledger's time must be the time of this transaction, give or take a clock's step."""
    if row is None:
        return ()
    at = _instant(row)
    if began - timedelta(minutes=5) <= at <= datetime.now(UTC) + timedelta(minutes=5):
        return ()
    message = (
        f"the run's timestamp {row.applied_at} is not the time at which it ran; check the clock"
    )
    return (Finding("gate", LEDGER, "applied_at", "wrong value", 1, message),)


def _instant(row: LedgerRow) -> datetime:
    return datetime.strptime(row.applied_at, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)


def _held() -> tuple[InvariantResult, ...]:
    """The guarded invariants, all of which held: a violated one would have stopped the script."""
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
            (rows,) = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
            if rows:
                samples = sample_rows(connection, query)
                of = f' in "{subject}"' if subject else ""
                message = (
                    f'the invariant "{invariant.title}" is violated by {rows} rows{of}; look at '
                    "the rows named, correct them, and run again"
                )
                return Finding("gate", subject, "", f"invariant {name}", rows, message, samples)
    return None
