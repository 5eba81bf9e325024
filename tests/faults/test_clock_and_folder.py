"""The clock is set back, the run folder is read-only or gone: said clearly, nothing changed."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from runbook.errors import NotAllowedNow, Refused, RunFolderError
from runbook.files import write_sealed
from runbook.run.folder import Run
from runbook.run.json_form import to_json
from runbook.run.records import MigrateRecord
from runbook.stages import migrate, preflight, report, snapshot, verify
from tests.support.faults.harness import call, environment, ledger, make_database, state
from tests.support.runs import agreed, begin, until_snapshot


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return make_database(tmp_path / "app.db", "delete", users=40, projects=100)


def shift(run: Run, stage: str, by: timedelta) -> None:
    """Makes a stage's record one of another time, as if the clock had been moved since."""
    record = run.record(stage)
    assert record is not None

    def moved(instant: str) -> str:
        return (datetime.fromisoformat(instant) + by).isoformat(timespec="milliseconds")

    record = dataclasses.replace(
        record, started_at=moved(record.started_at), finished_at=moved(record.finished_at)
    )
    write_sealed(run.record_path(stage), to_json(record))


def test_a_clock_set_back_is_asked_about(database: Path, tmp_path: Path) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    before = state(database)
    shift(run, "snapshot", timedelta(hours=2))
    with pytest.raises(NotAllowedNow, match=r"from the future .* check the clock"):
        migrate.migrate(run, agreed(run))
    assert state(database) == before


def test_a_step_of_the_clock_is_none(database: Path, tmp_path: Path) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    shift(run, "snapshot", timedelta(minutes=2))
    assert migrate.migrate(run, agreed(run)).committed
    shift(run, "migrate", timedelta(hours=5))  # back again, by hours
    assert verify.verify(run).verdict == "pass"
    assert report.report(run).verdict == "pass"


def test_a_snapshot_of_another_day_is_taken_anew(database: Path, tmp_path: Path) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    shift(run, "snapshot", timedelta(hours=-25))
    with pytest.raises(NotAllowedNow, match=r"the snapshot is from .* take a new one"):
        migrate.migrate(run, agreed(run))
    assert not run.finished("snapshot"), "so that `runbook run` takes it anew"
    snapshot.snapshot(run)
    assert migrate.migrate(run, agreed(run)).committed


def test_order_does_not_depend_on_the_clock(database: Path, tmp_path: Path) -> None:
    """A migration failed while the clock was fast; the snapshot taken after it is the newer one."""
    run = until_snapshot(begin(database, tmp_path / "run"))
    kept = run.backup.read_bytes()
    run.backup.write_bytes(b"")
    with pytest.raises(RunFolderError):
        migrate.migrate(run, agreed(run))
    run.backup.write_bytes(kept)
    shift(run, "migrate", timedelta(hours=3))
    assert not run.finished("snapshot")
    snapshot.snapshot(run)
    assert run.finished("snapshot")
    assert migrate.migrate(run, agreed(run)).committed


def test_an_interrupted_commit_is_found_again_after_days(database: Path, tmp_path: Path) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    env = {**environment(), "RUNBOOK_ACCIDENT": "kill@finished"}
    assert call("tests.support.faults.work", str(run.folder), "migrate", env=env)[0] == -9
    assert len(ledger(database)) == 1
    shift(run, "snapshot", timedelta(days=-3))
    assert migrate.migrate(run, agreed(run)).committed


def test_a_killed_attempt_needs_a_fresh_snapshot_after_days(database: Path, tmp_path: Path) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    env = {**environment(), "RUNBOOK_ACCIDENT": "kill@after proven"}
    assert call("tests.support.faults.work", str(run.folder), "migrate", env=env)[0] == -9
    shift(run, "snapshot", timedelta(days=-3))
    with pytest.raises(NotAllowedNow, match="take a new one"):
        migrate.migrate(run, agreed(run))
    assert ledger(database) == []
    snapshot.snapshot(run)
    assert migrate.migrate(run, agreed(run)).committed


def test_the_folder_has_vanished(database: Path, tmp_path: Path) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    before = state(database)
    shutil.rmtree(run.folder)
    with pytest.raises(RunFolderError, match=r"cannot be written .No such file"):
        migrate.migrate(run, agreed(run))
    assert state(database) == before
    code, output = call("runbook", "rollback", "--run-dir", str(run.folder), "--yes")
    assert (code, output.count("\n")) == (2, 1)
    assert "is not a run folder" in output


def test_the_folder_vanishes_before_the_proof_is_kept(database: Path, tmp_path: Path) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    before = state(database)

    def vanish(what: str, *how_far: object) -> None:
        if what == "Proof":
            shutil.rmtree(run.folder / "stages")

    with pytest.raises(RunFolderError, match="record cannot be written"):
        migrate.migrate(run, agreed(run), progress=vanish)
    assert state(database) == before


def test_the_folder_is_read_only(database: Path, tmp_path: Path) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    before = state(database)
    (run.folder / ".stage.lock").unlink()
    mounts = (
        ["mount", "--bind", str(run.folder), str(run.folder)],
        ["mount", "-o", "remount,bind,ro", str(run.folder)],
    )
    if any(subprocess.run(mount, capture_output=True).returncode for mount in mounts):
        pytest.skip("a folder cannot be made read-only here (that takes root)")
    try:
        for stage in (
            lambda: preflight.preflight(run, again=True),
            lambda: migrate.migrate(run, agreed(run)),
            lambda: report.report(run),
        ):
            with pytest.raises(RunFolderError, match="Read-only file system"):
                stage()
        code, output = call(
            "runbook", "run", "--database", str(database), "--run-dir", str(run.folder), "--yes"
        )
        assert (code, output.count("\n")) == (2, 1), output
        assert "Read-only file system" in output
    finally:
        subprocess.run(["umount", "-l", str(run.folder)], check=True)
    assert state(database) == before


def test_the_database_vanishes_during_the_migration(database: Path, tmp_path: Path) -> None:
    """Nobody can know then, and the record does not claim to."""
    run = until_snapshot(begin(database, tmp_path / "run"))
    hidden = database.with_name("hidden.db")

    def vanish(what: str, *how_far: object) -> None:
        if what == "Proof":
            database.rename(hidden)
            raise Refused("the disk was unplugged")

    with pytest.raises(Exception, match="cannot be known now"):
        migrate.migrate(run, agreed(run), progress=vanish)
    assert run.unsettled("migrate")
    hidden.rename(database)
    found = migrate.migrate(run, agreed(run))
    assert isinstance(found, MigrateRecord)
    assert found.committed
    assert len(ledger(database)) == 1
