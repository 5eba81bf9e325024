"""One line about what a notebook did: its stage, and each step of the window in it."""

from __future__ import annotations

from runbook.report.change_lines import block, counted_by
from runbook.report.contents import read_contents
from runbook.report.outcome import judge
from runbook.report.proofs import proofs
from runbook.run.command_line import command_line
from runbook.run.folder import Run
from runbook.run.records import (
    MigrateRecord,
    PreflightRecord,
    RehearseRecord,
    ReportRecord,
    RollbackRecord,
    SnapshotRecord,
    VerifyRecord,
)
from runbook.run.window_records import WindowStep
from runbook.window.state import pending_step
from runbook.wording import counted, duration, listed, size, when

RECORDS = {
    "preflight": PreflightRecord,
    "rehearse": RehearseRecord,
    "snapshot": SnapshotRecord,
    "migrate": MigrateRecord,
    "verify": VerifyRecord,
    "report": ReportRecord,
    "rollback": RollbackRecord,
}


def stage_line(run: Run, stage: str, done: str = "") -> str:
    """One line about a finished stage; `done` is put before what it did."""
    return f"  {stage:<10} {done}{summary(run, stage)}"


def hazard_lines(run: Run) -> list[str]:
    """Every hazard that blocks, with what it means and its remedy; personal data is masked."""
    preflight = read_contents(run.folder).preflight
    lines: list[str] = []
    for hazard in preflight.hazards if preflight else ():
        if hazard.level == "block":
            where = f"{hazard.subject}: {hazard.count:,}"
            lines += [
                f"  block      {hazard.title} ({where})",
                f"             {hazard.meaning}",
                f"             Remedy:{_beside_or_below(hazard.remedy)}",
            ]
    return lines


def _beside_or_below(remedy: str) -> str:
    """Statements on several lines begin at the margin, as they are copied."""
    return f"\n{remedy}" if "\n" in remedy else f" {remedy}"


def next_lines(run: Run) -> list[str]:
    """What comes after a run that passed: watching, sealing, and the way back."""
    return [
        "What comes next:",
        f"  watch it       {command_line(run, 'monitor')}",
        f"  seal the run   {command_line(run, 'archive')}",
        f"  take it back   {command_line(run, 'rollback')}",
    ]


def step_line(step: WindowStep, done: str = "") -> str:
    """One line about a step of the window; `done` stands before when, where it was done earlier."""
    what = f"{done}{when(step.at)}" if done else step_summary(step)
    return f"  {step.name.replace('_', ' '):<10} {what}"


def step_summary(step: WindowStep) -> str:
    """What became of a step of the window, in one line."""
    if step.status in ("not configured", "done"):
        return f"done in {duration(step.seconds)}" if step.status == "done" else step.status
    return f"{step.status}: {step.error or '; '.join(step.details)[:160]}"


def summary(run: Run, stage: str) -> str:
    """What a finished stage did, in one line."""
    match run.result(stage, RECORDS[stage]):
        case PreflightRecord(hazards=hazards):
            warnings, notes = (sum(h.level == level for h in hazards) for level in ("warn", "note"))
            return f"nothing blocks; {counted(warnings, 'warning')}, {counted(notes, 'note')}"
        case RehearseRecord() as tried:
            return (
                f"migrated, verified and taken back on a copy in {duration(tried.seconds)}; "
                f"write lock {duration(tried.locked_seconds)}"
            )
        case SnapshotRecord() as taken:
            backup = taken.backup.bytes
            return (
                f"{counted(taken.tables, 'table')}, {counted(taken.rows, 'row')}, "
                f"backup {size(backup)}"
            )
        case MigrateRecord(locked_seconds=seconds):
            return f"committed after the proof; write lock held {duration(seconds)}"
        case VerifyRecord() as verified:
            held = sum(i.holds for i in verified.invariants)
            asked = counted(len(verified.invariants), "invariant")
            return (
                f"verdict {verified.verdict}: {held} of {asked} hold, "
                f"{counted(len(verified.findings), 'finding')}"
            )
        case RollbackRecord() as back:
            return (
                f"taken back after the proof; {counted(back.restored, 'row')} restored, "
                f"{back.kept:,} kept as users wrote them, {back.discarded:,} discarded"
            )
        case ReportRecord() as written:
            return f"{_outcome(run, written)} {run.folder / written.report}"


def _outcome(run: Run, written: ReportRecord) -> str:
    if run.finished("rollback"):
        return "taken back:"
    if written.verdict == "pass":
        over = not pending_step(run, "verify")
        return "verdict pass:" if over else "the database passes, but the window is not over:"
    # Also where nothing was committed, which "verdict fail" would not say.
    contents = read_contents(run.folder)
    return judge(contents, proofs(contents)).headline


def predicted_changes(run: Run) -> list[str]:
    """What the migration will change, a line for each, as it was predicted last; empty: unknown."""
    records: tuple[tuple[str, type[SnapshotRecord | RehearseRecord | PreflightRecord]], ...] = (
        ("snapshot", SnapshotRecord),
        ("rehearse", RehearseRecord),
        ("preflight", PreflightRecord),
    )
    for stage, cls in records:
        footprint = run.result(stage, cls).footprint if run.finished(stage) else ()
        if footprint:
            who = listed(counted_by(footprint))
            rehearsed = f" (rehearsed on a copy, where {who} counted)" if who else ""
            place = run.info.identity.place or run.info.identity.name
            return [*block(f"What will change in {place}{rehearsed}:", footprint), *_ahead(run)]
    return []


def _ahead(run: Run) -> list[str]:
    """For how long writes are blocked, and what was found that is no obstacle."""
    lines = []
    if run.finished("rehearse"):
        seconds = run.result("rehearse", RehearseRecord).locked_seconds
        lines.append(f"  Writes are blocked for about {duration(seconds)}, as rehearsed.")
    hazards = run.result("preflight", PreflightRecord).hazards
    warnings, notes = (sum(h.level == level for h in hazards) for level in ("warn", "note"))
    lines.append(
        f"  Preflight has {counted(warnings, 'warning')}, which are accepted with the name, and "
        f"{counted(notes, 'note')}."
        if warnings
        else f"  Preflight has no warnings, and {counted(notes, 'note')}."
    )
    return lines


def counted_changes(run: Run) -> list[str]:
    """What the migration changed, a line for each, with the rows that were counted."""
    footprint = read_contents(run.folder).footprint
    who = listed(counted_by(footprint))
    name = run.info.identity.name
    return block(f"What changed in {name}, as counted by {who}:", footprint, "") if who else []
