"""Notebooks by themselves through bare Papermill, as a scheduler calls them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.notebooks import NOTEBOOKS, environment, stage_folder
from tests.support.outputs import check_folder
from tests.support.runs import begin, to_the_end


def papermill(
    folder: Path, notebook: str, *parameters: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Papermill called in `folder`, with parameters as `-p` or `-r` take them."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "papermill", str(NOTEBOOKS / f"{notebook}.ipynb"), "out.ipynb"),
            *parameters,
        ],
        cwd=folder,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
    )


def outputs(folder: Path) -> str:
    return json.dumps(json.loads((folder / "out.ipynb").read_text())["cells"])


@pytest.mark.slow
def test_a_stage_by_itself_on_paths_from_where_it_is_called(sample: Path, tmp_path: Path) -> None:
    sample.rename(tmp_path / "app.db")
    here = ("-p", "database", "app.db", "-p", "run_dir", "runs/x")
    ended = papermill(
        tmp_path, "01_preflight", *here, "-p", "ticket", "0012", "-r", "operator", "007"
    )
    assert ended.returncode == 0, ended.stderr
    assert "-r ticket" in outputs(tmp_path), "a number may have been typed otherwise; it is said"
    about = json.loads((tmp_path / "runs" / "x" / "run.json").read_text())
    assert (about["ticket"], about["operator"]) == ("12", "007")
    ended = papermill(tmp_path, "03_snapshot", "--inject-paths", "-p", "operator", "Bob")
    assert ended.returncode == 0, ended.stderr
    record = json.loads((tmp_path / "runs" / "x" / "stages" / "03_snapshot.json").read_text())
    assert record["status"] == "finished"
    assert record["result"]["backup"]["restored_equal"]
    assert (record["way"], record["operator"], record["ticket"]) == ("Papermill", "Bob", "12")
    assert "the only run in runs" in outputs(tmp_path), "which run it is"
    kept = tmp_path / "runs" / "x" / "notebooks"
    texts = {p.name: json.loads(p.read_text()) for p in kept.glob("*.ipynb")}
    assert {name: text["metadata"]["runbook"]["way"] for name, text in texts.items()} == {
        "01_preflight.ipynb": "Papermill",
        "03_snapshot.ipynb": "Papermill",
    }
    assert "its file is not known" in str(texts["01_preflight.ipynb"]["metadata"])
    assert "# 03 Snapshot" in str(texts["03_snapshot.ipynb"]["cells"]), "its path was injected"
    # Again: what is finished is shown, and that it is not repeated.
    ended = papermill(tmp_path, "03_snapshot", *here)
    assert ended.returncode == 0, ended.stderr
    assert "Done already at" in outputs(tmp_path)
    again = json.loads((tmp_path / "runs" / "x" / "stages" / "03_snapshot.json").read_text())
    assert again == record
    same = json.loads((kept / "03_snapshot.ipynb").read_text())
    assert same == texts["03_snapshot.ipynb"], "it shows the work; the second only that it was done"
    assert len(list(kept.glob("*.ipynb"))) == 2
    check_folder(tmp_path / "runs" / "x")  # what another process wrote follows its schemas, too


@pytest.mark.slow
def test_bad_parameters_are_refused_in_one_sentence(sample: Path, tmp_path: Path) -> None:
    ended = papermill(tmp_path, "01_preflight", "-p", "databse", "app.db")
    assert ended.returncode == 1
    assert 'This notebook has no parameter "databse"; did you mean "database"?' in ended.stderr
    assert not (tmp_path / "runs").exists()
    run = to_the_end(begin(sample, tmp_path / "run"))
    ended = papermill(tmp_path, "08_rollback", "-p", "run_dir", "run", "-p", "restore", "no")
    assert ended.returncode == 1
    assert 'The parameter "restore" must be True or False' in ended.stderr
    assert not run.finished("rollback")


@pytest.mark.slow
@pytest.mark.long
def test_each_notebook_by_papermill_alone(tmp_path: Path) -> None:
    """In their order, in the folder where they stand, with nothing of the runbook around them."""
    folder = stage_folder(tmp_path)
    done = []
    for path in sorted(folder.glob("*.ipynb")):
        given: tuple[str, ...] = ()
        if path.stem in ("04_migrate", "08_rollback"):
            given = ("-p", "confirm", "sample.db")
        command = [sys.executable, "-m", "papermill", path.name, f"out_{path.name}", *given]
        ended = subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True
        )
        assert ended.returncode == 0, f"{path.name}: {ended.stderr[-2000:]}"
        done.append(path.stem[:2])
    assert done == [f"{number:02}" for number in range(1, 11)]
    (run,) = (tmp_path / "runs").glob("*-sample")
    finished = {p.stem[3:]: json.loads(p.read_text()) for p in (run / "stages").glob("*.json")}
    assert {record["status"] for record in finished.values()} == {"finished"}
    assert {record["way"] for record in finished.values()} == {"Papermill"}
    assert finished["rollback"]["result"]["done"]


SECRET = "hunter2-correct-horse-battery"


@pytest.mark.slow
def test_a_run_prints_no_secret_and_is_readable_by_its_owner_alone(
    sample: Path, tmp_path: Path
) -> None:
    """The environment holds the secrets; nothing of it may end up in the run folder."""
    secrets = {"CLOUDFLARE_API_TOKEN": SECRET, "DATABASE_PASSWORD": SECRET}
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "runbook", "run", "--yes"),
            *("--database", str(sample), "--run-dir", "run"),
        ],
        cwd=tmp_path,
        env={**environment(), **secrets},
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.umask(0o022),
    )
    assert ended.returncode == 0, ended.stderr
    assert SECRET not in ended.stdout + ended.stderr
    folder = tmp_path / "run"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert len(files) > 20
    others = [str(p) for p in folder.rglob("*") if p.stat().st_mode & 0o077 and not p.is_dir()]
    assert others == []
    assert [str(p) for p in files if SECRET.encode() in p.read_bytes()] == []
    assert stat.S_IMODE(sample.stat().st_mode) == 0o644, "the database's own mode stays"


def test_private_files_need_the_mask(sample: Path, tmp_path: Path) -> None:
    """The check above fails where a file is made outside of it."""
    run = begin(sample, tmp_path / "run")
    before = os.umask(0o022)
    try:
        run.log("preflight", "started")
        (run.folder / "open").write_text("")
    finally:
        os.umask(before)
    modes = {p.name: p.stat().st_mode & 0o077 for p in run.folder.iterdir() if p.is_file()}
    assert modes.pop("open")
    assert not any(modes.values())
