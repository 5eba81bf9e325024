"""Rowids that are no key move, as by VACUUM: between any two stages, and nothing is lost by it."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path

import pytest

from runbook.audit.compare_at_begin import RENUMBERED
from runbook.errors import NotProven
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.migration.rollback import roll_back
from runbook.plan.plan import Plan, Resource, Users
from runbook.sqlite.connect import open_readonly
from runbook.stages import verify
from runbook.targets.sqlite import SqliteTarget
from runbook.templates import sql_files
from tests.support.databases import dump, execute
from tests.support.runs import begin, until_migrated

KEYS = {"TEXT": "printf('k%d', {n})", "INT": "{n} * 7", "BLOB": "CAST('k' || {n} AS BLOB)"}
FORMS = {"primary key": "id {key} PRIMARY KEY", "unique": "id {key} UNIQUE", "no key": "id {key}"}
PLAN = Plan(
    users=Users("users", "id", None), resources=(Resource("notes", "user_id", "updated_at"),)
)
MOVES = {"VACUUM": ("VACUUM",), "by hand": ("UPDATE notes SET rowid = 1000 - rowid",)}


def build(path: Path, key: str, form: str) -> Job:
    """Rows in no order of their rowids, with a time each, and views that show the times."""
    value = KEYS[key]
    execute(
        path,
        f"CREATE TABLE users (id {key} PRIMARY KEY)",
        *(f"INSERT INTO users VALUES ({value.format(n=n)})" for n in range(3)),
        f"CREATE TABLE notes ({FORMS[form].format(key=key)}, user_id {key}, updated_at TEXT, t)",
        *(
            f"INSERT INTO notes (rowid, id, user_id, updated_at, t) VALUES ({90 - 7 * n},"
            f" {value.format(n=n)}, {value.format(n=n % 3)}, '2024-01-0{n + 1} 00:00:00', {n})"
            for n in range(5)
        ),
        "CREATE VIEW recent AS SELECT id, updated_at FROM notes WHERE updated_at < '2024-01-03'",
        "CREATE VIEW latest AS SELECT user_id, max(updated_at) AS at FROM notes GROUP BY user_id",
    )
    target = SqliteTarget(path)
    target.backup(path.with_name("backup.db"))
    return Job(target, PLAN, "run", path.with_name("backup.db"))


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(open_readonly(path)) as connection:
        return connection.execute(
            "SELECT id, user_id, updated_at, t FROM notes ORDER BY t"
        ).fetchall()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("move", MOVES)
def test_between_snapshot_and_migration(tmp_path: Path, key: str, form: str, move: str) -> None:
    job = build(tmp_path / "app.db", key, form)
    before = rows(tmp_path / "app.db")
    execute(tmp_path / "app.db", *MOVES[move])
    if form == "no key":  # so nobody could find the rows again, and the times of before
        with pytest.raises(NotProven, match=f"under other rowids .* {RENUMBERED}"):
            migrate(job)
        assert rows(tmp_path / "app.db") == before
        (tmp_path / "backup.db").unlink()
        job.target.backup(tmp_path / "backup.db")
    done = migrate(job)
    assert done.committed
    assert done.views_left_out == ()
    roll_back(job, tmp_path / "exports")
    assert rows(tmp_path / "app.db") == before


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("form", FORMS)
def test_between_migration_and_rollback(tmp_path: Path, key: str, form: str) -> None:
    job = build(tmp_path / "app.db", key, form)
    before = rows(tmp_path / "app.db")
    migrate(job)
    execute(tmp_path / "app.db", "UPDATE notes SET t = 'mine' WHERE t = 4", "VACUUM")
    record = roll_back(job, tmp_path / "exports")
    assert (record.restored, record.kept) == (4, 1)
    assert rows(tmp_path / "app.db")[:4] == before[:4]


def test_rows_whose_rowid_moved_are_proven_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "app.db"
    job = build(path, "TEXT", "primary key")
    migrate(job)
    execute(path, *MOVES["by hand"])
    right, wrong = "= b.{{ resource.updated_at }}", "= '2020-01-01 00:00:00'"
    files = [
        dataclasses.replace(f, body=f.body.replace(right, wrong)) for f in sql_files("rollback")
    ]
    assert [f.body for f in files] != [f.body for f in sql_files("rollback")]
    monkeypatch.setattr("runbook.script.rollback.sql_files", lambda folder: files)
    migrated = dump(path)
    with pytest.raises(NotProven, match=r'of the rows of "notes" .* whose rowid moved, 5 are not'):
        roll_back(job, tmp_path / "exports")
    assert dump(path) == migrated


def test_rows_whose_rowid_moved_are_not_taken_for_written_ones(tmp_path: Path) -> None:
    """Without a time in them, a row that is taken back is all that it was just before."""
    job = build(tmp_path / "app.db", "TEXT", "primary key")
    job = dataclasses.replace(
        job, plan=dataclasses.replace(PLAN, resources=(Resource("notes", "user_id", None),))
    )
    before = rows(tmp_path / "app.db")
    migrate(job)
    execute(tmp_path / "app.db", "UPDATE notes SET t = 9 WHERE t = 4", *MOVES["by hand"])
    assert roll_back(job, tmp_path / "exports").kept == 1
    assert rows(tmp_path / "app.db")[:4] == before[:4]


@pytest.mark.parametrize("move", MOVES)
def test_between_migration_and_verification(tmp_path: Path, move: str) -> None:
    build(tmp_path / "app.db", "TEXT", "primary key")
    plan = '[users]\ntable = "users"\nkey = "id"\n[[resources]]\ntable = "notes"\n'
    (tmp_path / "plan.toml").write_text(plan + 'owner = "user_id"\nupdated_at = "updated_at"\n')
    run = until_migrated(begin(tmp_path / "app.db", tmp_path / "run", tmp_path / "plan.toml"))
    execute(tmp_path / "app.db", *MOVES[move])
    assert verify.verify(run).verdict == "pass"
