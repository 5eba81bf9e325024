"""The committed notebooks: compared with a fresh run by nbval, and tidy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.notebooks import NOTEBOOKS, confirm, environment, stage_folder
from tests.support.paths import ROOT

SANITIZE = ROOT / "tests" / "nbval.cfg"


def cells(path: Path, kind: str = "code") -> list[dict[str, Any]]:
    notebook = json.loads(path.read_text())
    return [c for c in notebook["cells"] if c["cell_type"] == kind and "".join(c["source"]).strip()]


def nbval(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs nbval over the notebooks in `folder`, in their order, strictly."""
    notebooks = [p.name for p in sorted(folder.glob("*.ipynb"))]
    return subprocess.run(
        [
            sys.executable,
            *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", "/dev/null"),
            *("--nbval", "--nbval-current-env", f"--nbval-sanitize-with={SANITIZE}"),
            *notebooks,
        ],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_stored_outputs_are_what_a_fresh_run_gives(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path)
    confirm(folder)
    ended = nbval(folder)
    assert ended.returncode == 0, ended.stdout[-4000:]
    compared = sum(len(cells(p)) for p in NOTEBOOKS.glob("*.ipynb"))
    assert f"{compared} passed" in ended.stdout
    (run,) = (tmp_path / "runs").glob("*-sample")
    record = json.loads((run / "stages" / "04_migrate.json").read_text())
    assert record["status"] == "finished"
    assert record["way"] == "notebook"
    assert len(list((run / "notebooks").glob("*.ipynb"))) == len(record_names(run))


def record_names(run: Path) -> list[str]:
    return [path.name for path in (run / "stages").glob("*.json")]


@pytest.mark.slow
def test_nbval_really_compares(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path)
    first = folder / "01_preflight.ipynb"
    for other in folder.glob("*.ipynb"):
        if other != first:
            other.unlink()
    text = first.read_text()
    assert text.count("one row: this migration happened") >= 1
    first.write_text(text.replace("one row: this migration happened", "something else"))
    ended = nbval(folder)
    assert ended.returncode == 1
    assert "1 failed" in ended.stdout


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda p: p.stem)
def test_notebooks_are_executed_thin_and_parameterized(path: Path) -> None:
    code = cells(path)
    assert all(c["execution_count"] for c in code), "nbval compares no cell without a count"
    assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1))
    assert not any(o["output_type"] == "error" for c in code for o in c["outputs"])
    parameters = [c for c in code if "parameters" in c["metadata"].get("tags", [])]
    assert len(parameters) == 1
    assert all(len(c["source"]) <= 8 for c in code if c not in parameters), "logic: in the package"
    first = "".join(cells(path, "markdown")[0]["source"])
    assert first.startswith("# ")
    assert all(word in first for word in ("**Does:**", "**Does not:**", "**Before this:**"))
    if path.stem != "09_explore":  # no stage, so nothing is finished by it
        assert "go_on" in "".join(code[-1]["source"])
    assert str(ROOT) not in path.read_text()
