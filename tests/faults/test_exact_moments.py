"""Accidents at the moments that a random kill seldom meets: around the proof and the commit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbook.errors import NotAllowedNow
from runbook.run.folder import Run
from runbook.run.records import MigrateRecord
from runbook.stages import snapshot
from tests.support.brief import brief
from tests.support.databases import execute
from tests.support.faults.harness import (
    Reference,
    call,
    environment,
    ledger,
    make_database,
    photograph,
    state,
    timeless,
)
from tests.support.runs import begin, until_snapshot


def hurt(folder: Path, accident: str, *stages: str) -> tuple[int, str]:
    """The stages in a process in which the accident happens."""
    env = {**environment(), "RUNBOOK_ACCIDENT": accident}
    return call("tests.support.faults.work", str(folder), *stages, env=env)


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, Path, Reference]:
    """A database, its run folder with the snapshot done, and what the database should be."""
    database = make_database(tmp_path / "app.db", "delete")
    folder = tmp_path / "run"
    until_snapshot(begin(database, folder))
    return database, folder, Reference(state(database))


MOMENTS = ("started", "after started", "proven", "after proven", "finished", "after finished")


@pytest.mark.parametrize(
    "moment", brief(MOMENTS, lambda moment: moment in ("after proven", "finished"))
)
def test_killed_at(moment: str, prepared: tuple[Path, Path, Reference], tmp_path: Path) -> None:
    database, folder, reference = prepared
    for stage in ("migrate", "rollback"):
        code, _ = hurt(folder, f"kill@{moment}", stage)
        assert code == -9
        happened = moment in ("finished", "after finished")
        photo = photograph(database, tmp_path / "album")
        assert bool(ledger(photo)) == (happened == (stage == "migrate"))
        if not ledger(photo):
            assert state(photo) == reference.before
        code, output = call("tests.support.faults.work", str(folder), stage)
        assert (code, output) == (0, f"ready\ndone {stage}\n")
        if stage == "migrate":
            reference.after = timeless(database)
            record = Run.open(folder).result("migrate", MigrateRecord)
            assert bool(record.note) == (moment == "finished")
            assert record.proof == "before commit"
            assert record.steps
    assert state(database) == reference.before


def test_killed_twice_after_the_commit(prepared: tuple[Path, Path, Reference]) -> None:
    _, folder, _ = prepared
    for _ in range(2):
        assert hurt(folder, "kill@finished", "migrate")[0] == -9
    code, output = call("tests.support.faults.work", str(folder), "migrate", "verify", "report")
    assert code == 0, output
    assert Run.open(folder).result("migrate", MigrateRecord).proof == "before commit"
    assert json.loads((folder / "audit.json").read_text())["verdict"] == "pass"


@pytest.mark.parametrize(
    "moment", brief(["Assign resources", "after proven"], lambda moment: moment == "after proven")
)
def test_interrupted_in_the_transaction(
    moment: str, prepared: tuple[Path, Path, Reference]
) -> None:
    database, folder, reference = prepared
    before = database.read_bytes()
    code, output = hurt(folder, f"interrupt@{moment}", "migrate")
    assert code == 1
    assert "everything was rolled back" in output
    assert "interrupted" in output
    assert output.count("\n") == 2, "one sentence, no traceback"
    assert state(database) == reference.before
    assert database.read_bytes() == before
    # The snapshot is older than a migration that failed, so it is taken anew.
    code, output = call("tests.support.faults.work", str(folder), "snapshot", "migrate", "verify")
    assert code == 0, output


def test_interrupted_after_the_commit(prepared: tuple[Path, Path, Reference]) -> None:
    database, folder, _ = prepared
    code, _ = hurt(folder, "interrupt@finished", "migrate")
    assert len(ledger(database)) == 1
    code, output = call("tests.support.faults.work", str(folder), "migrate", "verify")
    assert code == 0, output


def test_a_lost_record_is_found_again_through_the_ledger(
    prepared: tuple[Path, Path, Reference],
) -> None:
    database, folder, _ = prepared
    assert call("tests.support.faults.work", str(folder), "migrate")[0] == 0
    (folder / "stages" / "04_migrate.json").unlink()
    with pytest.raises(NotAllowedNow, match="no snapshot from before it; run migrate"):
        snapshot.snapshot(Run.open(folder), again=True)
    code, output = call("tests.support.faults.work", str(folder), "migrate", "verify", "report")
    assert code == 0, output
    record = Run.open(folder).result("migrate", MigrateRecord)
    assert record.proof == "after commit"
    assert "its record was lost" in record.note
    assert len(ledger(database)) == 1
    assert call("tests.support.faults.work", str(folder), "rollback")[0] == 0


def test_a_run_of_the_same_name_is_another_run(tmp_path: Path) -> None:
    database = make_database(tmp_path / "app.db", "wal")
    first, second = tmp_path / "a" / "run", tmp_path / "b" / "run"
    for folder in (first, second):
        until_snapshot(begin(database, folder))
    assert call("tests.support.faults.work", str(first), "migrate")[0] == 0
    code, output = call("tests.support.faults.work", str(second), "migrate")
    assert code == 3
    assert "already migrated this database" in output


def test_an_altered_ledger_is_not_believed(prepared: tuple[Path, Path, Reference]) -> None:
    database, folder, _ = prepared
    assert hurt(folder, "kill@finished", "migrate")[0] == -9
    execute(database, "UPDATE runbook_ledger SET checksum = 'x'")
    code, output = call("tests.support.faults.work", str(folder), "migrate")
    assert code == 3
    assert "other SQL" in output
