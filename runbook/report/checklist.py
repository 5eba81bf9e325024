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
from runbook.report.contents import Contents
from runbook.report.outcome import command
from runbook.run.approvals import JudgedApproval, Standing
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
    details: tuple[str, ...]


_NOT_CONFIGURED = "The plan names no command or address for this, so nothing was done or checked."


def checklist(contents: Contents) -> tuple[ChecklistLine, ...]:
    """The eight lines of the specification's checklist."""
    lines = (
        ChecklistLine(1, "Back up the database", "Backup exists and tested", *_backup(contents)),
        ChecklistLine(2, "Enable maintenance mode", "Users see maintenance page", *_shut(contents)),
        ChecklistLine(3, "Run the migration script", "No SQL errors", *_migration(contents)),
        ChecklistLine(4, "Run the verification", "All checks pass", *_verification(contents)),
        ChecklistLine(5, "Deploy the new code", "Health checks pass", *_deployed(contents)),
        ChecklistLine(
            6, "Test the key workflows", "Create, read, update and delete work", *_tried(contents)
        ),
        ChecklistLine(7, "Disable maintenance mode", "Users can access again", *_opened(contents)),
        ChecklistLine(8, "Monitor for 24 h", "No errors in logs", *_monitoring(contents)),
    )
    return tuple(_with_tick(line, contents) for line in lines)


def _with_tick(line: ChecklistLine, contents: Contents) -> ChecklistLine:
    """The line with the names of all who ticked it by hand, which never makes it done."""
    ticks = contents.ticks.get(line.number, ())
    if not ticks or line.state == "done":
        return line
    word = "Not configured; ticked" if line.state == "not configured" else "Ticked"
    ticked = tuple(
        f"{word} by {tick.by}, {when(tick.at)}" + (f": {tick.note}" if tick.note else "")
        for tick in ticks
    )
    details = tuple(e for e in line.details if e != _NOT_CONFIGURED)
    return dataclasses.replace(line, details=(*ticked, *details))


Judged = tuple[State, tuple[str, ...]]


def _backup(contents: Contents) -> Judged:
    stage, snapshot = contents.stages["snapshot"], contents.snapshot
    if snapshot is None:
        return (
            ("failed", (stage.error,)) if stage.error else ("not done", ("No backup was taken.",))
        )
    backup = snapshot.backup
    details = (
        f"{backup.file}, {size(backup.bytes)}, written {when(stage.finished_at)}",
        f"SHA-256 {backup.sha256}",
    )
    if contents.backup_gone:
        gone = f"{contents.backup_gone}: put it back, for nothing can be restored without it."
        return "failed", (*details, gone)
    if not backup.restored_equal:
        return "failed", (*details, "Restored once, and the result was not identical to it.")
    tables = counted(backup.tables_compared, "table")
    return "done", (
        *details,
        f"Restored once and compared: {tables}, equal to the byte.",
        f"The restored file is sound ({backup.checked_by}).",
    )


def _migration(contents: Contents) -> Judged:
    stage, record = contents.stages["migrate"], contents.migrate
    if record is None or not record.committed:
        if stage.error:
            return "failed", (stage.error,)
        if stage.status in ("started", "proven", "damaged"):
            return "failed", ("It was begun, and no record says how it ended.",)
        return "not done", ("The migration did not run.", *_approvals(contents.approvals))
    details = [
        f"{counted(len(record.steps), 'step')} without an SQL error, "
        f"{counted(sum(s.rows for s in record.steps), 'row')} written",
        f"Write lock held for {duration(record.locked_seconds)}",
    ]
    if record.ledger:
        details.append(f"Committed with its ledger row, {when(record.ledger.applied_at)}")
        details.append(f"SHA-256 of the script {record.ledger.checksum}")
    if record.confirmation:
        by = record.confirmation
        details.append(f"Confirmed by {by.by or 'an unnamed person'} ({by.how}), {when(by.at)}")
    details += _approvals(contents.approvals)
    if record.note:
        details.append(f"{record.note[:1].upper()}{record.note[1:]}.")
    if contents.rollback and contents.rollback.done:
        ended = when(contents.stages["rollback"].finished_at)
        return "failed", (*details, f"Taken back by a rollback, {ended}")
    return "done", tuple(details)


def _approvals(standing: Standing) -> tuple[str, ...]:
    """Who else agreed, and who must yet."""
    lines = [approval_line(judged) for judged in standing.approvals]
    if standing.missing:
        needed = counted(standing.missing, "approval")
        lines.append(f"Waits for {needed} by other people than who began the run (runbook approve)")
    return tuple(lines)


def approval_line(judged: JudgedApproval) -> str:
    """Who agreed and when, with which key, and why it does not count where it does not."""
    approval = judged.approval
    by = f"Approved by {approval.by}, {when(approval.at)}"
    if approval.key:
        whose = f" of {approval.principal}" if approval.principal else ""
        by += f", signed with {approval.key}{whose}"
    elif judged.same_account:
        by += f", from the account that began the run ({approval.account})"
    return f"{by}; void: {judged.void}" if judged.void else by


def _verification(contents: Contents) -> Judged:
    stage, record = contents.stages["verify"], contents.verify
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
    bad = bool(record.verdict != "pass" or record.findings or stage.status == "failed")
    asked = contents.window.get("recheck")
    again = [
        f"Verified before, {when(tried.stage.finished_at)}: verdict {tried.verdict}, "
        f"{counted(tried.findings, 'finding')}, kept in {tried.file}"
        for tried in contents.attempts
        if tried.verdict
    ]
    if asked is not None:
        again += [f"{line}, {when(asked.at)}" for line in asked.details]
        if asked.status != "done":
            bad = True
            again.append(f"Failed {when(asked.at)}: {clip(asked.error or 'it was cut off', 400)}")
    return ("failed" if bad else "done"), (*counts, *again)


def _shut(contents: Contents) -> Judged:
    return _steps(contents, "maintenance_on")


def _deployed(contents: Contents) -> Judged:
    state, details = _steps(contents, "deploy", "health")
    undone = contents.window.get("undeploy")
    if undone is not None and undone.status != "not configured":
        details = (*details, f"The old code was put back, {when(undone.at)}: {undone.status}")
        state = "failed" if state == "done" else state
    if contents.scan is not None:
        scan = contents.scan
        queries = scan.certain + scan.likely
        details = (
            *details,
            f"Scan of {scan.path}, {when(scan.at)}: {counted(queries, 'query', 'queries')} still "
            f"to be changed ({scan.certain} certain, {scan.likely} likely) in "
            f"{counted(scan.files, 'file')}, {scan.not_read} not read",
        )
    return state, details


def _tried(contents: Contents) -> Judged:
    return _steps(contents, "workflows", "smoke")


def _opened(contents: Contents) -> Judged:
    state, details = _steps(contents, "maintenance_off")
    clock = window_clock(contents.window, contents.rehearse, contents.migrate)
    if state == "done" and clock.real_seconds is not None:
        lasted = f"The window lasted {duration(clock.real_seconds)}"
        if clock.planned_seconds is not None:
            lasted += f"; the rehearsal took {duration(clock.planned_seconds)}, rollback included"
        if clock.locked_seconds is not None:
            lasted += f"; the write lock was held for {duration(clock.locked_seconds)}"
            if clock.planned_locked_seconds is not None:
                lasted += f" (rehearsed: {duration(clock.planned_locked_seconds)})"
        details = (*details, lasted)
    return state, details


def _steps(contents: Contents, *names: str) -> Judged:
    """The line that these steps of the window make up; the gravest of them decides."""
    taken = [contents.window[name] for name in names if name in contents.window]
    asked = [step for step in taken if step.status != "not configured"]
    if not asked:
        planned = contents.plan is not None and any(
            _is_planned(contents.plan, name) for name in names
        )
        if planned:
            return "not done", ("It was not done yet.",)
        return "not configured", (_NOT_CONFIGURED,)
    details: list[str] = []
    for step in asked:
        details += step.details
        if step.error:
            details.append(f"Failed {when(step.at)}: {clip(step.error, 400)}")
        elif step.status == "started":
            details.append(f"Begun {when(step.at)}, and no record says how it ended.")
        else:
            by = f" by {step.by}" if step.by else ""
            details.append(f"{when(step.at)}{by}, {duration(step.seconds)}")
    if any(step.status in ("failed", "started") for step in asked):
        return "failed", tuple(details)
    missing = [
        name
        for name in names
        if name not in contents.window and contents.plan and _is_planned(contents.plan, name)
    ]
    if missing or any(step.status == "not done" for step in asked):
        return "not done", tuple(details)
    return "done", tuple(details)


def _is_planned(plan: Plan, name: str) -> bool:
    """Whether the plan says how this step is done or proven; workflows need no plan."""
    if name in ("maintenance_on", "maintenance_off"):
        return bool(getattr(plan.window, name) or plan.window.maintenance)
    return name == "workflows" or getattr(plan.window, name) is not None


def _never_answered(observations: Sequence[Observation]) -> list[str]:
    """The questions that had no answer in any observation."""
    asked = [set(each.unanswered) for each in observations]
    return sorted(set.intersection(*asked)) if asked else []


def _monitoring(contents: Contents) -> Judged:
    stage = contents.stages["monitor"]
    if stage.status == "not run":
        watch = command("runbook monitor", contents)
        return "not done", (f"Not watched since the migration; `{watch}` does.",)
    if not contents.observations:
        return "not done", (f"Watching since {when(stage.started_at)}; no observation yet.",)
    ended = str(contents.monitor.get("ended", ""))
    planned = float(contents.monitor.get("planned_seconds", 0))
    total = sum_up(contents.observations, planned)
    details = [
        f"Watched for {duration(total.watched_seconds)} from {when(total.start)} to "
        f"{when(total.until)}, {counted(total.observations, 'observation')}",
        f"{counted(total.violated, 'observation')} with a violated invariant or a row without "
        "organization",
    ]
    if total.first_violation:
        details.append(f"First at {clip(total.first_violation, 300)}")
    if contents.plan is None or contents.plan.monitor.logs:
        details.append(f"{counted(total.log_lines, 'log line')} matched")
    else:
        details.append("The plan names no log files.")
    asked = [each for each in contents.observations if each.health is not None]
    if asked:
        details.append(
            f"Healthy {len(asked) - total.unhealthy:,} of {counted(len(asked), 'time')} asked"
        )
    if total.unanswered:
        details.append(
            f"{counted(total.unanswered, 'observation')} in which a question was not answered"
        )
    if never := _never_answered(contents.observations):
        details.append(f"Never answered, so not known to hold: {listed(never)}")
    details.append(f"Longest read of the database {duration(total.longest_read)}")
    if total.verdict == "fail":
        return "failed", tuple(details)
    if ended == "by a rollback":
        return "not done", (*details, "Ended, because the migration was taken back.")
    if ended != "in time":
        return "not done", (*details, "Not finished yet.")
    # Some minutes less than a day are a day to a scheduler, hours less are not.
    if total.watched_seconds < 23.9 * 3600:
        return "not done", (*details, "The specification asks for 24 h.")
    return "done", tuple(details)
