"""The pictures: static SVG inside the page, drawn by hand because bars need no library.

Every picture has a title and a description in words. What is told apart is told apart by pattern
and label, colours come from the page's style sheet, so that dark mode, print and greyscale need
no other pictures. All numbers in a picture stand in a table of the report as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup, escape

from runbook.report.view_model import ReportView
from runbook.wording import clip, clock, counted, duration, number

Kind = Literal["solid", "hatched"]

_WIDTH = 460  # user units; the page scales the picture to its column
_WIDE = 960
_LABEL_ROOM = 270  # room for a label beside its bars, in a wide picture
_VALUE = 92  # room for the number behind a bar
_BAR, _GAP, _LABEL = 13, 15, 20
_MOST_BARS = 24
_MOST_TABLES = 8
_SHORTEST = 0.01
"""Of the longest step; a shorter one is not drawn."""


@dataclass(frozen=True)
class Bar:
    """One bar: how long, what is written behind it, and how it is filled."""

    value: float
    text: str
    kind: Kind = "solid"


@dataclass(frozen=True)
class Group:
    """Bars that belong together, under one label."""

    label: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Picture:
    """What a picture is called, how wide it is, and what it shows in words."""

    name: str
    width: int
    title: str
    description: str


def charts(view: ReportView) -> dict[str, Markup]:
    """The pictures by name; one without anything to show is an empty text."""
    return {
        f"{name}_{kind}": draw(view, width)
        for name, draw in (
            ("timeline", timeline),
            ("sizes", organization_sizes),
            ("rows", rows_before_and_after),
            ("rehearsal", rehearsal_and_reality),
        )
        for kind, width in (("wide", _WIDE), ("narrow", _WIDTH))
    }


# -- the four pictures -------------------------------------------------------------------------


def timeline(view: ReportView, width: int) -> Markup:
    """The stages one below the other on one clock that stands still during pauses."""
    lanes = view.timeline
    total = sum(lane.seconds for lane in lanes)
    if not lanes or not total:
        return Markup()
    left = 190 if width > _WIDTH else 104
    right, row, top = 88, 44, 8
    scale = (width - left - right) / total
    name = f"timeline-{width}"
    parts = []
    described = []
    for index, lane in enumerate(lanes):
        y = top + index * row
        x, length = left + lane.at * scale, max(lane.seconds * scale, 2)
        title, at = lane.stage.title, clock(lane.stage.started_at)
        parts.append(_text(0, y + 14, title, "label"))
        pause = f" after {duration(lane.pause)}" if lane.pause >= 60 and width > _WIDTH else ""
        parts.append(_text(0, y + 29, at + pause, "soft"))
        parts.append(_rect(left, y + 2, (width - left - right, 18), "track"))
        parts.append(_rect(x, y + 2, (length, 18), "bar quiet"))
        shown = duration(lane.seconds) if lane.stage.finished_at else "now"
        parts.append(_text(width, y + 16, shown, "value end"))
        words = f"{title} from {at}, {shown}"
        if lane.stage.status == "failed":
            parts.append(_text(width, y + 32, "failed", "strong end"))
            words += ", failed"
        if lane.locked:
            held = max(lane.locked * scale, 3)
            parts.append(
                _rect(x + length - held, y + 2, (held, 18), "locked", fill=f"{name}-hatch")
            )
            label = f"write lock {duration(lane.locked)}"
            # Under the locked part, but always inside the drawing.
            near = min(max(x + length, left + 140), width - right)
            parts.append(_text(near, y + 35, label, "strong end"))
            words += f", of which the write lock was held {duration(lane.locked)}"
        described.append(words)
    height = top + len(lanes) * row
    picture = Picture(
        name,
        width,
        "Timeline of the run",
        f"{'; '.join(described)}. Pauses between the stages are left out.",
    )
    return _svg(picture, height, "".join(parts))


def organization_sizes(view: ReportView, width: int) -> Markup:
    """How many organizations have how many rows."""
    sizes = dict(view.contents.verify.organization_sizes) if view.contents.verify else {}
    groups = [
        Group(_rows(band), (Bar(count, number(count)),))
        for band, count in list(sizes.items())[:_MOST_BARS]
    ]
    described = "; ".join(f"{g.label}: {g.bars[0].text}" for g in groups)
    picture = Picture(
        "sizes",
        width,
        "Organizations by number of rows",
        f"Number of organizations by size: {described}.",
    )
    return _bars(picture, groups)


def rows_before_and_after(view: ReportView, width: int) -> Markup:
    """Rows of the tables that changed most, then of the largest."""
    known = [t for t in view.tables if t.rows_after is not None]
    known.sort(key=lambda t: (t.rows_before == t.rows_after, -(t.rows_after or 0)))
    groups = [
        Group(
            t.table,
            (
                Bar(t.rows_before or 0, number(t.rows_before or 0), "hatched"),
                Bar(t.rows_after or 0, number(t.rows_after or 0)),
            ),
        )
        for t in known[:_MOST_TABLES]
    ]
    described = "; ".join(
        f"{g.label} {g.bars[0].text} before, {g.bars[1].text} after" for g in groups
    )
    picture = Picture("rows", width, "Rows before and after", f"Rows by table: {described}.")
    return _bars(picture, groups, ("before", "after"))


def rehearsal_and_reality(view: ReportView, width: int) -> Markup:
    """Seconds of each step, rehearsed and real; a step too short for a bar is left out."""
    both = [s for s in view.steps if s.rehearsed and s.real]
    times = {s.name: max(t.seconds for t in (s.rehearsed, s.real) if t) for s in both}
    longest = max(times.values(), default=0.0)
    both = [s for s in both if times[s.name] >= max(longest * _SHORTEST, 0.0005)]
    groups = [
        Group(
            s.title,
            (
                Bar(s.rehearsed.seconds, duration(s.rehearsed.seconds), "hatched"),
                Bar(s.real.seconds, duration(s.real.seconds)),
            ),
        )
        for s in both[:_MOST_BARS]
        if s.rehearsed and s.real
    ]
    described = "; ".join(
        f"{g.label}: rehearsed {g.bars[0].text}, real {g.bars[1].text}" for g in groups
    )
    picture = Picture("rehearsal", width, "Rehearsal and reality", f"Seconds by step: {described}.")
    return _bars(picture, groups, ("rehearsed", "real"))


def _rows(band: str) -> str:
    if band.isdigit():
        return counted(int(band), "row")
    return f"{band} rows" if band[-1:].isdigit() else band


# -- drawing -----------------------------------------------------------------------------------


def _bars(picture: Picture, groups: Sequence[Group], legend: tuple[str, ...] = ()) -> Markup:
    """Horizontal bars, the number behind; the label beside them where there is room, else above."""
    longest = max((bar.value for group in groups for bar in group.bars), default=0)
    if not longest:
        return Markup()
    width, name = picture.width, f"{picture.name}-{picture.width}"
    left = _LABEL_ROOM if width > _WIDTH else 0
    scale = (width - left - _VALUE) / longest
    parts = []
    y = 0
    if legend:
        parts.append(_rect(left + 1, y + 2, (22, 11), "hatched", fill=f"{name}-hatch"))
        parts.append(_text(left + 30, y + 13, legend[0], "soft"))
        parts.append(_rect(left + 131, y + 2, (22, 11), "bar"))
        parts.append(_text(left + 160, y + 13, legend[1], "soft"))
        y += 32
    for group in groups:
        # Next to several bars, in the middle of them.
        middle = y + 11 + (len(group.bars) - 1) * (_BAR + 4) / 2
        label = clip(group.label, 34 if left else 48)
        parts.append(_text(0, middle if left else y + 13, label, "label"))
        y += 0 if left else _LABEL
        for bar in group.bars:
            # A bar never vanishes where there is something, and nothing is drawn for nothing.
            length = max(bar.value * scale, 1.5) if bar.value else 0
            hatched = bar.kind == "hatched"
            if length:
                parts.append(
                    _rect(
                        left + 1,
                        y,
                        (length, _BAR),
                        "hatched" if hatched else "bar",
                        fill=f"{name}-hatch" if hatched else "",
                    )
                )
            parts.append(_text(left + length + 8, y + 11, bar.text, "value"))
            y += _BAR + 4
        y += _GAP
    return _svg(dataclasses.replace(picture, name=name), y - _GAP + 4, "".join(parts))


def _svg(picture: Picture, height: float, body: str) -> Markup:
    """The picture with its text alternative; `body` is markup whose texts are escaped already."""
    return Markup(
        '<svg class="chart" role="img" viewBox="0 0 {width} {height}" width="{width}" '
        'height="{height}" aria-labelledby="{name}-title {name}-desc">'
        '<title id="{name}-title">{title}</title><desc id="{name}-desc">{description}</desc>'
        '<defs><pattern id="{name}-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="6" height="6" class="hatch-ground"/>'
        '<line x1="0" y1="0" x2="0" y2="6" class="hatch-line"/></pattern></defs>{body}</svg>'
    ).format(
        name=picture.name,
        width=picture.width,
        height=round(height),
        title=picture.title,
        description=clip(picture.description, 1500),
        body=Markup(body),
    )


def _rect(x: float, y: float, size: tuple[float, float], style: str, *, fill: str = "") -> str:
    width, height = size
    pattern = f' fill="url(#{fill})"' if fill else ""
    return (
        f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="2"{pattern}/>'
    )


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
