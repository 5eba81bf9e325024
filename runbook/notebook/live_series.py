"""The series of a monitoring in a notebook's page, which grows while it is watched."""

from __future__ import annotations

from typing import Any

from runbook.notebook.pictures import monitored
from runbook.notebook.window_tables import latest
from runbook.report.masking import mask_observation
from runbook.run.folder import Run
from runbook.run.window_records import Observation
from runbook.window.series import read_series, watched_seconds
from runbook.wording import counted, duration


class Series:
    """A picture and a table of what was observed so far, read from the run folder each time.

    So it holds what earlier kernels observed, too; what was drawn last stays in the page when the
    watching is interrupted. It is HTML, which a saved notebook shows without a kernel.
    """

    def __init__(self, run: Run, planned: float) -> None:
        self._run = run
        self._planned = planned
        self.observations: tuple[Observation, ...] = tuple(
            mask_observation(each, run.info.plan) for each in read_series(run.folder)
        )

    def _repr_html_(self) -> str:
        if not self.observations:
            return "<p><em>Nothing was observed yet.</em></p>"
        return f"{monitored(self.observations)._repr_html_()}<p>{self._sum()}</p>{self._table()}"

    def __repr__(self) -> str:
        if not self.observations:
            return "Nothing was observed yet."
        return f"{self._sum()}\n{latest(self.observations)}"

    def _sum(self) -> str:
        number = counted(len(self.observations), "observation")
        watched = duration(watched_seconds(self.observations))
        return f"{number}, {watched} watched of {duration(self._planned)}; the latest first:"

    def _table(self) -> str:
        return latest(self.observations)._repr_html_()


class LiveSeries:
    """Draws the series anew with each observation; for whom nobody watches, once in the end."""

    def __init__(self, run: Run, planned: float, *, live: bool) -> None:
        self._run, self._planned, self._live = run, planned, live
        self._handle: Any = None
        if live and read_series(run.folder):
            self.draw()

    def __call__(self, observation: Observation) -> None:
        """Draws it, if somebody is there."""
        if self._live:
            self.draw()

    def draw(self) -> None:
        """Shows the series as the run folder has it now, in the place where it was shown first."""
        from IPython.display import display

        series = Series(self._run, self._planned)
        if self._handle is not None:
            self._handle.update(series)
        elif self._live:
            self._handle = display(series, display_id=True)  # type: ignore[no-untyped-call]
        else:
            display(series)  # type: ignore[no-untyped-call]

    def end(self) -> None:
        """Shows it once where it was not drawn all along."""
        if not self._live:
            self.draw()
