"""No room left, at every stage: one sentence, the database as before, and room makes it go on."""

from __future__ import annotations

import functools
import json
import resource
import shutil
from pathlib import Path

import pytest

from runbook.run.folder import Run
from tests.support.faults.harness import call, environment, ledger, make_database, state
from tests.support.runs import begin, until_snapshot
from tests.support.small_disk import small_disk


def hurt(folder: Path, accident: str, *stages: str) -> tuple[int, str]:
    """Exit code and sentence of stages in a process in which the accident happens."""
    env = {**environment(), "RUNBOOK_ACCIDENT": accident}
    code, output = call("tests.support.faults.work", str(folder), *stages, env=env)
    said = [line for line in output.splitlines() if line != "ready" and "done" not in line]
    assert len(said) == 1, output
    return code, said[0]


def make_room(folder: Path) -> None:
    (folder / "filler").unlink()


def whole_records(folder: Path) -> None:
    """Every record can be read and no half-written file has taken a name."""
    run = Run.open(folder)
    for path in (folder / "stages").glob("*.json"):
        run.record(path.stem[3:])
    for name in ("audit.json", "run.json"):
        if (folder / name).exists():
            json.loads((folder / name).read_text())


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("started", marks=pytest.mark.long),
        "capture",
        pytest.param("finished", marks=pytest.mark.long),
    ],
)
def test_snapshot(moment: str, tmp_path: Path) -> None:
    database = make_database(tmp_path / "app.db", "delete", users=40, projects=100)
    before = database.read_bytes()
    with small_disk(tmp_path / "disk", 8_000) as disk:
        run = begin(database, disk / "run")
        assert call("tests.support.faults.work", str(run.folder), "preflight")[0] == 0
        code, said = hurt(run.folder, f"fill@{moment}", "snapshot")
        assert code == 2
        assert "No space left on device" in said
        assert "make room" in said
        whole_records(run.folder)
        assert not run.finished("snapshot")
        assert database.read_bytes() == before
        make_room(run.folder)
        code, output = call("tests.support.faults.work", str(run.folder), "snapshot", "migrate")
        assert code == 0, output


def test_backup_does_not_fit(tmp_path: Path) -> None:
    database = make_database(tmp_path / "app.db", "wal")
    before = database.read_bytes()
    with small_disk(tmp_path / "disk", 600) as disk:
        run = begin(database, tmp_path / "run")
        assert call("tests.support.faults.work", str(run.folder), "preflight")[0] == 0
        (run.folder / "backup").rmdir()
        (run.folder / "backup").symlink_to(disk)
        code, output = call("tests.support.faults.work", str(run.folder), "snapshot")
        assert code == 1
        assert "disk is full" in output
        assert str(run.backup) in output
        assert not list(disk.iterdir())
    assert database.read_bytes() == before


def test_file_too_large(tmp_path: Path) -> None:
    """A limit on the size of files, which needs no rights, instead of a small disk."""
    database = make_database(tmp_path / "app.db", "delete")
    before = database.read_bytes()
    run = begin(database, tmp_path / "run")
    assert call("tests.support.faults.work", str(run.folder), "preflight")[0] == 0

    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (400_000, 400_000))
    code, output = call("tests.support.faults.work", str(run.folder), "snapshot", preexec_fn=limit)
    assert code in (1, 2), output
    assert output.count("\n") == 2, output
    assert "Traceback" not in output
    assert not run.backup.exists()
    assert call("tests.support.faults.work", str(run.folder), "snapshot")[0] == 0
    size = len(before) + 20_000
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))
    code, output = call("tests.support.faults.work", str(run.folder), "migrate", preexec_fn=limit)
    assert code == 1, output
    assert "rolled back" in output
    assert database.read_bytes() == before
    code, output = call("tests.support.faults.work", str(run.folder), "snapshot", "migrate")
    assert code == 0, output


def test_the_database_cannot_grow(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 6_000) as disk:
        database = make_database(disk / "app.db", "delete")
        folder = tmp_path / "run"
        until_snapshot(begin(database, folder))
        before = state(database)
        with (disk / "other").open("wb") as other:
            other.write(b"x" * (shutil.disk_usage(disk).free - 40_000))
        code, output = call("tests.support.faults.work", str(folder), "migrate")
        assert code == 1, output
        assert "disk is full" in output
        assert "rolled back" in output
        assert state(database) == before
        assert ledger(database) == []


@pytest.mark.parametrize(
    "moment", [pytest.param("started", marks=pytest.mark.long), "proven", "finished"]
)
def test_migrate_without_room_for_its_record(moment: str, tmp_path: Path) -> None:
    database = make_database(tmp_path / "app.db", "wal", users=40, projects=100)
    before = state(database)
    with small_disk(tmp_path / "disk", 8_000) as disk:
        folder = disk / "run"
        until_snapshot(begin(database, folder))
        code, said = hurt(folder, f"fill@{moment}", "migrate")
        assert code == 2
        assert "No space left on device" in said
        assert ("succeeded and committed, but its record" in said) == (moment == "finished")
        assert bool(ledger(database)) == (moment == "finished")
        if moment != "finished":
            assert state(database) == before
        whole_records(folder)
        make_room(folder)
        again = ["migrate"] if moment == "finished" else ["snapshot", "migrate"]
        code, output = call("tests.support.faults.work", str(folder), *again)
        assert code == 0, output
        assert len(ledger(database)) == 1


def test_report(tmp_path: Path) -> None:
    database = make_database(tmp_path / "app.db", "wal", users=40, projects=100)
    with small_disk(tmp_path / "disk", 8_000) as disk:
        folder = disk / "run"
        until_snapshot(begin(database, folder))
        assert call("tests.support.faults.work", str(folder), "migrate", "verify")[0] == 0
        before = state(database)
        code, said = hurt(folder, "fill@after started", "report")
        assert code == 2
        assert "No space left on device" in said
        assert not (folder / "report.html").exists()
        whole_records(folder)
        assert state(database) == before
        make_room(folder)
        assert call("tests.support.faults.work", str(folder), "report")[0] == 0
