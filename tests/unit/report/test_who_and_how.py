"""By which way each stage was executed, by whom and for what; and the names of JUnit's cases."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runbook.files import read_sealed, write_sealed
from runbook.report.junit import junit
from runbook.report.view_model import execution, read_view
from runbook.report.write import write_report
from runbook.run.notebooks import keep_notebook
from tests.support.report_factory import passed, refused_by_gate

OTHER = "bob@example.com"


def change(folder: Path, stem: str, **values: object) -> None:
    path = folder / "stages" / f"{stem}.json"
    write_sealed(path, read_sealed(path) | values)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run in which each stage was executed otherwise, one of them by somebody else."""
    folder = passed(tmp_path / "run")
    operator = read_view(folder).contents.operator
    change(folder, "01_preflight", way="JupyterLab", operator=operator)
    change(folder, "03_snapshot", way="Papermill", operator=operator)
    change(folder, "04_migrate", way="headless", operator=OTHER, ticket="OPS-2")
    (folder / "notebooks").mkdir()
    person = b'{"metadata": {"runbook": {"way": "JupyterLab"}}}'
    keep_notebook(folder, "04_migrate.ipynb", b'{"metadata": {}}')
    for name in ("01_preflight.ipynb", "04_migrate.ipynb", "06_report.ipynb"):
        keep_notebook(folder, name, person)
    return folder


def test_the_report_says_how_each_stage_was_executed_and_by_whom(folder: Path) -> None:
    write_report(folder)
    words = {
        stage["name"]: stage["executed"]
        for stage in json.loads((folder / "audit.json").read_text())["timeline"]
    }
    both = "notebooks/04_migrate.ipynb and notebooks/04_migrate-2.ipynb (executed in JupyterLab)"
    assert words == {
        "preflight": "in JupyterLab: notebooks/01_preflight.ipynb",
        "rehearse": "not as a notebook",
        "snapshot": "by Papermill alone, its notebook was not kept",
        "migrate": f"headless, by {OTHER}, ticket OPS-2: {both}",
        "verify": "not as a notebook",
        "report": "not as a notebook",
    }
    page = (folder / "report.html").read_text()
    for sentence in words.values():
        assert sentence in page


def test_a_step_of_the_window_is_part_of_a_notebook(folder: Path) -> None:
    view = read_view(folder)
    stage = dataclasses.replace(view.contents.stages["verify"], number=0)
    assert execution(view.contents, stage) == ""


def test_no_two_cases_of_junit_have_one_name(tmp_path: Path) -> None:
    view = read_view(refused_by_gate(tmp_path / "run"))
    contents = view.contents
    assert contents.migrate is not None
    finding = contents.migrate.findings[0]
    twice = dataclasses.replace(contents.migrate, findings=(finding, finding, finding))
    hazards = (*view.hazards, *view.hazards)
    doubled = dataclasses.replace(
        view, contents=dataclasses.replace(contents, migrate=twice), hazards=hazards
    )
    root = ElementTree.fromstring(junit(doubled))
    for suite in root:
        names = [case.get("name") for case in suite]
        assert len(names) == len(set(names))
    (found,) = (suite for suite in root if suite.get("name") == "findings")
    first, second, third = (str(case.get("name")) for case in found)
    assert (second, third) == (f"{first} (2)", f"{first} (3)")
