"""The monitoring in a notebook: it grows, stays when interrupted, and comes back from the folder."""

from __future__ import annotations

import base64
import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runbook.notebook.live_series import LiveSeries, Series
from runbook.notebook.window_tables import latest
from runbook.plan.plan import Plan
from runbook.run.folder import Run
from runbook.run.window_records import Answer, Observation
from runbook.window.series import append


def observation(minute: int, **changes: Any) -> Observation:
    observed = Observation(
        at=f"2026-11-26T10:{minute:02d}:00+00:00",
        seconds=0.1,
        violations={"references_to_nothing": 0},
        without_organization={"projects": 0},
        every=60.0,
    )
    return dataclasses.replace(observed, **changes)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """As much of a run as a series needs: its folder, and the plan by which it is masked."""
    return cast(Run, SimpleNamespace(folder=tmp_path, info=SimpleNamespace(plan=Plan())))


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The outputs of a cell, each with all that it has shown, the latest last."""
    outputs: list[list[str]] = []

    class Handle:
        def __init__(self, output: list[str]) -> None:
            self._output = output

        def update(self, series: Series) -> None:
            self._output.append(series._repr_html_())

    def display(series: Series, display_id: bool = False) -> Handle:
        outputs.append([series._repr_html_()])
        return Handle(outputs[-1])

    monkeypatch.setattr("IPython.display.display", display)
    return outputs


def picture(shown: str) -> str:
    """The picture in what is shown."""
    data = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', shown)
    assert data is not None
    return base64.b64decode(data[1]).decode()


def test_it_grows_in_one_place(run: Run, page: list[list[str]]) -> None:
    series = LiveSeries(run, 600.0, live=True)
    assert page == []
    for minute in range(3):
        append(run.folder, observation(minute))
        series(observation(minute))
    series.end()
    assert [len(output) for output in page] == [3]
    first, _, last = page[0]
    assert first.count("<tr>") == 2
    assert last.count("<tr>") == 4
    assert "3 observations, 2 min watched of 10 min; the latest first:" in last
    assert "3 observations from" in picture(last)


def test_it_is_shown_again_from_the_folder_before_anything_is_observed(
    run: Run, page: list[list[str]]
) -> None:
    """So after an interrupt, and in a new kernel."""
    append(run.folder, observation(1))
    append(run.folder, observation(2, without_organization={"projects": 49}))
    LiveSeries(run, 600.0, live=True)
    assert "projects: 49 rows without organization" in page[0][0]
    assert "Rows without organization: 49 rows, in 1 observation" in picture(page[0][0])


def test_where_nobody_is_there_it_is_shown_once_in_the_end(run: Run, page: list[list[str]]) -> None:
    """Updates of an output are no part of what Papermill and nbval compare."""
    series = LiveSeries(run, 600.0, live=False)
    for minute in range(3):
        append(run.folder, observation(minute))
        series(observation(minute))
    assert page == []
    series.end()
    assert [len(output) for output in page] == [1]


def test_an_interrupt_before_the_first_observation_shows_that_there_is_none(run: Run) -> None:
    assert "Nothing was observed yet" in Series(run, 600.0)._repr_html_()
    assert repr(Series(run, 600.0)) == "Nothing was observed yet."


def test_what_a_server_answered_is_escaped_and_the_newest_comes_first(run: Run) -> None:
    append(run.folder, observation(1))
    append(run.folder, observation(2, health=Answer(0.0, 500, False, "<b>down</b>")))
    shown = Series(run, 600.0)._repr_html_()
    assert "<b>" not in shown
    frame = latest([observation(minute) for minute in range(30)])
    assert len(frame) == 10
    assert frame["at"][0] == "26 November 2026, 10:29:00 UTC"
