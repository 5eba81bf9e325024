"""The picture of the monitoring: one row for each thing watched, time from left to right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from markupsafe import Markup

from runbook.report.charts import _rect, _svg, _text
from runbook.run.window_records import Observation
from runbook.wording import clock, counted, number, when

_LEFT, _RIGHT, _ROW = 190, 88, 40
_MOST = 240  # marks in a row; looks that fall into one mark are put together, the worst decides

_ROWS: tuple[
    tuple[str, Callable[[Observation], int | None], Callable[[Sequence[int]], str]], ...
] = (
    (
        "Rows without organization",
        lambda look: sum(look.without_organization.values()) if look.without_organization else None,
        lambda found: counted(max(found), "row"),
    ),
    (
        "Invariants violated",
        lambda look: sum(1 for v in look.violations.values() if v) if look.violations else None,
        lambda found: number(max(found)),
    ),
    ("Log lines that match", lambda look: look.log_lines, lambda found: number(sum(found))),
    (
        "Health",
        lambda look: None if look.health is None else int(not look.health.ok),
        lambda found: f"not {counted(len(found), 'time')}",
    ),
)


def monitoring_chart(
    series: Sequence[Observation], width: int = 960, name: str = "monitoring"
) -> Markup:
    """The series as SVG; an empty text where nobody looked.

    A quiet mark is a look at which nothing was amiss; a red, taller one is a look at which
    something was; no mark means that nobody looked, or that there was no answer.
    """
    if not series:
        return Markup()
    left = _LEFT if width > 500 else 104
    times = [datetime.fromisoformat(look.at).timestamp() for look in series]
    span = max(times[-1] - times[0], 1.0)
    room = width - left - _RIGHT
    places = min(len(series), _MOST)
    step = room / places
    parts: list[str] = []
    said: list[str] = []
    y = 4
    for title, value, say in _ROWS:
        marks: dict[int, int] = {}
        for at, look in zip(times, series, strict=True):
            found = value(look)
            if found is not None:
                # The nearest, so that a look which came a little late leaves no gap.
                place = round((at - times[0]) / span * (places - 1))
                marks[place] = max(marks.get(place, 0), found)
        parts.append(_text(0, y + 16, title, "label"))
        parts.append(_rect(left, y + 14, room, 6, "track"))
        for place, amount in sorted(marks.items()):
            x = left + place * step
            if amount:
                parts.append(_rect(x, y, max(step, 2), 20, "amiss"))
            else:
                parts.append(_rect(x, y + 14, max(step - 0.4, 1), 6, "bar quiet"))
        found_in = [n for n in map(value, series) if n]
        bad = len(found_in)
        if not marks:
            shown = "not watched"
        elif not bad:
            shown = "well"
        else:
            shown = say(found_in)
        parts.append(_text(width, y + 16, shown, "value end"))
        said.append(f"{title}: {shown}" + (f", in {counted(bad, 'look')}" if bad else ""))
        y += _ROW
    parts.append(_text(left, y + 10, when(series[0].at), "soft"))
    parts.append(
        _text(
            width - _RIGHT,
            y + 10,
            when(series[-1].at) if width > 500 else clock(series[-1].at),
            "soft end",
        )
    )
    description = (
        f"{counted(len(series), 'look')} from {series[0].at} to {series[-1].at}. {'; '.join(said)}."
    )
    return _svg(name, width, y + 18, "Monitoring", description, "".join(parts))
