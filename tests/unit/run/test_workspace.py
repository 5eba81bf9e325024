"""Which run is the latest of a workspace, seen from wherever one stands in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import time_machine

from runbook.errors import RunFolderError
from runbook.resources import copy_notebooks
from runbook.run.folder import Run
from runbook.run.workspace import latest, new_folder, runs_for_new
from runbook.sample.make import make_sample
from runbook.stages.open_run import open_run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A workspace with two databases and the notebooks in a folder of their own."""
    make_sample(tmp_path / "one.db", users=3, projects=3)
    shutil.copy(tmp_path / "one.db", tmp_path / "two.db")
    copy_notebooks(tmp_path / "notebooks")
    return tmp_path


def begun(project: Path, at: str, database: str = "one.db", where: str = "runs") -> Run:
    with time_machine.travel(at, tick=False):
        return open_run(str(project / database), runs=project / where, operator="Ann")


def test_the_latest_is_the_one_begun_last_and_not_the_one_touched_last(project: Path) -> None:
    old = begun(project, "2026-03-01 12:00")
    new = begun(project, "2026-03-02 12:00", "two.db")
    (old.folder / "stages").touch()
    old.log("preflight", "started")
    here = project / "notebooks"
    assert latest(here).run.folder.name == new.folder.name == "20260302-120000-two"
    assert latest(here).reason == "begun last of 2 runs in ../runs; run_dir names another"
    # With a database, only its own runs count.
    assert latest(project, str(project / "one.db")).run.folder.name == old.folder.name
    shutil.rmtree(new.folder)
    assert latest(here).run.folder.name == old.folder.name
    assert latest(here).reason == "the only run in ../runs; run_dir names another"


def test_two_begun_in_one_instant_are_two_and_their_order_is_fixed(project: Path) -> None:
    begun(project, "2026-03-01 12:00")
    second = begun(project, "2026-03-01 12:00")
    assert second.folder.name == "20260301-120000-one-2"
    assert latest(project).run.folder.name == second.folder.name


@pytest.mark.parametrize("here", ["notebooks", "."])
def test_a_run_of_the_command_counts_wherever_one_stands(project: Path, here: str) -> None:
    """The command makes its runs below the folder that it is called in; so may both be."""
    run = begun(project, "2026-03-01 12:00")
    assert latest(project / here).run.folder.resolve() == run.folder
    inside = begun(project, "2026-03-02 12:00", where="notebooks/runs")
    chosen = latest(project / "notebooks")
    assert chosen.run.folder == inside.folder
    assert "in ../runs and runs" in chosen.reason
    assert runs_for_new(project / here).resolve() == project / "runs"


def test_where_new_runs_are_made(tmp_path: Path) -> None:
    copies = tmp_path / "x" / "copies"
    copy_notebooks(copies)
    assert runs_for_new(copies) == tmp_path / "x" / "runs"
    (copies / "runs").mkdir()
    assert runs_for_new(copies) == copies / "runs"
    assert runs_for_new(tmp_path) == tmp_path / "runs"


def test_without_a_run_a_sentence_says_what_to_do(project: Path) -> None:
    with pytest.raises(
        RunFolderError, match=r"in this workspace \(in \.\./runs\); begin one with 01"
    ):
        latest(project / "notebooks")
    (project / "runs" / "empty").mkdir(parents=True)
    (project / "runs" / "file").touch()
    begun(project, "2026-03-01 12:00")
    with pytest.raises(RunFolderError, match=r"No run of other\.db was begun"):
        latest(project, "other.db")


def test_folders_of_another_format_are_named_and_passed_over(project: Path) -> None:
    old = begun(project, "2026-03-05 12:00")
    good = begun(project, "2026-03-01 12:00", "two.db")
    path = old.folder / "run.json"
    path.write_text('{"run": "x", "created_at": "2026-03-05", "format": 1}')
    chosen = latest(project)
    assert chosen.run.folder.name == good.folder.name
    assert f"{old.folder.name} cannot be read by this version" in chosen.reason
    shutil.rmtree(good.folder)
    with pytest.raises(RunFolderError, match="cannot be read by this version; begin one with"):
        latest(project)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunFolderError, match="cannot be made"):
        new_folder(tmp_path / "runs", "app")
