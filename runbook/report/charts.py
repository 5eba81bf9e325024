"""The pictures: what each shows, and in which words; `template/charts.svg.j2` draws them as SVG.

Every picture has a title and a description in words, which holds its numbers too, so no table
repeats it. A colour tells the kind of data, never the verdict. Notebooks show the same pictures,
each standing alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from runbook.report.change_lines import ChangeLine, change_lines
from runbook.report.environment import environment
from runbook.report.view_model import Lane, ReportView, StepCompared
from runbook.script.footprint import FootprintLine
from runbook.wording import clock, counted, duration, number

_NARROW, _WIDE = 460, 960
MOST_BARS = 24
_SHORTEST = 0.01
"""Of the longest step; a shorter one is not drawn."""

SHORTEST_SECONDS = 0.01
"""Nothing shorter is drawn: below it the clock and the machine's other work decide."""


@dataclass(frozen=True)
class Bar:
    """One bar: how long, what is written behind it, and how it is filled."""

    value: float
    text: str
    hatched: bool = False


@dataclass(frozen=True)
class Group:
    """Bars that belong together, under one label."""

    label: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Picture:
    """What a picture is called, what it shows in words, and the kind of data that its colours tell.

    One that stands `alone` brings its style along, as a file does that no page holds.
    """

    name: str
    title: str
    description: str
    kind: str = "amount"
    alone: bool = False


def charts(view: ReportView) -> dict[str, Markup]:
    """The pictures by name; one without anything to show is an empty text."""
    return {
        f"{name}_{kind}": picture(view, width)
        for name, picture in (
            ("timeline", timeline),
            ("sizes", organization_sizes),
            ("rehearsal", rehearsal_and_reality),
        )
        for kind, width in (("wide", _WIDE), ("narrow", _NARROW))
    }


def draw(macro: str, picture: Picture, width: int, *values: object) -> Markup:
    """The picture as SVG, by a macro of the template that takes these values."""
    template = environment().get_template("charts.svg.j2")
    drawn: Markup = getattr(template.module, macro)(picture, width, *values)
    return drawn


def timeline(view: ReportView, width: int) -> Markup:
    """The stages one below the other on one clock that stands still during pauses."""
    lanes = view.timeline
    total = sum(lane.seconds for lane in lanes)
    if total < SHORTEST_SECONDS:
        return Markup()
    described = f"{'; '.join(map(_lane, lanes))}. Pauses between the stages are left out."
    return draw(
        "timeline",
        Picture("timeline", "Timeline of the run", described, "time lanes"),
        width,
        lanes,
        total,
    )


def _lane(lane: Lane) -> str:
    shown = duration(lane.seconds) if lane.stage.finished_at else "now"
    words = f"{lane.stage.title} from {clock(lane.stage.started_at)}, {shown}"
    if lane.stage.status == "failed":
        words += ", failed"
    if lane.locked:
        words += f", of which the write lock was held {duration(lane.locked)}"
    return words


def organization_sizes(view: ReportView, width: int) -> Markup:
    """How many organizations have how many rows."""
    sizes = dict(view.contents.verify.organization_sizes) if view.contents.verify else {}
    groups = [
        Group(_rows(band), (Bar(count, number(count)),))
        for band, count in list(sizes.items())[:MOST_BARS]
    ]
    described = "; ".join(f"{g.label}: {g.bars[0].text}" for g in groups)
    picture = Picture(
        "sizes",
        "Organizations by number of rows",
        f"Number of organizations by size: {described}.",
    )
    return _bars(picture, width, groups)


def rehearsal_and_reality(view: ReportView, width: int) -> Markup:
    """Seconds of each step, rehearsed and real; a step too short for a bar is left out."""
    return seconds_by_step(view.steps, width)


def seconds_by_step(
    steps: Sequence[StepCompared],
    width: int,
    *,
    least: float = SHORTEST_SECONDS,
    alone: bool = False,
) -> Markup:
    """Seconds of each step, rehearsed and real; empty where none took the `least` seconds."""
    both = [s for s in steps if s.rehearsed and s.real]
    times = {s.name: max(t.seconds for t in (s.rehearsed, s.real) if t) for s in both}
    longest = max(times.values(), default=0.0)
    both = [s for s in both if times[s.name] >= max(longest * _SHORTEST, least)]
    groups = [
        Group(
            s.title,
            (
                Bar(s.rehearsed.seconds, duration(s.rehearsed.seconds), hatched=True),
                Bar(s.real.seconds, duration(s.real.seconds)),
            ),
        )
        for s in both[:MOST_BARS]
        if s.rehearsed and s.real
    ]
    described = "; ".join(
        f"{g.label}: rehearsed {g.bars[0].text}, real {g.bars[1].text}" for g in groups
    )
    picture = Picture(
        "rehearsal", "Rehearsal and reality", f"Seconds by step: {described}.", "time", alone
    )
    return _bars(picture, width, groups, ("rehearsed", "real"))


def rows_predicted_and_counted(
    footprint: Iterable[FootprintLine], width: int, *, counted_where: str = "real"
) -> Markup:
    """Rows of each change as predicted, beside what was counted; it stands alone.

    Where those who counted differ, the number farthest from the prediction is drawn.
    """
    lines = [c for c in change_lines(footprint) if c.counts and c.predicted is not None]
    groups = [
        Group(
            line.what,
            (
                Bar(line.predicted or 0, number(line.predicted or 0), hatched=True),
                Bar(_farthest(line), number(_farthest(line))),
            ),
        )
        for line in lines[:MOST_BARS]
    ]
    described = "; ".join(
        f"{g.label}: predicted {g.bars[0].text}, {counted_where} {g.bars[1].text}" for g in groups
    )
    picture = Picture(
        "predicted",
        f"Rows predicted and {counted_where}",
        f"Rows by change: {described}.",
        alone=True,
    )
    return _bars(picture, width, groups, ("predicted", counted_where))


def _farthest(line: ChangeLine) -> int:
    predicted = line.predicted or 0
    return max(line.counts.values(), key=lambda rows: abs(rows - predicted))


def _rows(band: str) -> str:
    if band.isdigit():
        return counted(int(band), "row")
    return f"{band} rows" if band[-1:].isdigit() else band


def _bars(
    picture: Picture, width: int, groups: Sequence[Group], legend: tuple[str, ...] = ()
) -> Markup:
    longest = max((bar.value for group in groups for bar in group.bars), default=0)
    return draw("bars", picture, width, groups, longest, legend) if longest else Markup()
