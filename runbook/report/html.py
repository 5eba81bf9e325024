"""The report for people: one page that needs nothing but itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup

from runbook import wording as text
from runbook.report.charts import MOST_BARS, charts
from runbook.report.deviations import LOOKED_AT
from runbook.report.environment import environment, styles
from runbook.report.monitoring_chart import monitoring_chart
from runbook.report.outcome import decided_at, lock_sentence
from runbook.report.plan_text import plan_text
from runbook.report.states import states
from runbook.report.summary import agreed, reversible, watched
from runbook.report.view_model import ReportView, execution, window

MOST_BYTES = 1_000_000
"""No report is longer, whatever the database holds."""


@dataclass(frozen=True)
class Limits:
    """How much is shown: rows of a table, findings, samples of each, characters of a value."""

    rows: int
    findings: int
    samples: int
    characters: int
    sql: int


# Escaping can make a text six times as long, so the first that fits is taken; the last always does.
_LIMITS = (
    Limits(rows=200, findings=50, samples=10, characters=240, sql=150_000),
    Limits(rows=100, findings=25, samples=5, characters=120, sql=40_000),
    Limits(rows=40, findings=10, samples=3, characters=60, sql=10_000),
)


def html(view: ReportView) -> bytes:
    """The report as one HTML page in UTF-8, under `MOST_BYTES` long."""
    observations = view.contents.observations
    pictures = charts(view) | {
        "monitoring_wide": monitoring_chart(observations, 960, "monitoring-960"),
        "monitoring_narrow": monitoring_chart(observations, 460, "monitoring-460"),
    }
    page = b""
    for limits in _LIMITS:
        page = _render(view, limits, pictures)
        if len(page) < MOST_BYTES:
            break
    return page


def _margin(view: ReportView) -> str:
    """The run's name for the margin of printed pages, safe inside a string of CSS."""
    plain = re.sub(r"[^A-Za-z0-9 ._:-]", "?", f"run {view.contents.run}")
    return f"{view.outcome.word}, {plain[:100]}"


def _render(view: ReportView, limits: Limits, pictures: dict[str, Markup]) -> bytes:
    def short(value: object) -> str:
        return text.clip(str(value), limits.characters)

    proven_and_wrong = view.outcome.verdict == "pass" and bool(view.outcome.wrong)
    tone = {"proven": "pass", "not proven": "fail", "blocked": "fail"}
    tone |= dict.fromkeys(("stopped", "refused", "unknown"), "fail")
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            contents=view.contents,
            outcome=view.outcome,
            # Proven, and violated afterwards: neither good nor bad.
            tone="open" if proven_and_wrong else tone.get(view.outcome.code, "open"),
            pictures=pictures,
            limits=limits,
            most_bars=MOST_BARS,
            short=short,
            style=styles("charts.css", "report.css"),
            lock=lock_sentence(view.contents),
            decided=decided_at(view.contents),
            window=window(view),
            agreed=agreed,
            reversible=reversible(view.contents),
            watched=watched(view.contents),
            looked_at=LOOKED_AT,
            states=states(view.contents),
            margin=Markup(_margin(view)),
            plan_text=plan_text(view.contents.plan) if view.contents.plan else "",
            execution=lambda stage: execution(view.contents, stage),
        )
        .encode()
    )
