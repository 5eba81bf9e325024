"""Another process writes, holds the lock, or reads for long: waited for, or seen and named."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from runbook.errors import NotProven, Refused
from runbook.migration.job import Job
from runbook.run.records import MigrateRecord
from runbook.stages import migrate, preflight, snapshot, verify
from tests.support.faults.harness import another, finish, make_database, state
from tests.support.runs import agreed, begin, until_snapshot


@pytest.mark.parametrize(
    ("journal", "deed"), [("wal", "hold"), ("delete", "hold"), ("delete", "read")]
)
def test_a_lock_is_waited_for(journal: str, deed: str, tmp_path: Path) -> None:
    database = make_database(tmp_path / "app.db", journal)
    run = until_snapshot(begin(database, tmp_path / "run"))
    with another(database, deed, 1.5):
        done = migrate.migrate(run, agreed(run))
    assert done.committed
    # A lock is waited for at the beginning, a reader at the commit.
    waited = done.waited_seconds if deed == "hold" else done.locked_seconds - done.gate_seconds
    assert waited > 0.3
    assert verify.verify(run).verdict == "pass"


@pytest.mark.parametrize("deed", ["hold", "read"])
def test_a_lock_is_not_waited_for_without_end(
    deed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make_database(tmp_path / "app.db", "delete")
    run = until_snapshot(begin(database, tmp_path / "run"))
    before = state(database)
    act = migrate.migrate_target

    def briefly(job: Job, **options: Any) -> MigrateRecord:
        return act(dataclasses.replace(job, wait=0.5), **options)

    monkeypatch.setattr(migrate, "migrate_target", briefly)
    with another(database, deed, 60), pytest.raises(Refused, match="locked by another process"):
        migrate.migrate(run, agreed(run))
    assert state(database) == before
    snapshot.snapshot(run)
    assert migrate.migrate(run, agreed(run)).committed


def test_a_long_read_does_not_matter_to_a_wal(tmp_path: Path) -> None:
    database = make_database(tmp_path / "app.db", "wal")
    run = until_snapshot(begin(database, tmp_path / "run"))
    with another(database, "read", 60):
        assert migrate.migrate(run, agreed(run)).committed
        assert verify.verify(run).verdict == "pass"


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_writer_is_seen_and_named(journal: str, tmp_path: Path) -> None:
    database = make_database(tmp_path / "app.db", journal)
    run = begin(database, tmp_path / "run")
    preflight.preflight(run)  # which would see the writer too
    with another(database, "write", 60) as writer:
        snapshot.snapshot(run)
        with pytest.raises(NotProven, match='"users"') as refused:
            migrate.migrate(run, agreed(run))
        writer.kill()
        finish(writer)
    assert isinstance(refused.value.record, MigrateRecord)
    (finding,) = refused.value.record.findings
    assert (finding.table, finding.column, finding.rows) == ("users", "email", 1)
    # Once it has gone, a new snapshot is all that is needed.
    assert not run.finished("snapshot")
    snapshot.snapshot(run)
    assert migrate.migrate(run, agreed(run)).committed
