"""Pictures in the notebooks: the report's own, each standing alone.

They are images in HTML, which JupyterLab also shows in a notebook that it does not trust yet, and
which a saved notebook holds without a kernel.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from runbook.report.charts import rows_predicted_and_counted, seconds_by_step
from runbook.report.masking import mask_observation
from runbook.report.monitoring_chart import monitoring_chart
from runbook.report.view_model import compare_steps
from runbook.run.folder import Run
from runbook.run.records import MigrateRecord, RehearseRecord, VerifyRecord
from runbook.run.window_records import Observation
from runbook.window.series import read_series
from runbook.wording import duration

WIDTH = 820

LEAST_SECONDS = 1.0
"""What is shorter needs no picture in a notebook: nobody waits for it."""


class Drawing:
    """A picture that shows itself in a notebook; without one, a sentence that says why."""

    def __init__(self, svg: str, words: str) -> None:
        self._svg = svg
        self._words = words

    def _repr_html_(self) -> str:
        words = html.escape(self._words)
        if not self._svg:
            return f"<p><em>{words}</em></p>"
        data = base64.b64encode(self._svg.encode()).decode()
        return f'<img alt="{words}" src="data:image/svg+xml;base64,{data}" style="max-width:100%">'

    def __repr__(self) -> str:
        return self._words


def predicted_rows(record: RehearseRecord | VerifyRecord) -> Drawing:
    """Rows predicted, beside those that were counted: on the copy, or in the database."""
    counted = "rehearsed" if isinstance(record, RehearseRecord) else "real"
    svg = rows_predicted_and_counted(record.footprint, WIDTH, counted_where=counted)
    if not svg:
        return Drawing("", "No rows were counted, so there is nothing to draw.")
    return Drawing(svg, f"Rows predicted and {counted}, for each change.")


def predicted_seconds(run: Run) -> Drawing:
    """Seconds of each longer step as it was rehearsed, beside those that it really took."""
    if not (run.finished("rehearse") and run.finished("migrate")):
        return Drawing("", "There was no rehearsal, so no seconds were predicted.")
    rehearsed = run.result("rehearse", RehearseRecord).steps
    steps = compare_steps(rehearsed, run.result("migrate", MigrateRecord).steps)
    svg = seconds_by_step(steps, WIDTH, least=LEAST_SECONDS, alone=True)
    if not svg:
        least = duration(LEAST_SECONDS)
        return Drawing("", f"No step took {least}, so there is nothing to draw.")
    return Drawing(svg, "Seconds of each longer step, rehearsed and real.")


def monitoring(run: Run) -> Drawing:
    """The series of the monitoring so far, also that of earlier kernels."""
    return monitored([mask_observation(each, run.info.plan) for each in read_series(run.folder)])


def monitored(series: Sequence[Observation]) -> Drawing:
    """A series of observations."""
    svg = monitoring_chart(series, WIDTH, alone=True)
    words = "Nothing was observed yet." if not svg else "The monitoring so far."
    return Drawing(svg, words)
