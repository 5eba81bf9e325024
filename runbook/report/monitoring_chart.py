"""The picture of the monitoring: one row for each thing watched, time from left to right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from markupsafe import Markup

from runbook.report.charts import Picture, draw
from runbook.run.window_records import Observation
from runbook.wording import counted, number

_MOST = (
    240  # marks in a row; observations that fall into one mark are put together, the worst decides
)

_ROWS: tuple[
    tuple[str, Callable[[Observation], int | None], Callable[[Sequence[int]], str]], ...
] = (
    (
        "Rows without organization",
        lambda each: sum(each.without_organization.values()) if each.without_organization else None,
        lambda counts: counted(max(counts), "row"),
    ),
    (
        "Invariants violated",
        lambda each: sum(1 for v in each.violations.values() if v) if each.violations else None,
        lambda counts: number(max(counts)),
    ),
    ("Log lines that match", lambda each: each.log_lines, lambda counts: number(sum(counts))),
    (
        "Health",
        lambda each: None if each.health is None else int(not each.health.ok),
        lambda counts: f"failed {counted(len(counts), 'time')}",
    ),
)


# Long because it draws one picture from top to bottom.
def monitoring_chart(
    series: Sequence[Observation],
    width: int = 960,
    name: str = "monitoring",
    *,
    alone: bool = False,
) -> Markup:
    """The series as SVG; an empty text where nothing was observed.

    A quiet mark is an observation at which nothing was amiss; a red, taller one is one at which
    something was; no mark means no observation, or no answer. One that stands `alone` brings its
    style along.
    """
    if not series:
        return Markup()
    times = [datetime.fromisoformat(each.at).timestamp() for each in series]
    places = min(len(series), _MOST)
    rows: list[dict[str, object]] = []
    described: list[str] = []
    for title, value, summary in _ROWS:
        marks = _marks(zip(times, map(value, series), strict=True), places)
        amounts = [n for n in map(value, series) if n]
        bad = len(amounts)
        if not marks:
            shown = "not watched"
        elif not bad:
            shown = "no problem"
        else:
            shown = summary(amounts)
        rows.append({"title": title, "marks": marks, "shown": shown})
        described.append(
            f"{title}: {shown}" + (f", in {counted(bad, 'observation')}" if bad else "")
        )
    first, last = series[0].at, series[-1].at
    observations = counted(len(series), "observation")
    description = f"{observations} from {first} to {last}. {'; '.join(described)}."
    picture = Picture(name, "Monitoring", description, alone=alone)
    return draw("monitoring", picture, width, rows, places, first, last)


def _marks(values: Iterable[tuple[float, int | None]], places: int) -> dict[int, int]:
    """Place on the line to the most that was counted there; nothing where there was no answer."""
    marks: dict[int, int] = {}
    series = list(values)
    first = series[0][0]
    span = max(series[-1][0] - first, 1.0)
    for at, amount in series:
        if amount is not None:
            # The nearest, so that an observation which came a little late leaves no gap.
            place = round((at - first) / span * (places - 1))
            marks[place] = max(marks.get(place, 0), amount)
    return marks
