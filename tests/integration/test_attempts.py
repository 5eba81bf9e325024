"""A failure that was overcome is not overwritten: its record stays, and the report tells of it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.errors import Blocked, NotAllowedNow, NotProven, RunFolderError
from runbook.run.attempts import attempts, keep_attempt
from runbook.run.folder import Run
from runbook.sample.make import make_sample
from runbook.stages import migrate, preflight, report, snapshot, verify
from runbook.stages.open_run import open_run
from tests.support.report_page import page_of
from tests.support.runs import agreed, begin, until_migrated


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run on a small database of which two rows have no owner."""
    database = tmp_path / "app.db"
    make_sample(database, users=12, projects=30, seed=5)
    write(database, "UPDATE projects SET owner_id = 'gone' WHERE rowid <= 2")
    return begin(database, tmp_path / "run")


def write(database: Path | str, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(statement)
        connection.commit()


def correct(run: Run) -> None:
    write(
        run.info.database,
        "UPDATE projects SET owner_id = (SELECT min(id) FROM users) WHERE owner_id = 'gone'",
    )


def test_what_was_overcome_stands_in_the_report(run: Run) -> None:
    with pytest.raises(Blocked):
        preflight.preflight(run)
    correct(run)
    preflight.preflight(run)
    snapshot.snapshot(run)
    write(run.info.database, "UPDATE projects SET name = 'late' WHERE rowid = 3")
    with pytest.raises(NotProven, match="take a new snapshot"):
        migrate.migrate(run, agreed(run))
    snapshot.snapshot(run)
    migrate.migrate(run, agreed(run))
    write(run.info.database, "UPDATE projects SET organization_id = NULL WHERE rowid = 4")
    assert verify.verify(run).verdict == "fail"
    write(
        run.info.database,
        "UPDATE projects SET organization_id = (SELECT o.id FROM organizations AS o"
        " WHERE o.owner_id = projects.owner_id) WHERE organization_id IS NULL",
    )
    assert verify.verify(run, again=True).verdict == "pass"
    report.report(run)
    text = page_of(run.folder).text
    assert text.count("It succeeded") == 3
    assert "was blocked by 1 hazard" in text or "Preflight blocks the run" in text
    assert "The proof failed before the commit" in text
    assert "Verification" in text
    assert "said fail, with" in text
    kept = sorted(p.name for p in (run.folder / "stages" / "attempts").iterdir())
    assert kept == [
        "01_preflight_1.json",
        "03_snapshot_1.json",
        "04_migrate_1.json",
        "05_verify_1.json",
    ]


def test_what_is_repeated_as_a_matter_of_course_leaves_no_attempts(run: Run) -> None:
    correct(run)
    until_migrated(run)
    for _ in range(3):
        report.report(run)
    assert not (run.folder / "stages" / "attempts").exists()
    record = verify.verify(run)
    assert record.bytes_after == Path(run.info.database).stat().st_size > run.info.identity.bytes
    assert "Unexpected Nothing" not in page_of(run.folder).text  # the checklist is open


def test_a_call_that_died_while_it_began_keeps_nothing_twice(tmp_path: Path) -> None:
    record = tmp_path / "stages" / "04_migrate.json"
    record.parent.mkdir()
    keep_attempt(record)
    assert attempts(record) == []
    record.write_bytes(b"first")
    keep_attempt(record)
    keep_attempt(record)
    record.write_bytes(b"second")
    keep_attempt(record)
    assert [p.read_bytes() for p in attempts(record)] == [b"first", b"second"]


def test_the_tenth_attempt_comes_after_the_ninth(tmp_path: Path) -> None:
    record = tmp_path / "stages" / "05_verify.json"
    record.parent.mkdir()
    for number in range(12):
        record.write_text(str(number))
        keep_attempt(record)
    assert [p.read_text() for p in attempts(record)] == [str(n) for n in range(12)]


def test_a_stage_does_not_begin_where_its_history_cannot_be_kept(run: Run) -> None:
    with pytest.raises(Blocked):
        preflight.preflight(run)
    (run.folder / "stages" / "attempts").write_text("in the way")
    with pytest.raises(RunFolderError, match="its earlier record cannot be kept"):
        preflight.preflight(run)


def test_a_folder_without_a_run_and_no_plan_are_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever mistyped the folder of a run begins another one, by another plan perhaps."""
    monkeypatch.setattr("runbook.headless.run_stages.run_stages", lambda *_: None)
    options = ["run", "--database", run.info.database, "--until", "preflight"]
    called = CliRunner().invoke(main, [*options, "--run-dir", str(tmp_path / "mistyped")])
    assert "mistyped held no run: a new one begins there" in called.stdout
    called = CliRunner().invoke(main, [*options, "--run-dir", str(run.folder)])
    assert "held no run" not in called.stdout


def test_a_new_run_on_a_migrated_database_is_told_whose_it_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    correct(run)
    until_migrated(run)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotAllowedNow, match=r"is not below runs/; pass it with --run-dir"):
        open_run(run.info.database)
    (tmp_path / "runs").mkdir()
    moved = run.folder.rename(tmp_path / "runs" / "first")
    with pytest.raises(NotAllowedNow) as told:
        open_run(run.info.database)
    message = str(told.value)
    assert f"runbook run --run-dir {moved}" in message
    assert f"runbook rollback --run-dir {moved}" in message
    assert "nothing is left" not in message.casefold()
    assert [p.name for p in (tmp_path / "runs").iterdir() if p.is_dir()] == ["first"]
