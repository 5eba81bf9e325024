"""What may follow what: everything else is refused, with what is allowed now."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import time_machine

from runbook.errors import NotAllowedNow, NotProven, RunFolderError, TargetError
from runbook.run.folder import Run
from runbook.run.lock import hold_lock
from runbook.run.rules import ALLOWED, STAGES
from runbook.sample.make import make_sample
from runbook.stages import migrate, preflight, rollback, snapshot, verify
from runbook.stages.open_run import open_run
from tests.support.databases import dump, execute
from tests.support.runs import agreed, begin, until_migrated, until_snapshot

Call = Callable[[Run], object]
CALLS: dict[str, Call] = {
    "preflight": lambda run: preflight.preflight(run, again=True),
    "snapshot": lambda run: snapshot.snapshot(run, again=True),
    "migrate": lambda run: migrate.migrate(run, agreed(run)),
    "verify": lambda run: verify.verify(run, again=True),
    "rollback": lambda run: rollback.rollback(run, agreed(run)),
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    make_sample(tmp_path / "app.db", users=20, projects=40)
    return tmp_path / "app.db"


def test_the_table_names_every_stage() -> None:
    assert set(ALLOWED) == set(STAGES)
    for rule in ALLOWED.values():
        assert {*rule.after, *rule.never_after, *rule.begun} <= set(STAGES)


def test_the_life_of_a_run(database: Path, tmp_path: Path) -> None:
    """After each stage, exactly these may run; the others say what may."""
    run = begin(database, tmp_path / "run")
    life: list[tuple[str, set[str]]] = [
        ("", {"preflight"}),
        ("preflight", {"preflight", "snapshot"}),
        ("snapshot", {"preflight", "snapshot", "migrate"}),
        # A finished migration only shows its record again.
        ("migrate", {"migrate", "verify", "rollback"}),
        ("verify", {"migrate", "verify", "rollback"}),
        ("rollback", {"rollback", "migrate"}),
    ]
    for stage, may in life:
        if stage:
            CALLS[stage](run)
        before = dump(database)
        for other in CALLS.keys() - may:
            with pytest.raises(NotAllowedNow, match=f"{other} may not run now: .*allowed now: "):
                CALLS[other](run)
        assert dump(database) == before
        for other in (may & {"migrate", "rollback"}) & {stage}:
            assert CALLS[other](run) == CALLS[other](run)
        assert dump(database) == before


def test_after_the_rollback_nothing_migrates_again(database: Path, tmp_path: Path) -> None:
    run = until_migrated(begin(database, tmp_path / "run"))
    before = dump(run.backup)
    rollback.rollback(run, agreed(run))
    assert dump(database) == before
    migrate.migrate(run, agreed(run))  # shows the record of what was taken back
    assert dump(database) == before
    with pytest.raises(NotAllowedNow, match="rollback is already done"):
        verify.verify(run)


@pytest.mark.parametrize("stage", ["preflight", "snapshot", "migrate"])
def test_another_database_of_the_same_name(database: Path, tmp_path: Path, stage: str) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    make_sample(tmp_path / "other.db", users=20, projects=40, seed=2)
    (tmp_path / "other.db").replace(database)
    before = dump(database)
    with pytest.raises(TargetError, match=r"its file .* was .* begin a new run folder"):
        CALLS[stage](run)
    assert dump(database) == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("PRAGMA page_size = 8192; VACUUM", "its page size was 4096 and is 8192"),
        ("PRAGMA schema_version = 1", "its schema went back from version"),
    ],
)
def test_other_bytes_in_the_same_file(
    database: Path, tmp_path: Path, change: str, reason: str
) -> None:
    """As `cp` puts another database in the place of this one, whose file stays."""
    run = until_snapshot(begin(database, tmp_path / "run"))
    execute(database, *change.split("; "))
    with pytest.raises(TargetError, match=reason):
        migrate.migrate(run, agreed(run))


def test_what_may_happen_to_the_file_of_a_run(database: Path, tmp_path: Path) -> None:
    """Rows that come, another journal, a checkpoint, a VACUUM, a way back, and a move afterwards."""
    run = begin(database, tmp_path / "run")
    execute(database, "PRAGMA journal_mode = WAL", "CREATE TABLE more (a)", "VACUUM")
    execute(database, "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode = DELETE")
    until_migrated(run)
    copy = shutil.copy(database, tmp_path / "elsewhere.db")
    Path(copy).replace(database)  # its ledger holds this very run
    assert verify.verify(run).verdict == "pass"
    assert rollback.rollback(run, agreed(run)).done


def test_a_written_cell_since_the_snapshot(database: Path, tmp_path: Path) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    execute(database, "UPDATE users SET email = 'new@example.org' WHERE rowid = 3")
    before = dump(database)
    with pytest.raises(NotProven, match='"users"'):
        migrate.migrate(run, agreed(run))
    assert dump(database) == before
    with pytest.raises(NotAllowedNow, match="snapshot is from before a migration that failed"):
        migrate.migrate(run, agreed(run))


def test_the_snapshot_of_another_folder(database: Path, tmp_path: Path) -> None:
    first = until_snapshot(begin(database, tmp_path / "a" / "run"))
    second = until_snapshot(begin(database, tmp_path / "b" / "run"))
    execute(database, "UPDATE users SET email = 'new@example.org' WHERE rowid = 3")
    shutil.copy(first.backup, second.backup)
    shutil.copy(first.record_path("snapshot"), second.record_path("snapshot"))
    with pytest.raises(RunFolderError, match=r"03_snapshot\.json is the record"):
        migrate.migrate(second, agreed(second))


def test_a_folder_belongs_to_one_database(database: Path, tmp_path: Path) -> None:
    run = begin(database, tmp_path / "run")
    make_sample(tmp_path / "other.db", users=20, projects=40)
    with pytest.raises(RunFolderError, match="belongs to the database"):
        open_run(str(tmp_path / "other.db"), run_dir=str(run.folder))


def test_a_folder_that_was_cut_off_while_it_was_made(database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for name in ("stages", "notebooks"):
        (folder / name).mkdir(parents=True)
    (folder / ".run.json.abc.tmp").write_text("{")
    assert until_migrated(begin(database, folder)).finished("migrate")


@pytest.mark.parametrize("stranger", ["notes.txt", "stages/01_preflight.json"])
def test_a_folder_of_something_else(stranger: str, database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / stranger).parent.mkdir(parents=True)
    (folder / stranger).write_text("mine")
    with pytest.raises(RunFolderError, match="is not empty and is not a run folder"):
        begin(database, folder)


def test_one_stage_at_a_time(
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    before = dump(database)
    monkeypatch.setattr("runbook.run.folder.ORPHAN_SECONDS", 0.3)
    with (
        hold_lock(run.folder, "stage"),
        pytest.raises(NotAllowedNow, match=r"Another process is working in .* after 0.3 s"),
    ):
        migrate.migrate(run, agreed(run))
    assert "waiting up to 0.3 s" in capsys.readouterr().err
    assert dump(database) == before


@pytest.mark.parametrize(
    ("place", "rules"),
    [("app/runs/1", "app/runs"), ("new/deep/run", "new/deep"), ("run", "run")],
)
def test_git_ignores_what_a_run_keeps(
    database: Path, tmp_path: Path, place: str, rules: str
) -> None:
    """A run folder holds a full copy of the data, often inside the application's repository."""
    (tmp_path / "app" / "runs").mkdir(parents=True)
    begin(database, tmp_path / place)
    assert (tmp_path / rules / ".gitignore").read_text() == "*\n"
    assert len(list(tmp_path.rglob(".gitignore"))) == 1


def test_rules_of_the_application_are_left_alone(database: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / ".gitignore").write_text("*.db\n")
    begin(database, tmp_path / "runs" / "1")
    assert (tmp_path / "runs" / ".gitignore").read_text() == "*.db\n"


def test_runs_begun_in_one_second_have_folders_of_their_own(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with time_machine.travel("2026-11-26 12:00:00Z", tick=False):
        folders = [open_run(str(database)).folder.name for _ in range(3)]
    stem = f"20261126-120000-{database.stem}"
    assert folders == [stem, f"{stem}-2", f"{stem}-3"]
