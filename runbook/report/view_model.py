"""The report before it is rendered: what every view of a run (page, JSON, JUnit) is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from runbook.plan.plan import LEVELS
from runbook.report.change_lines import ChangeLine, change_lines
from runbook.report.checklist import ChecklistLine, approval_line, checklist
from runbook.report.contents import Contents, read_contents
from runbook.report.deviations import Unexpected, unexpected
from runbook.report.outcome import Outcome, command, judge
from runbook.report.problems import Problem, problems
from runbook.report.proofs import Proof, proofs
from runbook.report.stage_status import StageStatus, Status
from runbook.report.summary import summary
from runbook.run.findings import Hazard, StepResult, TableDigest
from runbook.run.session import sentence_of
from runbook.script.footprint import FootprintLine
from runbook.wording import duration, listed, moment, when


@dataclass(frozen=True)
class Lane:
    """One stage on the timeline, in seconds; `locked` lies at the end of the stage.

    `pause` is the time since the stage before it ended; `at` the position on a clock that stands
    still during pauses.
    """

    stage: StageStatus
    at: float
    seconds: float
    pause: float
    locked: float = 0.0


@dataclass(frozen=True)
class StepCompared:
    """One step as it was rehearsed and as it ran; None where it did not run."""

    name: str
    title: str
    rehearsed: StepResult | None
    real: StepResult | None


@dataclass(frozen=True)
class TableComparison:
    """One table before and after; digests are empty and rows None where it did not exist.

    `outside_equal` compares the digests of everything outside the footprint; `as_rehearsed` those
    of the rehearsal's outcome with the real one's (but for the timestamp). None: not known.
    """

    table: str
    rows_before: int | None
    rows_after: int | None
    before: str
    after: str
    outside_equal: bool | None
    as_rehearsed: bool | None


@dataclass(frozen=True)
class Prediction:
    """Number of tables of which rehearsal and reality were compared, and how many were equal."""

    compared: int
    fulfilled: int


@dataclass(frozen=True)
class TreatedHazard:
    """A hazard and what was done about it."""

    hazard: Hazard
    done: str


@dataclass(frozen=True)
class ReportView:
    """Everything that a report shows, in plain values."""

    contents: Contents
    outcome: Outcome
    proofs: tuple[Proof, ...]
    checklist: tuple[ChecklistLine, ...]
    timeline: tuple[Lane, ...]
    hazards: tuple[TreatedHazard, ...]
    steps: tuple[StepCompared, ...]
    tables: tuple[TableComparison, ...]
    footprint: tuple[FootprintLine, ...]
    problems: tuple[Problem, ...]
    summary: str
    unexpected: tuple[Unexpected, ...]

    @property
    def changes(self) -> tuple[ChangeLine, ...]:
        """The footprint grouped by object, one line for each change."""
        return change_lines(self.footprint)

    @property
    def counted_by(self) -> frozenset[str]:
        """Who counted rows for the footprint."""
        return frozenset(who for line in self.footprint for who in line.counts)

    @property
    def asked(self) -> frozenset[str]:
        """Who was asked for violating rows."""
        return frozenset(who for i in self.contents.invariants for who in i.violations)

    @property
    def prediction(self) -> Prediction:
        """How many tables came out exactly as the rehearsal said."""
        known = [t.as_rehearsed for t in self.tables if t.as_rehearsed is not None]
        return Prediction(len(known), sum(known))

    @property
    def approvals(self) -> tuple[str, ...]:
        """Who else agreed, a line for each."""
        return tuple(map(approval_line, self.contents.approvals.approvals))

    @property
    def rollback_command(self) -> str:
        """What to type to take the migration back."""
        return command("runbook rollback", self.contents)

    @property
    def unanswered(self) -> Mapping[tuple[str, str], int]:
        """Questions of the monitoring that had no answer, why, and in how many observations."""
        return Counter(
            (question, why)
            for each in self.contents.observations
            for question, why in each.unanswered.items()
        )

    @property
    def seconds(self) -> float:
        """Working time of all stages but monitoring, in seconds."""
        return sum(lane.seconds for lane in self.timeline)


def read_view(run_dir: Path, *, show_values: bool = False) -> ReportView:
    """The view of the run in `run_dir`, which may have stopped anywhere.

    Reads the run folder only, never the database. Personal data is masked unless `show_values`.

    Raises:
        RunFolderError: there is no run in this folder, or its `run.json` is damaged.
    """
    return view_of(read_contents(run_dir, show_values=show_values))


def view_of(contents: Contents) -> ReportView:
    """The view of contents that were read already."""
    proven = proofs(contents)
    lines = checklist(contents)
    return ReportView(
        contents=contents,
        outcome=judge(contents, proven),
        proofs=proven,
        checklist=lines,
        timeline=timeline(contents),
        hazards=hazards(contents),
        steps=steps(contents),
        tables=tables(contents),
        footprint=contents.footprint,
        problems=problems(contents),
        summary=summary(contents),
        unexpected=unexpected(contents, lines),
    )


def timeline(contents: Contents) -> tuple[Lane, ...]:
    """The stages in the order in which they began, without monitoring, which takes a day."""
    locked = {"migrate": contents.migrate, "rollback": contents.rollback}
    began = [s for s in contents.stages.values() if s.started_at and s.name != "monitor"]
    began += window_steps(contents)
    lanes: list[Lane] = []
    at, ended = 0.0, None
    for stage in sorted(began, key=lambda s: s.started_at):
        start, end = moment(stage.started_at), moment(stage.finished_at)
        pause = max((start - ended).total_seconds(), 0.0) if start and ended else 0.0
        record = locked.get(stage.name)
        seconds = max(stage.seconds, 0.0)
        held = min(max(record.locked_seconds, 0.0), seconds) if record else 0.0
        lanes.append(Lane(stage, at, seconds, pause, held))
        at += seconds
        ended = end or ended
    return tuple(lanes)


WINDOW_TITLES = {
    "maintenance_on": "Maintenance on",
    "deploy": "Deployment",
    "health": "Health",
    "workflows": "Workflows",
    "smoke": "Smoke test",
    "maintenance_off": "Maintenance off",
    "undeploy": "Old code put back",
    "recheck": "Invariants again",
}
"""What the steps of the window are called in reports and notebooks."""


def window_steps(contents: Contents) -> list[StageStatus]:
    """The steps of the maintenance window, as they stand on the timeline among the stages."""
    shown = []
    for name, step in contents.window.items():
        at = moment(step.at)
        if step.status == "not configured" or at is None:
            continue
        ended = "" if step.status == "started" else iso(at + timedelta(seconds=step.seconds))
        status: Status = "finished" if step.status in ("done", "not done") else "failed"
        shown.append(
            StageStatus(
                number=0,
                name=name,
                title=WINDOW_TITLES.get(name, name),
                status="started" if step.status == "started" else status,
                started_at=step.at,
                finished_at=ended,
                seconds=step.seconds,
                error=step.error,
            )
        )
    return shown


def execution(contents: Contents, stage: StageStatus) -> str:
    """By which way a stage was executed, by whom where it was somebody else, and what was kept."""
    if not stage.number:  # a step of the window, in the notebook of a stage
        return ""
    operator = stage.operator if stage.operator != contents.operator else ""
    ticket = stage.ticket if stage.ticket != contents.ticket else ""
    words = sentence_of(stage.way, operator, ticket)
    if stage.name == "report" and stage.status == "started":  # this page is part of its notebook
        return words
    if stage.notebooks:
        kept = (
            f"notebooks/{name}" + (f" (executed {sentence_of(way)})" if way != stage.way else "")
            for name, way in stage.notebooks.items()
        )
        return f"{words}: {listed(list(kept))}"
    return f"{words}, its notebook was not kept" if stage.way else words


def iso(at: datetime) -> str:
    """An instant as the records write it."""
    return at.isoformat(timespec="milliseconds")


def hazards(contents: Contents) -> tuple[TreatedHazard, ...]:
    """The hazards, the gravest first, each with what was done about it."""
    items = contents.preflight.hazards if contents.preflight else ()
    gravest_first = sorted(items, key=lambda h: LEVELS.index(h.level))
    return tuple(TreatedHazard(h, _done_about(h, contents)) for h in gravest_first)


def _done_about(hazard: Hazard, contents: Contents) -> str:
    if hazard.level == "block":
        return "Stopped the run."
    if hazard.level == "note":
        return "For information."
    if hazard.accepted_by:
        return f"Accepted by {hazard.accepted_by}, {when(hazard.accepted_at)}."
    confirmation = contents.migrate.confirmation if contents.migrate else None
    if confirmation and hazard.code in confirmation.warnings:
        by = confirmation.by or "an unnamed person"
        return f"Accepted by {by} ({confirmation.how}), {when(confirmation.at)}."
    return "Not accepted."


def steps(contents: Contents) -> tuple[StepCompared, ...]:
    """The steps of the migration next to those of the rehearsal."""
    return compare_steps(contents.rehearse.steps if contents.rehearse else (), contents.steps)


def compare_steps(
    rehearsed_steps: Sequence[StepResult], real_steps: Sequence[StepResult]
) -> tuple[StepCompared, ...]:
    """Each step as it was rehearsed, next to what it really was."""
    rehearsed = {s.name: s for s in rehearsed_steps}
    real = {s.name: s for s in real_steps}
    names = [*rehearsed, *(name for name in real if name not in rehearsed)]
    return tuple(
        StepCompared(
            name, (real.get(name) or rehearsed[name]).title, rehearsed.get(name), real.get(name)
        )
        for name in names
    )


def tables(contents: Contents) -> tuple[TableComparison, ...]:
    """Every table that existed before or exists after, with rows and digests."""
    before = _digests(contents.snapshot.digests if contents.snapshot else ())
    after = _digests(contents.verify.digests if contents.verify else ())
    rehearsed = _digests(contents.rehearse.digests if contents.rehearse else ())
    rows_before = {name: d.rows for name, d in before.items()}
    rows_after = {name: d.rows for name, d in after.items()}
    if contents.verify:
        rows_before |= contents.verify.rows_before
        rows_after |= contents.verify.rows_after
    names = dict.fromkeys([*rows_before, *rows_after])
    return tuple(
        TableComparison(
            name,
            rows_before.get(name),
            rows_after.get(name),
            before[name].all_columns if name in before else "",
            after[name].all_columns if name in after else "",
            before[name].outside == after[name].outside
            if name in before and name in after
            else None,
            rehearsed[name].timeless == after[name].timeless
            if name in rehearsed and name in after and rehearsed[name].timeless
            else None,
        )
        for name in names
    )


def _digests(digests: tuple[TableDigest, ...]) -> dict[str, TableDigest]:
    return {d.table: d for d in digests}


def window(view: ReportView) -> str:
    """The working time of the run, for people."""
    return duration(view.seconds) if view.timeline else "nothing ran"
