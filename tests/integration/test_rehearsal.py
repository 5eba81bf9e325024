"""The rehearsal predicts: what it found on its copy is what then happens, and nothing is touched."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbook.audit import verify as verification
from runbook.audit.compare_database import differences
from runbook.audit.invariants import ask_duckdb
from runbook.audit.snapshot import read_capture
from runbook.audit.verify import read_to_verify
from runbook.errors import NotProven, RunbookError, TargetError
from runbook.run.folder import Run
from runbook.run.records import (
    MigrateRecord,
    PreflightRecord,
    RehearseRecord,
    SnapshotRecord,
    VerifyRecord,
)
from runbook.sample.make import make_sample
from runbook.sqlite.tables import read_tables
from runbook.stages import migrate, preflight, rehearse, snapshot, verify
from tests.support.cases import NOTES, USERS, Case, build
from tests.support.databases import connected
from tests.support.notebooks import environment
from tests.support.paths import PLANS
from tests.support.runs import agreed, begin, until_snapshot
from tests.support.shapes import KEYS, PLAN, TIMES, make

Before = tuple[str, int, str]


def rehearsed_and_done(database: Path, folder: Path, plan: Path | str = "") -> Run:
    """A run with everything from preflight to verify, the rehearsal included."""
    run = begin(database, folder, plan)
    preflight.preflight(run)
    rehearse.rehearse(run)
    snapshot.snapshot(run)
    migrate.migrate(run, agreed(run))
    verify.verify(run)
    return run


def assert_predicted(run: Run) -> None:
    """Steps, rows, and every digest but for the run's own time are what the rehearsal said."""
    said = run.result("rehearse", RehearseRecord)
    done, seen = run.result("migrate", MigrateRecord), run.result("verify", VerifyRecord)
    assert [(s.name, s.rows) for s in said.steps] == [(s.name, s.rows) for s in done.steps]
    assert {d.table: (d.rows, d.timeless) for d in said.digests} == {
        d.table: (d.rows, d.timeless) for d in seen.digests
    }
    assert all(d.timeless for d in seen.digests)
    assert [(f.table, f.change, f.column, dict(f.counts)) for f in said.footprint] == [
        (f.table, f.change, f.column, dict(f.counts)) for f in seen.footprint
    ]
    predicted = run.result("preflight", PreflightRecord)
    rows = {(f.table, f.change, f.column): f.predicted for f in predicted.footprint}
    for line in seen.footprint:
        expected = rows[line.table, line.change, line.column]
        if expected is not None:
            assert set(line.counts.values()) == {expected}, line


IN_TURN, AT_ONCE = 8 << 20, 0
"""From how many bytes on its parts are worked on at the same time."""


@pytest.fixture(params=[IN_TURN, AT_ONCE], ids=["in turn", "at once"])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbook.workers._SMALL", request.param)


@pytest.mark.usefixtures("parts")
def test_the_sample(sample: Path, tmp_path: Path) -> None:
    assert_predicted(rehearsed_and_done(sample, tmp_path / "run"))


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("planted", [True, False])
def test_what_was_wrong_before_the_way_back_comes_first(
    planted: bool, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_way_back(*_: object) -> None:
        raise NotProven("There is no way back.")

    monkeypatch.setattr(rehearse, "roll_back", no_way_back)
    if planted:
        monkeypatch.setattr(
            verification, "ask_duckdb", lambda *asked: dict.fromkeys(ask_duckdb(*asked), 1)
        )
    run = begin(sample, tmp_path / "run")
    preflight.preflight(run)
    with pytest.raises(NotProven, match="the witnesses found" if planted else "no way back"):
        rehearse.rehearse(run)
    assert not run.finished("rehearse")
    assert not (tmp_path / "run" / "rehearsal").exists()


def test_what_was_read_of_the_copy_is_compared_without_it(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For it is written again meanwhile."""
    verified = []

    def apart(copy: Path, *others: Any) -> Callable[[], VerifyRecord]:
        comparing = read_to_verify(copy, *others)
        away = copy.rename(tmp_path / "away.db")
        verified.append(comparing())
        away.rename(copy)
        return lambda: verified[0]

    monkeypatch.setattr(rehearse, "read_to_verify", apart)
    run = begin(sample, tmp_path / "run")
    preflight.preflight(run)
    rehearse.rehearse(run)
    assert [v.verdict for v in verified] == ["pass"]


@pytest.mark.usefixtures("parts")
def test_what_a_witness_finds_fails_it_though_all_went_back(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        verification, "ask_duckdb", lambda *asked: dict.fromkeys(ask_duckdb(*asked), 1)
    )
    run = begin(sample, tmp_path / "run")
    preflight.preflight(run)
    with pytest.raises(NotProven, match="the witnesses found"):
        rehearse.rehearse(run)
    assert not run.finished("rehearse")


@pytest.mark.usefixtures("parts")
def test_a_backup_that_cannot_be_captured_ends_it(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(*_: object, **__: object) -> None:
        raise TargetError("The backup cannot be read.")

    monkeypatch.setattr(rehearse, "capture", unread)
    run = begin(sample, tmp_path / "run")
    preflight.preflight(run)
    with pytest.raises(TargetError, match="cannot be read"):
        rehearse.rehearse(run)
    assert not run.finished("rehearse")


@pytest.mark.parametrize("name", ["chinook", "northwind"])
def test_public_databases(name: str, public: Callable[[str], Path], tmp_path: Path) -> None:
    database = public(name)
    assert_predicted(rehearsed_and_done(database, tmp_path / "run", PLANS / f"{name}.toml"))


@pytest.mark.parametrize(("key", "time"), list(zip(KEYS, [*TIMES, "text"], strict=True)))
@pytest.mark.parametrize("suffix", ["", "STRICT, WITHOUT ROWID"])
def test_every_shape(key: str, suffix: str, time: str, tmp_path: Path) -> None:
    database, plan = tmp_path / "app.db", tmp_path / "plan.toml"
    make(database, key, suffix, time, "UTF-8", "DELETE")
    plan.write_text(PLAN)
    assert_predicted(rehearsed_and_done(database, tmp_path / "run", plan))


def test_a_database_that_was_written_to_is_not_what_was_predicted(
    sample: Path, tmp_path: Path
) -> None:
    run = begin(sample, tmp_path / "run")
    preflight.preflight(run)
    rehearse.rehearse(run)
    with connected(sample) as connection:
        connection.execute("UPDATE projects SET name = name || '!' WHERE rowid = 1")
    snapshot.snapshot(run)
    migrate.migrate(run, agreed(run))
    verify.verify(run)
    with pytest.raises(AssertionError):
        assert_predicted(run)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_the_snapshot_of_the_very_same_database_is_the_rehearsals(
    journal: str, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(sample) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
    alone = begin(sample, tmp_path / "alone")
    until_snapshot(alone)
    run = begin(sample, tmp_path / "run")
    preflight.preflight(run)
    rehearse.rehearse(run)
    assert (run.folder / "snapshots" / "rehearsed").is_dir()
    monkeypatch.setattr("runbook.stages.snapshot.capture", None)
    monkeypatch.setattr("runbook.stages.snapshot.digests", None)
    taken = snapshot.snapshot(run)
    expected = alone.result("snapshot", SnapshotRecord)
    assert (taken.digests, taken.footprint, taken.shape, taken.rows) == (
        expected.digests,
        expected.footprint,
        expected.shape,
        expected.rows,
    )
    assert taken.backup.sha256 == expected.backup.sha256
    assert read_capture(run.before).snapshot == read_capture(alone.before).snapshot
    assert sorted(p.name for p in run.before.iterdir()) == sorted(
        p.name for p in alone.before.iterdir()
    )
    assert not (run.folder / "snapshots" / "rehearsed").exists()
    migrate.migrate(run, agreed(run))
    assert verify.verify(run).verdict == "pass"


@pytest.mark.parametrize("what", ["a row", "a row that is put back", "a file", "the description"])
def test_the_rehearsals_capture_is_of_no_other_state(
    what: str, sample: Path, tmp_path: Path
) -> None:
    """Whoever wrote since, or altered what was kept: the snapshot is of the database as it is."""
    run = begin(sample, tmp_path / "run")
    preflight.preflight(run)
    rehearse.rehearse(run)
    kept = run.folder / "snapshots" / "rehearsed"
    with connected(sample) as connection:
        if "row" in what:
            connection.execute("UPDATE users SET email = 'x@example.org' WHERE rowid = 3")
        if "back" in what:
            connection.execute("UPDATE users SET email = 'y@example.org' WHERE rowid = 3")
    if what == "a file":
        next(kept.glob("*-users.parquet")).write_bytes(b"PAR1")
    if what == "the description":
        (kept / "rehearsed.json").write_text("{}")
    taken = snapshot.snapshot(run)
    alone = until_snapshot(begin(sample, tmp_path / "alone")).result("snapshot", SnapshotRecord)
    assert taken.digests == alone.digests
    assert not kept.exists()
    migrate.migrate(run, agreed(run))
    assert verify.verify(run).verdict == "pass"


def photograph(database: Path) -> dict[str, Before]:
    """Every file beside the database, with its bytes and its time of modification."""
    return {
        path.name: (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
            oct(path.stat().st_mode),
        )
        for path in database.parent.iterdir()
        if path.name.startswith(database.name)
    }


@pytest.mark.parametrize("journal", ["delete", "wal", "wal in use"])
def test_until_rehearse_leaves_bytes_and_times_alone(journal: str, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    database = tmp_path / "app" / "app.db"
    make_sample(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as application:
        application.execute(f"PRAGMA journal_mode = {journal.split()[0]}")
        if journal == "wal in use":
            application.execute("UPDATE projects SET name = 'in the log' WHERE rowid = 1")
        else:
            application.close()
        before = photograph(database)
        if journal == "wal in use":
            assert before["app.db-wal"]
        # The index of the log is shared memory, in which every reader notes that it reads.
        before.pop("app.db-shm", None)
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "runbook", "run", "--until", "rehearse", "--yes"),
                *("--database", str(database), "--run-dir", str(tmp_path / "run")),
            ],
            env=environment(),
            capture_output=True,
            text=True,
        )
        after = photograph(database)
        after.pop("app.db-shm", None)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert Run.open(tmp_path / "run").finished("rehearse")
        assert after == before
        assert not (tmp_path / "run" / "rehearsal").exists()


def test_what_would_fail_fails_on_the_copy(sample: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[triggers]\npolicy = "fire"\nmay_write = ["projects"]\n')
    with connected(sample) as connection:
        connection.execute(
            "CREATE TRIGGER refuse AFTER UPDATE ON projects WHEN new.rowid = 17"
            " BEGIN SELECT raise(ABORT, 'project 17 must not change'); END"
        )
    original = tmp_path / "original.db"
    original.write_bytes(sample.read_bytes())
    run = begin(sample, tmp_path / "run", plan)
    preflight.preflight(run)
    with pytest.raises(RunbookError, match="project 17 must not change"):
        rehearse.rehearse(run)
    assert not run.finished("rehearse")
    assert differences(sample, original) == ()
    assert sample.read_bytes() == original.read_bytes()
    assert not (tmp_path / "run" / "rehearsal").exists()


def test_the_copy_is_kept_where_that_is_wanted(sample: Path, tmp_path: Path) -> None:
    run = begin(sample, tmp_path / "run")
    preflight.preflight(run)
    rehearse.rehearse(run, keep=True)
    copy = tmp_path / "run" / "rehearsal" / "copy.db"
    assert differences(copy, sample) == ()
    assert copy.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyboardInterrupt(), ""),
        (OSError(28, "No space left on device"), "could not come to its end, so rehearse again"),
        (NotProven("no"), "the rehearsal failed, so this would fail too"),
    ],
)
def test_what_ended_a_rehearsal_decides_whether_it_bars_the_way(
    error: BaseException, reason: str, sample: Path, tmp_path: Path
) -> None:
    run = until_snapshot(begin(sample, tmp_path / "run"))

    def stop(stage: object) -> RehearseRecord:
        raise error

    with pytest.raises(RunbookError):
        run.perform("rehearse", RehearseRecord, stop)
    assert reason in run.forbidden("migrate")
    assert bool(reason) == bool(run.forbidden("migrate"))


def hostile(folder: Path, sql: str, more: str = "") -> Run:
    """A run over users and notes and `sql`, up to its preflight."""
    database, plan = build(Case(USERS + sql, ("notes.user_id.updated_at",), "", more), folder)
    run = begin(database, folder / "run", plan)
    preflight.preflight(run)
    return run


def test_nobody_else_is_blamed_for_what_a_trigger_wrote(tmp_path: Path) -> None:
    sql = """ALTER TABLE users ADD n; CREATE TABLE log (rowid, oid, _rowid_);
        INSERT INTO log VALUES (1, 2, 3);
        CREATE TRIGGER t AFTER UPDATE ON notes BEGIN
            UPDATE users SET n = 1 WHERE id = NEW.user_id; END;"""
    fire = '[triggers]\npolicy = "fire"\nmay_write = ["log"]\n'
    with pytest.raises(NotProven, match=r'"n" was changed in 2 rows of "users"; no other process'):
        rehearse.rehearse(hostile(tmp_path, NOTES + sql, fire))


def test_rows_that_nothing_names_are_not_taken_for_moved_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Preflight would refuse it; the gate does not rely on that.
    monkeypatch.setattr(
        "runbook.hazards.rows.read_tables",
        lambda connection: [replace(t, rowid="rowid") for t in read_tables(connection)],
    )
    sql = """CREATE TABLE notes (rowid, oid, _rowid_, user_id TEXT, updated_at TEXT);
        INSERT INTO notes VALUES (1, 1, 1, 'u1', NULL), (1, 1, 1, 'u1', NULL);"""
    with pytest.raises(NotProven, match=r'hide the rowid of "notes".*; rename one of these'):
        rehearse.rehearse(hostile(tmp_path, sql))
