"""A broken pipe, a full disk or a closed stream under the terminal stops and hides nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.run.folder import Run
from tests.support.databases import dump, execute
from tests.support.faults.harness import environment
from tests.support.runs import begin, until_migrated

RUNBOOK = [sys.executable, "-m", "runbook"]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Run:
    from runbook.sample.make import make_sample

    folder = tmp_path_factory.mktemp("output")
    make_sample(folder / "app.db", users=20, projects=40)
    return until_migrated(begin(folder / "app.db", folder / "run"))


@pytest.fixture(params=["full disk", "broken pipe"])
def output(request: pytest.FixtureRequest) -> Iterator[int]:
    """A file number to which nothing can be written."""
    if request.param == "full disk":
        number = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, number = os.pipe()
        os.close(reading)
    yield number
    os.close(number)


def logged(run: Run) -> list[str]:
    lines = (run.folder / "log.jsonl").read_text().splitlines()
    return [e["line"] for e in map(json.loads, lines) if e["event"] == "not printed"]


def test_work_goes_on_and_its_lines_are_in_the_log(output: int, tmp_path: Path) -> None:
    subprocess.run([*RUNBOOK, "sample", "s.db", "--users", "20"], cwd=tmp_path, check=True)
    command = [*RUNBOOK, "run", "--database", "s.db", "--run-dir", "run", "--until", "preflight"]
    done = subprocess.run(
        command, cwd=tmp_path, stdout=output, stderr=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    run = Run.open(tmp_path / "run")
    assert run.finished("preflight")
    lines = logged(run)
    assert lines[0].startswith("run held no run: ")
    assert lines[1].startswith("Run run: ")
    assert any("preflight  nothing blocks" in line for line in lines)


def test_a_violation_is_not_hidden(output: int, migrated: Run) -> None:
    execute(
        Path(migrated.info.database),
        "UPDATE projects SET organization_id = NULL WHERE id IN (SELECT id FROM projects LIMIT 1)",
    )
    command = [*RUNBOOK, "monitor", "--run-dir", str(migrated.folder), "--once"]
    done = subprocess.run(command, stdout=output, stderr=output, check=False)
    assert done.returncode == 1
    assert "1 row without organization" in "\n".join(logged(migrated))


def test_what_was_to_be_printed_and_is_not_is_an_error(migrated: Run) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*RUNBOOK, "status", "--run-dir", str(migrated.folder)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == (
        "The output cannot be written (No space left on device); print it to another place.\n"
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["fleet", "run", "--help"]])
def test_help_that_cannot_be_printed_is_an_error_of_one_sentence(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*RUNBOOK, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == (
        "Nothing more can be written (No space left on device); make room, or print to another "
        "place, and call the same command again.\n"
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str, migrated: Run) -> None:
    database = Path(migrated.info.database)
    before = dump(database)
    command = f"exec '{sys.executable}' -m runbook monitor --run-dir run --once {closed}"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=migrated.folder.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1)
    assert "Bad file descriptor" not in done.stderr + done.stdout
    assert dump(database) == before


def test_a_current_folder_that_is_gone(migrated: Run, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    shutil.copy(migrated.info.database, tmp_path / "x.db")
    command = f"rmdir '{gone}'; exec '{sys.executable}' -m runbook run --database ../x.db"
    done = subprocess.run(
        ["sh", "-c", command], cwd=gone, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == (
        "The current folder was deleted; change to one that exists, and call the same command "
        "again.\n"
    )
