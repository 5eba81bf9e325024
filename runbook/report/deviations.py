"""What did not go as it was planned: a failure that was overcome later is part of what happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from runbook.report.checklist import ChecklistLine
from runbook.report.contents import Contents
from runbook.report.stage_status import Attempt, StageStatus
from runbook.wording import clip, counted, duration, listed, when

_SLOWER = 2.0
_SECONDS = 1.0
"""A write lock is off its prediction if it is so many times, and so many seconds, longer."""


@dataclass(frozen=True)
class Unexpected:
    """One thing: of which kind it is, and a sentence or two about it."""

    kind: str
    what: str


LOOKED_AT = (
    "attempts that failed or were interrupted",
    "problems observed since",
    "hazards that were accepted",
    "predictions that were off",
    "stages that were not executed as notebooks",
    "lines of the checklist that are open",
)
"""What is looked for; where there is none of it, the report says that, too."""


def unexpected(contents: Contents, lines: Sequence[ChecklistLine]) -> tuple[Unexpected, ...]:
    """Everything unexpected about a run, in the order of `LOOKED_AT`."""
    return (
        *_attempts(contents),
        *_observed(contents),
        *_accepted(contents),
        *_predictions(contents),
        *_notebooks(contents),
        *_open_lines(contents, lines),
    )


def _attempts(contents: Contents) -> Iterator[Unexpected]:
    for attempt in contents.attempts:
        sentence = attempt_sentence(attempt)
        if sentence:
            after = _after(attempt, contents)
            yield Unexpected("Attempt", f"{sentence}{after} The record is kept in {attempt.file}.")
    for name, record in (("migrate", contents.migrate), ("rollback", contents.rollback)):
        if record is not None and record.note:
            title = contents.stages[name].title
            yield Unexpected(title, f"{record.note[:1].upper()}{record.note[1:]}.")


def attempt_sentence(attempt: Attempt) -> str:
    """How an earlier attempt ended; empty where it just was repeated."""
    stage = attempt.stage
    at = when(stage.finished_at or stage.started_at)
    if stage.status in ("started", "proven"):
        return f"{stage.title}, begun {at}, was cut off."
    if stage.status == "damaged":
        return f"The record of an earlier {stage.title.lower()} is damaged."
    if stage.error:
        return f"{stage.title}, {at}, {stage.ending}: {clip(stage.error.rstrip('.'), 300)}."
    if attempt.verdict == "fail":
        return f"Verification, {at}, said fail, with {counted(attempt.findings, 'finding')}."
    if attempt.blocks:
        return f"Preflight, {at}, was blocked by {counted(attempt.blocks, 'hazard')}."
    return ""


def _after(attempt: Attempt, contents: Contents) -> str:
    """How the stage ended in the end, where it did."""
    last: StageStatus = contents.stages[attempt.stage.name]
    if last.status == "finished":
        return f" It succeeded {when(last.finished_at)}."
    return ""


def _accepted(contents: Contents) -> Iterator[Unexpected]:
    hazards = contents.preflight.hazards if contents.preflight else ()
    agreed = contents.migrate.confirmation if contents.migrate else None
    for hazard in hazards:
        if hazard.level != "warn":
            continue
        if hazard.accepted_by:
            by = f", accepted by {hazard.accepted_by}, {when(hazard.accepted_at)}"
        elif agreed is not None and hazard.code in agreed.warnings:
            by = f", accepted by {agreed.by or 'an unnamed person'}, {when(agreed.at)}"
        elif contents.migrate is not None:
            by = ", not accepted by name"
        else:
            by = ", not accepted yet"
        yield Unexpected("Warning", f"{hazard.title} ({hazard.subject}){by}.")


def _open_lines(contents: Contents, lines: Sequence[ChecklistLine]) -> Iterator[Unexpected]:
    """Lines that are open although the run has come past them."""
    migrated = contents.migrate is not None and contents.migrate.committed
    if not migrated or (contents.rollback is not None and contents.rollback.done):
        return
    ticked = set(contents.ticks)
    failed = [line for line in lines if line.state == "failed"]
    open_lines = [
        line for line in lines if line.state not in ("done", "failed") and line.number not in ticked
    ]
    for what, which in (("failed", failed), ("neither done by the runbook nor ticked", open_lines)):
        if which:
            names = listed([f"{line.number} ({line.action.lower()})" for line in which], 8)
            noun = "line" if len(which) == 1 else "lines"
            verb = "is" if len(which) == 1 else "are"
            ended = what if what == "failed" else f"{verb} {what}"
            yield Unexpected("Checklist", f"The {noun} {names} {ended}.")


def _predictions(contents: Contents) -> Iterator[Unexpected]:
    off = [
        f"{line.table}{'.' + line.column if line.column else ''}"
        for line in contents.footprint
        if line.predicted is not None and any(n != line.predicted for n in line.counts.values())
    ]
    if off and not contents.findings:
        yield Unexpected(
            "Prediction",
            f"Other numbers of rows were counted than predicted in {listed(off)}.",
        )
    tried, real = contents.rehearse, contents.migrate
    if tried is None and real is not None and real.committed:
        yield Unexpected("Prediction", "The migration was not rehearsed, so nothing predicted it.")
    if tried is None or real is None or not real.committed:
        return
    if not tried.rolled_back_equal:
        yield Unexpected("Prediction", "The way back did not lead to the beginning on the copy.")
    held, said = real.locked_seconds, tried.locked_seconds
    if held > _SLOWER * said and held - said > _SECONDS:
        yield Unexpected(
            "Prediction",
            f"The write lock was held for {duration(held)}, rehearsed in {duration(said)}.",
        )
    yield from _tables_off(contents)


def _tables_off(contents: Contents) -> Iterable[Unexpected]:
    """Tables that came out otherwise than on the copy."""
    if contents.rehearse is None or contents.verify is None or contents.findings:
        return ()
    now = {d.table: d.timeless for d in contents.verify.digests}
    off = [
        d.table for d in contents.rehearse.digests if d.timeless and now.get(d.table) != d.timeless
    ]
    if not off:
        return ()
    return (Unexpected("Prediction", f"Other than rehearsed came out: {listed(off)}."),)


def _notebooks(contents: Contents) -> Iterator[Unexpected]:
    """Stages whose tables and pictures stand in no notebook; the report has none to show."""
    finished = [s for s in contents.stages.values() if s.status == "finished"]
    finished = [stage for stage in finished if stage.name != "report"]
    plain = [stage.title.lower() for stage in finished if not stage.way]
    if plain and len(plain) == len(finished):
        yield Unexpected("Notebooks", "No stage was executed as a notebook.")
    elif plain:
        yield Unexpected("Notebooks", f"Not executed as notebooks: {listed(plain, 8)}.")


def _observed(contents: Contents) -> Iterator[Unexpected]:
    wrong = [each for each in contents.observations if not each.ok]
    if wrong:
        some = counted(len(wrong), "observation")
        total = counted(len(contents.observations), "observation")
        yield Unexpected(
            "Monitoring", f"{some} of {total} found a problem, the first {when(wrong[0].at)}."
        )
    for name, step in contents.window.items():
        if step.status == "failed":
            title = name.replace("_", " ")
            text = clip(step.error.rstrip("."), 300)
            yield Unexpected("Window", f"{title[:1].upper()}{title[1:]}, {when(step.at)}: {text}.")
