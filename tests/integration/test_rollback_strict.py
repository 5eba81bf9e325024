"""A value of another storage class is another value: the row was written, and is kept."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.migration.rollback import roll_back
from runbook.plan.plan import Plan, Resource, Users
from runbook.sqlite.connect import open_readonly
from runbook.targets.sqlite import SqliteTarget
from tests.support.databases import execute

PLAN = Plan(
    users=Users("users", "id", None), resources=(Resource("notes", "user_id", "updated_at"),)
)

WRITTEN = {
    "an integer that became a real": ("1", "1.0"),
    "a text that became a BLOB": ("'a'", "x'61'"),
    "an integer that became a text": ("1", "'1'"),
    "a zero that became a negative one": ("0.0", "-0.0"),
    "a text in other letters": ("'a'", "'A'"),
}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path, backup = tmp_path / "app.db", tmp_path / "backup.db"
    execute(
        path,
        "CREATE TABLE users (id TEXT PRIMARY KEY)",
        "INSERT INTO users VALUES ('a')",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id TEXT, updated_at, x COLLATE NOCASE)",
        *(f"INSERT INTO notes VALUES ({n}, 'a', {1700000000 + n}, 5)" for n in (1, 2, 3)),
    )
    return Job(SqliteTarget(path), PLAN, "run", backup)


def rows(job: Job) -> list[tuple[str, ...]]:
    with closing(open_readonly(job.target.path)) as connection:
        query = "SELECT id, updated_at, x FROM notes ORDER BY id"
        return [tuple(map(repr, row)) for row in connection.execute(query)]  # -0.0 == 0.0


def taken_back(job: Job, statement: str) -> tuple[int, int]:
    """Migrates, lets the application execute the statement, and takes back."""
    job.target.backup(job.backup)
    migrate(job)
    execute(job.target.path, statement)
    record = roll_back(job, job.backup.with_name("exports"))
    return record.restored, record.kept


@pytest.mark.parametrize("name", WRITTEN)
def test_such_a_row_is_kept(job: Job, name: str) -> None:
    old, new = WRITTEN[name]
    execute(job.target.path, f"UPDATE notes SET x = {old} WHERE id = 2")
    before = rows(job)
    assert taken_back(job, f"UPDATE notes SET x = {new} WHERE id = 2") == (2, 1)
    after = rows(job)
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1][1] != before[1][1]  # the time of the migration, which the application left
    assert after[1][2] != before[1][2]


def test_a_time_of_another_storage_class_is_kept(job: Job) -> None:
    before = rows(job)
    statement = "UPDATE notes SET updated_at = CAST(updated_at AS REAL) WHERE id = 2"
    assert taken_back(job, statement) == (2, 1)
    after = rows(job)
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1][1].endswith(".0")  # the time of the migration, as a real
