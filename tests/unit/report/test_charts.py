"""The pictures: predicted beside real, nothing too short to be true, one style in page and notebook."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runbook.report.charts import (
    rehearsal_and_reality,
    rows_predicted_and_counted,
    seconds_by_step,
    timeline,
)
from runbook.report.view_model import ReportView, StepCompared, read_view
from runbook.run.findings import StepResult
from tests.support import report_factory as factory
from tests.support.paths import ROOT
from tests.support.report_page import page_of

TEMPLATES = ROOT / "runbook" / "report" / "template"


def step(name: str, rehearsed: float, real: float) -> StepCompared:
    return StepCompared(
        name, name, StepResult(name, name, 1, rehearsed), StepResult(name, name, 1, real)
    )


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> ReportView:
    return read_view(factory.passed(tmp_path_factory.mktemp("passed")))


def texts(svg: str) -> list[str]:
    """The texts of a picture that stands alone, which has to be well-formed XML."""
    return [e.text or "" for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text")]


def test_predicted_stands_beside_what_was_counted() -> None:
    *lines, _ = factory.footprint("gate", "sqlite")
    lines[5] = dataclasses.replace(lines[5], counts={"gate": 5_000, "sqlite": 4_999})
    svg = rows_predicted_and_counted(lines, 820)
    shown = texts(svg)
    at = shown.index("projects.organization_id")
    assert shown[:2] == ["predicted", "real"]
    assert shown[at + 1 : at + 3] == ["5,000", "4,999"]  # what differs is never averaged away
    assert "projects.organization_id: predicted 5,000, real 4,999" in svg
    assert rows_predicted_and_counted(factory.footprint(), 820) == ""  # nobody has counted


def test_nothing_below_ten_milliseconds_is_drawn(view: ReportView) -> None:
    short = seconds_by_step([step("short", 0.009, 0.004)], 820)
    assert short == ""
    both = seconds_by_step([step("short", 0.009, 0.004), step("long", 0.02, 0.008)], 820)
    assert ">long<" in both
    assert ">short<" not in both
    brief = [dataclasses.replace(lane, seconds=0.001) for lane in view.timeline]
    assert timeline(view, 960)
    assert timeline(dataclasses.replace(view, timeline=tuple(brief)), 960) == ""


def test_a_colour_tells_the_kind_of_data_and_no_verdict(view: ReportView) -> None:
    assert 'class="chart time"' in rehearsal_and_reality(view, 960)
    assert 'class="chart time lanes"' in timeline(view, 960)
    style = (TEMPLATES / "charts.css").read_text()
    assert not re.search(r"--(accent|band|good)", style)
    assert "--bad" not in style.replace(".chart .amiss { fill: var(--bad); }", "")


def test_a_picture_that_stands_alone_brings_its_colours_for_light_and_dark() -> None:
    alone = seconds_by_step([step("long", 2.0, 3.0)], 820, alone=True)
    assert 'xmlns="http://www.w3.org/2000/svg"' in alone
    assert "prefers-color-scheme: dark" in alone
    assert {*re.findall(r"var\((--[a-z]+)\)", alone)} <= {*re.findall(r"(--[a-z]+):", alone)}
    assert "<style>" not in seconds_by_step([step("long", 2.0, 3.0)], 820)


def test_no_table_repeats_a_picture(tmp_path: Path) -> None:
    page = page_of(factory.passed(tmp_path / "run")).source
    assert 'aria-label="Timeline"' not in page
    assert 'aria-label="Sizes of organizations"' not in page
    assert "the seconds of the longer ones are drawn" in page
    refused = factory.refused_by_gate(tmp_path / "refused")
    (error,) = {lane.stage.error for lane in read_view(refused).timeline if lane.stage.error}
    page = page_of(refused)
    assert page.text.count(error[:100]) >= 1
    assert 'aria-label="Timeline"' not in page.source
