"""Notebooks that a person executes are kept in the run folder, as the headless driver's are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runbook.run.folder import Run
from runbook.run.workspace import latest
from tests.support.attended import attended
from tests.support.databases import dump
from tests.support.notebooks import code_cells, environment, stage_folder

EMAIL = "grace.hopper@example.org"
OWN = f"import pandas\npandas.DataFrame({{'name': ['Grace Hopper', '{EMAIL}']}})"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Worked:
    """What a person has done in JupyterLab, and what was seen on the way."""

    project: Path
    before: str
    after_interrupt: str
    questions: list[str]

    @property
    def run(self) -> Run:
        return latest(self.project).run

    def kept(self, name: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.run.folder / "notebooks" / name).read_text())
        return loaded


def sources(project: Path, name: str) -> list[str]:
    return ["".join(c["source"]) for c in code_cells(project / "notebooks" / f"{name}.ipynb")]


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worked]:
    """A person executes 01 with a cell of their own, then 04 and 06 in a file without a name."""
    project = tmp_path_factory.mktemp("project")
    notebooks = stage_folder(project)
    before = dump(project / "sample" / "sample.db")
    with attended(notebooks / "01_preflight.ipynb") as kernel:
        *cells, last = sources(project, "01_preflight")
        for source in (*cells, OWN, last, last):
            kernel.run(source)
    with attended(notebooks / "renamed meanwhile.ipynb") as kernel:
        kernel.run('run_dir, database, plan, operator, ticket = "", "", "", "Bob", ""')
        kernel.run('confirm, how, show_values = "", "notebook", False')
        kernel.run("from runbook import notebook as nb\nrun = nb.resume(operator=operator)")
        kernel.run("nb.rehearse(run)\nnb.snapshot(run).rows")
        (migrate,) = (c for c in sources(project, "04_migrate") if "nb.migrate(" in c)
        kernel.run(migrate)  # interrupted while it asks
        after = dump(project / "sample" / "sample.db")
        kernel.run(migrate, "sample.db")
        kernel.run('nb.go_on(run, "migrate")')
        kernel.run("nb.report(run).verdict")
        kernel.run('nb.go_on(run, "report")')
        yield Worked(project, before, after, kernel.questions)


def outputs(notebook: dict[str, Any], source: str) -> list[dict[str, Any]]:
    (cell,) = (c for c in notebook["cells"] if source in "".join(c["source"]))
    shown: list[dict[str, Any]] = cell["outputs"]
    return shown


def test_the_texts_are_the_files_and_the_outputs_the_sessions(worked: Worked) -> None:
    kept = worked.kept("01_preflight.ipynb")
    nbformat.validate(nbformat.from_dict(kept))
    texts = [c["cell_type"] for c in kept["cells"]]
    assert texts.count("markdown") == 7
    assert texts.count("code") == len(sources(worked.project, "01_preflight")) + 1
    assert "levels" not in kept["metadata"]
    about = kept["metadata"]["runbook"]
    assert about["way"] == "JupyterLab"
    assert "the notebook's file as it was last saved" in about["cells"]
    assert "of its present session" in about["outputs"]
    (table,) = outputs(kept, "nb.begin(choice)")
    folder = f"../runs/{worked.run.folder.name}"
    assert folder in "".join(table["data"]["text/plain"])
    (done,) = outputs(kept, 'nb.go_on(run, "preflight")')
    assert "**Done.** Next" in "".join(done["data"]["text/markdown"])
    counts = [c["execution_count"] for c in kept["cells"] if c["cell_type"] == "code"]
    assert counts == [*range(1, len(counts)), len(counts) + 1]  # go_on twice; kept once


def test_nothing_in_it_needs_a_kernel_or_shows_personal_data(worked: Worked) -> None:
    kept = worked.kept("01_preflight.ipynb")
    (form,) = outputs(kept, "nb.choose(")
    assert "Begun in <code>../runs/" in "".join(form["data"]["text/html"])
    text = json.dumps(kept)
    assert "widget-view" not in text
    (left_out,) = outputs(kept, "pandas.DataFrame")
    assert "Not kept: this cell is not part of the runbook" in "".join(left_out["text"])
    assert EMAIL not in json.dumps([c.get("outputs") for c in kept["cells"]])


def test_an_interrupt_at_the_question_leaves_everything_as_it_was(worked: Worked) -> None:
    assert len(worked.questions) == 2
    assert worked.after_interrupt == worked.before
    record = worked.run.record("migrate")
    assert record is not None
    assert (record.status, record.way, record.operator) == ("finished", "JupyterLab", "Bob")


def test_without_a_file_the_cells_are_those_that_were_executed(worked: Worked) -> None:
    kept = worked.kept("04_migrate.ipynb")
    nbformat.validate(nbformat.from_dict(kept))
    assert "its file is not known" in kept["metadata"]["runbook"]["cells"]
    assert {c["cell_type"] for c in kept["cells"]} == {"code"}
    shown = outputs(kept, "nb.migrate(")  # that of the interrupt is not the last
    assert "interrupt the kernel" in json.dumps(shown)
    assert "committed" in json.dumps(shown)
    assert "Not kept" in json.dumps(outputs(kept, "nb.snapshot(run).rows"))


def test_links_lead_from_the_archived_place(worked: Worked) -> None:
    (done,) = outputs(worked.kept("06_report.ipynb"), 'nb.go_on(run, "report")')
    assert "[the report](../report.html)" in "".join(done["data"]["text/markdown"])
    assert (worked.run.folder / "notebooks" / "../report.html").exists()


def test_the_command_goes_on_and_replaces_nothing(worked: Worked) -> None:
    notebooks = worked.run.folder / "notebooks"
    mine = {path.name: path.read_bytes() for path in notebooks.glob("*.ipynb")}
    assert set(mine) == {"01_preflight.ipynb", "04_migrate.ipynb", "06_report.ipynb"}
    ended = subprocess.run(
        [sys.executable, "-m", "runbook", "run", "--run-dir", str(worked.run.folder), "--yes"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {name: (notebooks / name).read_bytes() for name in mine} == mine
    kept = {path.name for path in notebooks.glob("*.ipynb")} - set(mine)
    assert kept == {
        "02_rehearse.ipynb",
        "03_snapshot.ipynb",
        "05_verify.ipynb",
        "06_report-2.ipynb",
    }
    headless = worked.kept("06_report-2.ipynb")
    assert headless["metadata"]["runbook"]["way"] == "headless"
    assert "[the report](../report.html)" in json.dumps(headless)
    timeline = json.loads((worked.run.folder / "audit.json").read_text())["timeline"]
    executed = {stage["name"]: stage["executed"] for stage in timeline}
    assert executed == {
        "preflight": "in JupyterLab: notebooks/01_preflight.ipynb",
        "rehearse": "in JupyterLab, by Bob: notebooks/02_rehearse.ipynb (executed headless)",
        "snapshot": "in JupyterLab, by Bob: notebooks/03_snapshot.ipynb (executed headless)",
        "migrate": "in JupyterLab, by Bob: notebooks/04_migrate.ipynb",
        "verify": "headless: notebooks/05_verify.ipynb",
        "report": "headless",
    }
