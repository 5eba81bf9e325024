"""A kernel that dies, a cell that takes too long, a cell that calls sys.exit(0): never success."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nbformat
import pytest

from runbook.run.folder import Run
from runbook.run.notebooks import NOTEBOOKS
from tests.support.faults.harness import call, make_database
from tests.support.runs import begin, to_the_end


@pytest.fixture
def run(tmp_path: Path) -> Run:
    database = make_database(tmp_path / "app.db", "wal", users=20, projects=40)
    return begin(database, tmp_path / "run")


def lie(folder: Path, source: str) -> Path:
    """The notebooks, each with a cell before the one that calls the stage."""
    copied = folder / "notebooks"
    shutil.copytree(NOTEBOOKS, copied)
    for path in copied.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        code = [i for i, c in enumerate(notebook.cells) if c.cell_type == "code"]
        notebook.cells.insert(code[1], nbformat.v4.new_code_cell(source))
        nbformat.write(notebook, path)
    return copied


def tried(run: Run, stage: str, notebooks: Path = NOTEBOOKS) -> str:
    """What the driver says, in a process of its own, of a stage."""
    code, output = call("tests.support.faults.drive", str(run.folder), stage, str(notebooks), "3")
    assert code == 0, output
    return output


LIES = {
    "the kernel dies": ("import os; os._exit(0)", "DeadKernelError: Kernel died"),
    "the kernel is killed": (
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "DeadKernelError: Kernel died",
    ),
    "sys.exit(0)": ("import sys; sys.exit(0)", ""),
    "a cell takes too long": ("import time; time.sleep(60)", "CellTimeoutError: "),
    "a cell fails": ("1 / 0", "(ZeroDivisionError: division by zero)"),
}

ENDS = [
    LIES["the kernel dies"][0],
    pytest.param(LIES["sys.exit(0)"][0], marks=pytest.mark.long),
]


@pytest.mark.parametrize(("source", "cause"), LIES.values(), ids=LIES.keys())
def test_no_success_without_a_record(source: str, cause: str, run: Run, tmp_path: Path) -> None:
    output = tried(run, "preflight", lie(tmp_path, source))
    assert "RunbookError: The stage preflight left no finished record" in output
    assert cause in output
    assert run.record("preflight") is None
    kept = nbformat.read(run.folder / "notebooks" / "01_preflight.ipynb", as_version=4)
    assert any(cell.get("execution_count") for cell in kept.cells), "what was done until then"


@pytest.mark.parametrize("source", ENDS)
def test_an_earlier_record_is_no_success(source: str, run: Run, tmp_path: Path) -> None:
    """A report stands there already; the new one was never written."""
    to_the_end(run)
    assert "RunbookError: The stage report left no finished record" in tried(
        run, "report", lie(tmp_path, source)
    )


def test_what_a_notebook_refused_before_its_record_is_told(run: Run) -> None:
    said = tried(run, "verify")
    assert "NotAllowedNow: The stage verify may not run now: migrate is not finished" in said


def test_the_executed_notebook_is_whole(run: Run) -> None:
    assert tried(run, "preflight") == "finished\n"
    kept = run.folder / "notebooks" / "01_preflight.ipynb"
    cells = json.loads(kept.read_text())["cells"]
    assert all(c["execution_count"] for c in cells if c["cell_type"] == "code")
    assert [p.name for p in kept.parent.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("source", ENDS)
def test_a_finished_stage_is_no_success_of_the_steps_after_it(
    source: str, run: Run, tmp_path: Path
) -> None:
    """The verification is recorded; the new code was never brought and nothing was opened."""
    to_the_end(run)
    said = tried(run, "verify", lie(tmp_path, source))
    assert "RunbookError: The notebook 05_verify ended before the step deploy was done" in said
    assert tried(run, "verify") == "finished\n"
