"""The specification's checklist, each line with the evidence for it.

A line is `done` only where a record of the run proves it. What the runbook was not told how to
do stays `not configured`; nothing is ticked on trust.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runbook.plan.plan import Plan
from runbook.report.contents import Facts
from runbook.run.window_records import Observation
from runbook.window.clock import window_clock
from runbook.window.series import sum_up
from runbook.wording import clip, counted, duration, listed, size, when

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
    lines = (
        ChecklistLine(1, "Back up the database", "Backup exists and tested", *_backup(facts)),
        ChecklistLine(2, "Enable maintenance mode", "Users see maintenance page", *_shut(facts)),
        ChecklistLine(3, "Run the migration script", "No SQL errors", *_migration(facts)),
        ChecklistLine(4, "Run the verification", "All checks pass", *_verification(facts)),
        ChecklistLine(5, "Deploy the new code", "Health checks pass", *_deployed(facts)),
        ChecklistLine(
            6, "Test the key workflows", "Create, read, update and delete work", *_tried(facts)
        ),
        ChecklistLine(7, "Disable maintenance mode", "Users can access again", *_opened(facts)),
        ChecklistLine(8, "Monitor for 24 h", "No errors in logs", *_monitoring(facts)),
    )
    return tuple(_with_tick(line, facts) for line in lines)


def _with_tick(line: ChecklistLine, facts: Facts) -> ChecklistLine:
    """The line with the name of whoever ticked it by hand, which never makes it done."""
    tick = facts.ticks.get(line.number)
    if tick is None or line.state == "done":
        return line
    word = "Not configured; ticked" if line.state == "not configured" else "Ticked"
    said = f"{word} by {tick.by}, {when(tick.at)}" + (f": {tick.note}" if tick.note else "")
    evidence = tuple(e for e in line.evidence if e != _NOT_CONFIGURED)
    return dataclasses.replace(line, evidence=(said, *evidence))


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


def _shut(facts: Facts) -> Judged:
    return _steps(facts, "maintenance_on")


def _deployed(facts: Facts) -> Judged:
    state, evidence = _steps(facts, "deploy", "health")
    undone = facts.window.get("undeploy")
    if undone is not None and undone.status != "not configured":
        evidence = (*evidence, f"The old code was put back, {when(undone.at)}: {undone.status}")
        state = "failed" if state == "done" else state
    if facts.scan is not None:
        seen = facts.scan
        found = seen.certain + seen.likely
        evidence = (
            *evidence,
            f"Scan of {seen.path}, {when(seen.at)}: {counted(found, 'query', 'queries')} still to "
            f"be changed ({seen.certain} certain, {seen.likely} likely) in "
            f"{counted(seen.files, 'file')}, {seen.not_read} not read",
        )
    return state, evidence


def _tried(facts: Facts) -> Judged:
    return _steps(facts, "workflows", "smoke")


def _opened(facts: Facts) -> Judged:
    state, evidence = _steps(facts, "maintenance_off")
    clock = window_clock(facts.window, facts.rehearse, facts.migrate)
    if state == "done" and clock.real_seconds is not None:
        said = f"The window lasted {duration(clock.real_seconds)}"
        if clock.planned_seconds is not None:
            said += f"; the rehearsal took {duration(clock.planned_seconds)}, way back included"
        if clock.locked_seconds is not None:
            said += f"; the write lock was held for {duration(clock.locked_seconds)}"
            if clock.planned_locked_seconds is not None:
                said += f" (rehearsed: {duration(clock.planned_locked_seconds)})"
        evidence = (*evidence, said)
    return state, evidence


def _steps(facts: Facts, *names: str) -> Judged:
    """The line that these steps of the window make up; the gravest of them decides."""
    seen = [facts.window[name] for name in names if name in facts.window]
    asked = [step for step in seen if step.status != "not configured"]
    if not asked:
        planned = facts.plan is not None and any(_is_planned(facts.plan, name) for name in names)
        if planned:
            return "not done", ("It was not done yet.",)
        return "not configured", (_NOT_CONFIGURED,)
    evidence: list[str] = []
    for step in asked:
        evidence += step.evidence
        if step.error:
            evidence.append(f"Failed {when(step.at)}: {clip(step.error, 400)}")
        elif step.status == "started":
            evidence.append(f"Begun {when(step.at)}, and no record says how it ended.")
        else:
            by = f" by {step.by}" if step.by else ""
            evidence.append(f"{when(step.at)}{by}, {duration(step.seconds)}")
    if any(step.status in ("failed", "started") for step in asked):
        return "failed", tuple(evidence)
    missing = [
        name
        for name in names
        if name not in facts.window and facts.plan and _is_planned(facts.plan, name)
    ]
    if missing or any(step.status == "not done" for step in asked):
        return "not done", tuple(evidence)
    return "done", tuple(evidence)


def _is_planned(plan: Plan, name: str) -> bool:
    """Whether the plan says how this step is done or proven; workflows need no plan."""
    if name in ("maintenance_on", "maintenance_off"):
        return bool(getattr(plan.window, name) or plan.window.maintenance)
    return name == "workflows" or getattr(plan.window, name) is not None


def _never_answered(looks: Sequence[Observation]) -> list[str]:
    """The questions that had no answer in any observation."""
    asked = [set(look.unanswered) for look in looks]
    return sorted(set.intersection(*asked)) if asked else []


def _monitoring(facts: Facts) -> Judged:
    stage = facts.stages["monitor"]
    if stage.status == "not run":
        return "not done", ("Nobody has watched since the migration: see `runbook monitor`.",)
    if not facts.looks:
        return "not done", (f"Watching since {when(stage.started_at)}; not looked yet.",)
    ended = str(facts.monitor.get("ended", ""))
    planned = float(facts.monitor.get("planned_seconds", 0))
    seen = sum_up(facts.looks, planned)
    evidence = [
        f"Watched for {duration(seen.watched_seconds)} from {when(seen.since)} to "
        f"{when(seen.until)}, {counted(seen.observations, 'observation')}",
        f"{counted(seen.violated, 'observation')} with a violated invariant or a row without "
        "organization",
    ]
    if seen.first_violation:
        evidence.append(f"First at {clip(seen.first_violation, 300)}")
    if facts.plan is None or facts.plan.monitor.logs:
        evidence.append(f"{counted(seen.log_lines, 'log line')} matched")
    else:
        evidence.append("The plan names no log files.")
    asked = [look for look in facts.looks if look.health is not None]
    if asked:
        evidence.append(f"Well {len(asked) - seen.unhealthy:,} of {len(asked):,} times asked")
    if seen.unanswered:
        evidence.append(
            f"{counted(seen.unanswered, 'observation')} in which a question was not answered"
        )
    if never := _never_answered(facts.looks):
        evidence.append(f"Never answered, so not known to hold: {listed(never)}")
    evidence.append(f"Longest read of the database {duration(seen.longest_read)}")
    if seen.verdict == "fail":
        return "failed", tuple(evidence)
    if ended == "by a rollback":
        return "not done", (*evidence, "Ended, because the migration was taken back.")
    if ended != "in time":
        return "not done", (*evidence, "Not ended yet.")
    # Some minutes less than a day are a day to a scheduler, hours less are not.
    if seen.watched_seconds < 23.9 * 3600:
        return "not done", (*evidence, "The specification asks for 24 h.")
    return "done", tuple(evidence)
