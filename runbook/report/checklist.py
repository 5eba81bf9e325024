"""The specification's checklist, each line with the evidence for it.

A line is `done` only where a record of the run proves it. What the runbook was not told how to
do stays `not configured`; nothing is ticked on trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbook.report.facts import Facts
from runbook.report.text import clip, counted, duration, number, size, when

State = Literal["done", "failed", "not done", "not configured"]


@dataclass(frozen=True)
class ChecklistLine:
    """One line: what is to be done, how it is verified, how far it is, and what shows that."""

    number: int
    action: str
    verification: str
    state: State
    evidence: tuple[str, ...]


_NOT_CONFIGURED = "The plan names no command or address for this, so nothing was done or checked."


def checklist(facts: Facts) -> tuple[ChecklistLine, ...]:
    """The eight lines of the specification's checklist."""

    def left_out(line: int, action: str, verification: str) -> ChecklistLine:
        return ChecklistLine(line, action, verification, "not configured", (_NOT_CONFIGURED,))

    return (
        ChecklistLine(1, "Back up the database", "Backup exists and tested", *_backup(facts)),
        left_out(2, "Enable maintenance mode", "Users see maintenance page"),
        ChecklistLine(3, "Run the migration script", "No SQL errors", *_migration(facts)),
        ChecklistLine(4, "Run the verification", "All checks pass", *_verification(facts)),
        left_out(5, "Deploy the new code", "Health checks pass"),
        left_out(6, "Test the key workflows", "Create, read, update and delete work"),
        left_out(7, "Disable maintenance mode", "Users can access again"),
        ChecklistLine(8, "Monitor for 24 h", "No errors in logs", *_monitoring(facts)),
    )


Judged = tuple[State, tuple[str, ...]]


def _backup(facts: Facts) -> Judged:
    stage, snapshot = facts.stages["snapshot"], facts.snapshot
    if snapshot is None:
        return (
            ("failed", (stage.error,)) if stage.error else ("not done", ("No backup was taken.",))
        )
    backup = snapshot.backup
    evidence = (
        f"{backup.file}, {size(backup.bytes)}, written {when(stage.finished_at)}",
        f"SHA-256 {backup.sha256}",
    )
    if not backup.restored_equal:
        return "failed", (*evidence, "Restored once, and what came out was not equal to it.")
    tables = counted(backup.tables_compared, "table")
    return "done", (*evidence, f"Restored once and compared: {tables}, equal to the byte.")


def _migration(facts: Facts) -> Judged:
    stage, record = facts.stages["migrate"], facts.migrate
    if record is None or not record.committed:
        if stage.error:
            return "failed", (stage.error,)
        if stage.status in ("started", "proven", "damaged"):
            return "failed", ("It was begun, and no record says how it ended.",)
        return "not done", ("The migration did not run.",)
    evidence = [
        f"{counted(len(record.steps), 'step')} without an SQL error, "
        f"{counted(sum(s.rows for s in record.steps), 'row')} written",
        f"Write lock held for {duration(record.locked_seconds)}",
    ]
    if record.ledger:
        evidence.append(f"Committed with its ledger row, {when(record.ledger.applied_at)}")
        evidence.append(f"SHA-256 of the script {record.ledger.checksum}")
    if record.confirmation:
        by = record.confirmation
        evidence.append(f"Confirmed by {by.by or 'nobody named'} ({by.how}), {when(by.at)}")
    if record.note:
        evidence.append(f"{record.note[:1].upper()}{record.note[1:]}.")
    if facts.rollback and facts.rollback.done:
        ended = when(facts.stages["rollback"].finished_at)
        return "failed", (*evidence, f"Taken back by a rollback, {ended}")
    return "done", tuple(evidence)


def _verification(facts: Facts) -> Judged:
    stage, record = facts.stages["verify"], facts.verify
    if record is None:
        if stage.error:
            return "failed", (stage.error,)
        return "not done", ("The verification did not run.",)
    witnesses = {who for invariant in record.invariants for who in invariant.violations}
    counts = (
        f"{counted(len(record.invariants), 'invariant')} asked of "
        f"{counted(len(witnesses), 'witness', 'witnesses')}",
        f"{counted(len(record.digests), 'table')} compared by digest",
        f"{counted(len(record.findings), 'finding')}, verdict {record.verdict}, "
        f"{when(stage.finished_at)}",
    )
    bad = record.verdict != "pass" or record.findings or stage.status == "failed"
    return ("failed" if bad else "done"), counts


def _monitoring(facts: Facts) -> Judged:
    stage = facts.stages["monitor"]
    if stage.status == "not run":
        return "not done", ("Nobody has watched since the migration: see `runbook monitor`.",)
    if stage.status in ("started", "proven"):
        return "not done", (f"Watching since {when(stage.started_at)}; not ended yet.",)
    evidence = [f"Watched for {duration(stage.seconds)}, until {when(stage.finished_at)}"]
    for name, value in facts.monitor.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            shown = number(value) if isinstance(value, int) else str(value)
            evidence.append(clip(f"{name.replace('_', ' ').capitalize()}: {shown}", 200))
    if stage.status != "finished":
        return "failed", (stage.error or "The record of the monitoring is damaged.", *evidence)
    # Some minutes less than a day are a day to a scheduler, hours less are not.
    if stage.seconds < 23.9 * 3600:
        return "not done", (*evidence, "The specification asks for 24 h.")
    return "done", tuple(evidence)
