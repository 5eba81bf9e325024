"""A kernel that dies, a cell that takes too long, a cell that calls sys.exit(0): never success."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from runbook import driver
from runbook.driver import Kernels, execute, kernels
from runbook.errors import NotAllowedNow, RunbookError
from runbook.run import Run
from tests.faults.harness import make_database
from tests.integration.runs import begin, to_the_end


@pytest.fixture
def run(tmp_path: Path) -> Run:
    database = make_database(tmp_path / "app.db", "wal", users=20, projects=40)
    return begin(database, tmp_path / "run")


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Kernels]:
    with kernels(tmp_path / "kernels.log") as pool:
        yield pool


def lie(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, cell: int = 1) -> None:
    """Puts a cell into every notebook, before the one that calls the stage."""
    copied = folder / "notebooks"
    shutil.copytree(driver.NOTEBOOKS, copied)
    for path in copied.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        code = [i for i, c in enumerate(notebook.cells) if c.cell_type == "code"]
        notebook.cells.insert(code[cell], nbformat.v4.new_code_cell(source))
        nbformat.write(notebook, path)
    monkeypatch.setattr(driver, "NOTEBOOKS", copied)


def tried(run: Run, stage: str, pool: Kernels) -> None:
    execute(run, stage, {"run_dir": str(run.folder), "database": "", "plan": ""}, pool)


LIES = {
    "the kernel dies": "import os; os._exit(0)",
    "the kernel is killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "sys.exit(0)": "import sys; sys.exit(0)",
    "a cell takes too long": "import time; time.sleep(60)",
}


@pytest.mark.parametrize("source", LIES.values(), ids=LIES.keys())
def test_no_success_without_a_record(
    source: str, run: Run, pool: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie(tmp_path, monkeypatch, source)
    monkeypatch.setattr(driver, "CELL_SECONDS", 3)
    with pytest.raises(RunbookError, match="left no finished record"):
        tried(run, "preflight", pool)
    assert run.record("preflight") is None


@pytest.mark.parametrize("source", LIES.values(), ids=LIES.keys())
def test_an_earlier_record_is_no_success(
    source: str, run: Run, pool: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report stands there already; the new one was never written."""
    to_the_end(run)
    lie(tmp_path, monkeypatch, source)
    monkeypatch.setattr(driver, "CELL_SECONDS", 3)
    with pytest.raises(RunbookError, match="left no finished record"):
        tried(run, "report", pool)


def test_what_a_notebook_refused_before_its_record_is_told(run: Run, pool: Kernels) -> None:
    with pytest.raises(NotAllowedNow, match="verify may not run now: migrate is not finished"):
        tried(run, "verify", pool)


def test_the_executed_notebook_is_whole(run: Run, pool: Kernels) -> None:
    tried(run, "preflight", pool)
    kept = run.folder / "notebooks" / "01_preflight.ipynb"
    cells = json.loads(kept.read_text())["cells"]
    assert all(c["execution_count"] for c in cells if c["cell_type"] == "code")
    assert [p.name for p in kept.parent.iterdir() if p.name.startswith(".")] == []
