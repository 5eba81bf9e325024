"""Pictures in notebooks: they need neither a kernel nor trust, and hold nothing that changes."""

from __future__ import annotations

import base64
import dataclasses
import re
from types import SimpleNamespace
from typing import Any, cast

from runbook.notebook import pictures, tables
from runbook.run.findings import StepResult
from runbook.run.folder import Run
from tests.support import report_factory as factory


def run_with(*steps: StepResult) -> Run:
    """A run whose migration took these steps, as they were rehearsed."""
    records = dict.fromkeys(("rehearse", "migrate"), SimpleNamespace(steps=steps))
    known: Any = SimpleNamespace(
        finished=lambda stage: stage in records, result=lambda stage, _: records[stage]
    )
    return cast(Run, known)


def test_rows_are_an_image_in_html_and_the_same_every_time() -> None:
    record = factory.verified()
    shown = pictures.predicted_rows(record)._repr_html_()
    assert shown == pictures.predicted_rows(record)._repr_html_()
    data = re.fullmatch(
        r'<img alt="[^"<]+" src="data:image/svg\+xml;base64,([\w+/=]+)" style="max-width:100%">',
        shown,
    )
    assert data is not None
    assert (
        "projects.organization_id: predicted 5,000, real 5,000"
        in base64.b64decode(data[1]).decode()
    )
    nothing = dataclasses.replace(record, footprint=factory.footprint())
    assert "nothing to draw" in repr(pictures.predicted_rows(nothing))


def test_seconds_are_drawn_where_somebody_waited_for_them() -> None:
    brief, long = StepResult("a", "Brief", 1, 0.4), StepResult("b", "Long", 1, 4.0)
    assert "nothing to draw" in repr(pictures.predicted_seconds(run_with(brief)))
    assert "<img" in pictures.predicted_seconds(run_with(brief, long))._repr_html_()
    unrehearsed: Any = SimpleNamespace(finished=lambda stage: stage == "migrate")
    assert "no rehearsal" in repr(pictures.predicted_seconds(unrehearsed))


def test_the_footprint_is_a_plan_in_the_notebooks_too() -> None:
    before = tables.footprint(factory.footprint())
    assert list(before.columns) == ["change", "why"]
    assert before["change"][0] == "+ table organizations (1,871 rows, 1 index)"
    after = tables.footprint(factory.footprint("gate", "sqlite", "duckdb", "pandas"))
    assert list(after.columns) == ["change", "counted by", "as predicted"]
    assert after["counted by"][0] == "gate, SQLite, DuckDB, pandas"
    assert "monospace" in after._repr_html_()
    assert list(after["change"]) == list(before["change"])
    assert "Not known" in tables.footprint(())._repr_html_()
