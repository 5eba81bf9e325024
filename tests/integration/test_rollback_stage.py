"""The stage rollback: the ledger decides what is true, whatever the records say."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from runbook.errors import NotAllowedNow, OutcomeUnknown, Refused, RunFolderError
from runbook.files import read_sealed, write_sealed
from runbook.run.folder import Run
from runbook.run.records import RollbackRecord
from runbook.stages import migrate, rollback, verify
from tests.support.databases import dump, execute
from tests.support.later_writes import NEW_ORGANIZATION
from tests.support.runs import agreed, begin, until_migrated


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it may run, so what follows is undone by hand."""


@pytest.fixture
def migrated(migrated_sample: Run) -> Run:
    return migrated_sample


def back(run: Run, **options: bool) -> RollbackRecord:
    return rollback.rollback(run, agreed(run), **options)


def database(run: Run) -> Path:
    return Path(run.info.database)


def set_status(run: Run, stage: str, status: str) -> None:
    """The stage's record as a kill between the database and the record leaves it."""
    path = run.record_path(stage)
    write_sealed(path, {**read_sealed(path), "status": status, "finished_at": ""})


def test_a_rollback_is_done_once_and_recorded(sample: Path, tmp_path: Path) -> None:
    before = dump(sample)
    run = until_migrated(begin(sample, tmp_path / "run"))
    found = rollback.preview(run)
    assert dump(sample) != before
    record = back(run)
    assert dump(sample) == before
    assert (record.done, record.restored) == (True, found.restored)
    assert record.confirmation is not None
    assert record.confirmation.by == "tester"
    assert (run.folder / "sql" / "rollback.sql").read_text().startswith("--")
    assert all((run.folder / name).exists() for name in record.exported)
    execute(sample, "UPDATE users SET name = 'later'")
    later = dump(sample)
    assert back(run) == record
    assert rollback.preview(run) == record.assessment
    assert dump(sample) == later
    with pytest.raises(NotAllowedNow, match="rollback is already done"):
        verify.verify(run, again=True)
    # A new run migrates the same database again.
    again = until_migrated(begin(sample, tmp_path / "again"))
    assert verify.verify(again).verdict == "pass"


def test_a_rollback_needs_no_verification_and_may_follow_a_failed_one(migrated: Run) -> None:
    execute(database(migrated), "UPDATE tags SET tag = 'x' || tag")
    assert verify.verify(migrated).verdict == "fail"
    assert back(migrated).done


def test_there_is_no_rollback_before_the_migration(snapshotted: Run) -> None:
    with pytest.raises(NotAllowedNow, match=r"migrate is not finished; allowed now: .*migrate"):
        back(snapshotted)
    with pytest.raises(NotAllowedNow):
        rollback.preview(snapshotted)


def test_a_migration_killed_before_its_record_can_be_rolled_back(migrated: Run) -> None:
    set_status(migrated, "migrate", "proven")
    assert back(migrated).restored == 1000


def test_a_migration_killed_before_its_commit_leaves_nothing_to_roll_back(
    snapshotted: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = snapshotted
    before = dump(database(run))

    def killed(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr("runbook.stages.migrate.migrate_target", killed)
    monkeypatch.setattr("runbook.run.folder.Stage.failed", lambda *_: None)
    with pytest.raises(Refused, match="everything was rolled back"):
        migrate.migrate(run, agreed(run))
    monkeypatch.undo()
    record = run.record("migrate")
    assert record is not None
    assert record.status == "started"
    with pytest.raises(NotAllowedNow, match="never committed"):
        back(run)
    assert dump(database(run)) == before
    # That attempt must not stand in the way of the migration.
    assert migrate.migrate(run, agreed(run)).committed


def test_a_rollback_killed_after_its_commit_is_complete(migrated: Run) -> None:
    first = back(migrated)
    set_status(migrated, "rollback", "proven")
    now = dump(database(migrated))
    assert rollback.preview(migrated) == first.assessment
    record = back(migrated)
    assert record.done
    assert "stopped after its commit" in record.note
    assert record.restored == first.restored
    assert dump(database(migrated)) == now


def test_a_rollback_killed_before_its_commit_is_done_anew(
    migrated: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = dump(database(migrated))

    def killed(self: object, record: RollbackRecord) -> None:
        self.write("proven", record)  # type: ignore[attr-defined]
        raise Killed

    monkeypatch.setattr("runbook.run.folder.Stage.proven", killed)
    monkeypatch.setattr("runbook.run.folder.Stage.failed", lambda *_: None)
    with pytest.raises(Refused, match="the migration still stands"):
        back(migrated)
    monkeypatch.undo()
    record = migrated.record("rollback")
    assert record is not None
    assert record.status == "proven"
    assert dump(database(migrated)) == now
    assert back(migrated).note == ""


def test_a_database_that_lost_its_ledger_is_for_a_person_to_look_at(migrated: Run) -> None:
    execute(database(migrated), "DELETE FROM runbook_ledger")
    with pytest.raises(OutcomeUnknown, match="so inspect it") as caught:
        back(migrated)
    assert caught.value.exit_code == 3


def test_the_migration_of_another_run_is_not_rolled_back(migrated: Run, tmp_path: Path) -> None:
    execute(database(migrated), "UPDATE runbook_ledger SET run = 'another'")
    with pytest.raises(OutcomeUnknown, match='the run "another"'):
        back(migrated)


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_a_damaged_backup_is_noticed(migrated: Run, damage: str) -> None:
    now = dump(database(migrated))
    if damage == "missing":
        migrated.backup.unlink()
    else:
        content = bytearray(migrated.backup.read_bytes())
        content[len(content) // 2] ^= 1
        migrated.backup.write_bytes(content)
    for act in (back, rollback.preview):
        with pytest.raises(RunFolderError, match=r"is missing|its checksum differs"):
            act(migrated)
    assert dump(database(migrated)) == now


def test_what_people_made_is_discarded_only_on_request(migrated: Run) -> None:
    execute(database(migrated), NEW_ORGANIZATION)
    with pytest.raises(Refused, match="--discard-organizations"):
        back(migrated)
    record = migrated.record("rollback")
    assert record is not None
    assert record.status == "failed"
    assert record.result is not None
    assert record.result["discarded"] == 1
    assert back(migrated, discard_organizations=True).discarded == 1


def test_the_full_restore_is_the_other_way(sample: Path, tmp_path: Path) -> None:
    before = dump(sample)
    run = until_migrated(begin(sample, tmp_path / "run"))
    execute(sample, "DELETE FROM tasks WHERE id = 1", NEW_ORGANIZATION)
    record = back(run, restore=True)
    assert dump(sample) == before
    assert (record.how, record.discarded) == ("restore", 2)
    set_status(run, "rollback", "proven")
    assert back(run).how == "restore"


def test_an_interrupted_write_in_rollback_journal_mode_is_undone_first(
    migrated: Run, tmp_path: Path
) -> None:
    """A kill in the middle of a commit leaves a hot journal, which the next start plays back."""
    path = database(migrated)
    copy = tmp_path / "torn.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("PRAGMA cache_spill = 1")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("UPDATE tasks SET title = title || ' torn'")
    connection.execute("UPDATE comments SET body = body || ' torn'")
    journal = path.with_name(path.name + "-journal")
    assert journal.stat().st_size > 0
    shutil.copy(path, copy)
    shutil.copy(journal, tmp_path / "torn.db-journal")
    connection.execute("ROLLBACK")
    connection.close()
    shutil.copy(copy, path)
    shutil.move(tmp_path / "torn.db-journal", journal)
    assert rollback.preview(migrated).kept == 0
    assert back(migrated).kept == 0
    assert "torn" not in dump(path)
