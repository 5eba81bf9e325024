"""Triggers that may fire: what they write is kept and shown, and nothing else may move."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.errors import Blocked, NotProven
from runbook.plan.shape import read_backup_shape
from runbook.run.folder import Run
from runbook.stages import migrate, preflight, rehearse, rollback, verify
from runbook.window.workflows import try_workflows
from tests.support.databases import connected, execute
from tests.support.runs import agreed, begin, until_snapshot

PLAN = """
[users]
table = "users"
key = "id"

[[resources]]
table = "events"
owner = "user_id"
updated_at = "Touched"

[triggers]
policy = "{policy}"
may_write = {may_write}
"""
USERS = ("CREATE TABLE users (id TEXT PRIMARY KEY)", "INSERT INTO users VALUES ('u1'), ('u2')")
SHAPES = {
    "integer key": "(id INTEGER PRIMARY KEY, {columns})",
    "text key": "(id TEXT PRIMARY KEY, {columns})",
    "without rowid": "(id TEXT PRIMARY KEY, {columns}) WITHOUT ROWID",
    "strict": "(id TEXT PRIMARY KEY, {columns}) STRICT",
}
LOG = (
    'CREATE TABLE "Lo""g" (n INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT)',
    "CREATE TABLE other (n INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT)",
    "INSERT INTO \"Lo\"\"g\" (what) VALUES ('before'), ('gone')",
    'DELETE FROM "Lo""g" WHERE n = 2',
    "INSERT INTO other (what) VALUES ('before')",
    'CREATE TRIGGER logged AFTER UPDATE ON events BEGIN INSERT INTO "Lo""g" (what) VALUES (OLD.id); END',
)
TOUCH = (
    "CREATE TRIGGER touch AFTER UPDATE ON events {when} BEGIN UPDATE events"
    " SET Touched = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id = NEW.id; END"
)


def file_of(run: Run) -> Path:
    return Path(run.info.database)


def start(
    tmp_path: Path, shape: str, *statements: str, policy: str = "fire", may_write: str = "['Lo\"g']"
) -> Run:
    path = tmp_path / "app.db"
    execute(
        path,
        *USERS,
        f"CREATE TABLE events {SHAPES[shape].format(columns='user_id TEXT, Touched TEXT')}",
        "INSERT INTO events VALUES (1, 'u1', '2024-01-01 00:00:00.123'), (2, 'u2', NULL)",
        *statements,
    )
    text = PLAN.format(policy=policy, may_write=may_write)
    (tmp_path / "plan.toml").write_text(text, encoding="utf-8")
    return begin(path, tmp_path / "run", tmp_path / "plan.toml")


@pytest.mark.parametrize("shape", SHAPES)
def test_what_triggers_write_is_kept_there_and_back(tmp_path: Path, shape: str) -> None:
    run = start(tmp_path, shape, *LOG)
    until_snapshot(run)
    record = rehearse.rehearse(run)
    assert dict(record.kept_writes) == {'Lo"g': 2}
    migrate.migrate(run, agreed(run))
    assert verify.verify(run).verdict == "pass"
    rollback.rollback(run, agreed(run))
    with connected(file_of(run)) as connection:
        log = connection.execute('SELECT n, what FROM "Lo""g"').fetchall()
        events = connection.execute("SELECT * FROM events").fetchall()
    assert log == [(1, "before"), (3, "1"), (4, "2")]
    assert events == [(*row,) for row in events]
    assert [row[2] for row in events] == ["2024-01-01 00:00:00.123", None]


BETWEEN = {
    "a row of the log": ("UPDATE \"Lo\"\"g\" SET what = 'x'", 'was changed in 1 row of "Lo"g"'),
    "a row more": ("INSERT INTO \"Lo\"\"g\" (what) VALUES ('x')", 'added to "Lo"g"'),
    "its counter": ("UPDATE sqlite_sequence SET seq = 9 WHERE name = 'Lo\"g'", "sqlite_sequence"),
    "another counter": ("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'other'", "sqlite_sequence"),
    "no counter": ("DELETE FROM sqlite_sequence WHERE name = 'other'", "sqlite_sequence"),
}  # fmt: skip


@pytest.mark.parametrize("write", BETWEEN)
def test_what_may_be_written_is_compared_before_it_is(tmp_path: Path, write: str) -> None:
    run = until_snapshot(start(tmp_path, "text key", *LOG))
    statement, named = BETWEEN[write]
    execute(file_of(run), statement)
    with pytest.raises(NotProven, match=named):
        migrate.migrate(run, agreed(run))


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'other'", 'the counter of "other"'),
        ("DELETE FROM sqlite_sequence WHERE name = 'other'", 'the counter of "other"'),
        ("INSERT INTO sqlite_sequence VALUES ('other', 1)", 'the counter of "other"'),
        ("UPDATE sqlite_sequence SET seq = 9 WHERE name = 'Lo\"g'", 'the counter of "Lo"g"'),
    ],
)
def test_every_witness_finds_a_counter_that_may_not_move(
    tmp_path: Path, statement: str, named: str
) -> None:
    run = until_snapshot(start(tmp_path, "text key", *LOG))
    migrate.migrate(run, agreed(run))
    execute(file_of(run), statement)
    record = verify.verify(run)
    assert record.verdict == "fail"
    witnesses = {f.witness for f in record.findings if named in f.message}
    assert witnesses == {"sqlite", "duckdb", "pandas"}


def test_a_trigger_that_moves_another_counter_is_found_before_the_commit(tmp_path: Path) -> None:
    reset = "CREATE TRIGGER reset AFTER UPDATE ON events BEGIN UPDATE sqlite_sequence SET seq = 0 WHERE name = 'other'; END"
    run = until_snapshot(start(tmp_path, "text key", *LOG, reset))
    with pytest.raises(NotProven, match='the counter of "other"'):
        migrate.migrate(run, agreed(run))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("when", ["", "WHEN OLD.user_id = NEW.user_id"])
def test_a_trigger_that_sets_the_time_has_to_be_suspended(
    tmp_path: Path, shape: str, when: str
) -> None:
    run = start(tmp_path, shape, TOUCH.format(when=when), may_write='["events"]')
    with pytest.raises(Blocked) as refusal:
        preflight.preflight(run)
    assert "touch on events" in str(refusal.value)
    assert "suspend" in str(refusal.value)


def test_a_trigger_whose_condition_says_no_may_fire(tmp_path: Path) -> None:
    when = "WHEN NEW.Touched IS OLD.Touched"
    run = start(tmp_path, "text key", TOUCH.format(when=when), may_write='["events"]')
    until_snapshot(run)
    rehearse.rehearse(run)
    migrate.migrate(run, agreed(run))
    assert verify.verify(run).verdict == "pass"


@pytest.mark.parametrize("shape", SHAPES)
def test_suspended_it_passes_to_the_end(tmp_path: Path, shape: str) -> None:
    run = start(tmp_path, shape, TOUCH.format(when=""), policy="suspend", may_write="[]")
    until_snapshot(run)
    rehearse.rehearse(run)
    migrate.migrate(run, agreed(run))
    assert verify.verify(run).verdict == "pass"
    plan = run.info.plan
    workflows = try_workflows(file_of(run), plan, read_backup_shape(run.backup, plan))
    assert workflows.failed == ()
