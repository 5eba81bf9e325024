"""Tables up to the 2,000 columns that SQLite admits: there and back, later writes included."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.hazards import inspect_database
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.migration.rollback import roll_back
from runbook.plan.plan import Plan, Resource, Users
from runbook.plan.shape import read_backup_shape
from runbook.stages import migrate as migrate_stage
from runbook.stages import preflight as preflight_stage
from runbook.stages import rehearse, snapshot, verify
from runbook.targets.sqlite import SqliteTarget
from runbook.window.workflows import try_workflows
from tests.support.runs import agreed, begin

FORMS = {
    "number": ("id INTEGER PRIMARY KEY", ""),
    "text": ("id TEXT PRIMARY KEY", ""),
    "without rowid": ("id TEXT PRIMARY KEY", "WITHOUT ROWID"),
    "no key": ("id INTEGER", ""),
}
PLAN = Plan(
    users=Users("users", "id", "email"), resources=(Resource("forms", "user_id", "updated_at"),)
)
TIME = "2024-05-06 07:08:09"


def build(path: Path, form: str, columns: int) -> None:
    """A resource of so many columns, the planned ones last; four rows with values at both ends."""
    key, option = FORMS[form]
    filled = [f"a{n} {('', 'TEXT', 'REAL')[n % 3]}" for n in range(columns - 3)]
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT);"
            "INSERT INTO users VALUES ('u1', 'one@example.org'), ('u2', NULL);"
            f"CREATE TABLE forms ({key}, {', '.join(filled)}, user_id TEXT, updated_at TEXT)"
            f" {option};"
            "INSERT INTO forms(id, a0, a9, user_id, updated_at) VALUES"
            f" (1, 1, 'x', 'u1', '{TIME}'), (2, 2.0, x'00', 'u2', '{TIME}'),"
            f" (3, -0.0, NULL, 'u2', '{TIME}'), (4, 'n', 'y', 'u1', '{TIME}');"
        )


def rows(path: Path, columns: int) -> list[tuple[object, ...]]:
    """Every row, by halves: Python's sqlite3 gives no more columns at once either."""
    last = columns - 4
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            f"SELECT id, a0, typeof(a0), a9, a{last}, user_id, updated_at FROM forms ORDER BY id"
        ).fetchall()


def write_later(path: Path, form: str, columns: int) -> None:
    """An edit in the last column, a row that came, a row that went, and rowids that moved."""
    last = columns - 4
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            f"UPDATE forms SET a{last} = 7 WHERE id = '1';"
            "INSERT INTO forms(id, a0, user_id, organization_id)"
            " SELECT 5, 'new', user_id, organization_id FROM forms WHERE id = '2';"
            "DELETE FROM forms WHERE id = '3';"
        )
        if form == "text":
            connection.execute("VACUUM")


FULL = os.environ.get("RUNBOOK_FAULTS") == "full"
PLACES = [(form, columns) for form in FORMS for columns in (1996, 1997, 1998, 1999)]


@pytest.mark.parametrize(("form", "columns"), PLACES if FULL else [*PLACES[3::4], PLACES[1]])
def test_there_and_back(tmp_path: Path, form: str, columns: int) -> None:
    database, backup = tmp_path / "app.db", tmp_path / "backup.db"
    build(database, form, columns)
    with closing(sqlite3.connect(database)) as connection:
        assert [h for h in inspect_database(connection, PLAN)[0] if h.level == "block"] == []
    target = SqliteTarget(database)
    target.backup(backup)
    before = rows(database, columns)
    job = Job(target, PLAN, "wide", backup)
    assert migrate(job).committed
    tried = try_workflows(database, PLAN, read_backup_shape(backup, PLAN))
    assert (tried.failed, tried.impossible, tried.remains) == ((), (), ())
    write_later(database, form, columns)
    later = {row[0]: row for row in rows(database, columns)}
    record = roll_back(job, tmp_path / "exports")
    assert record.done
    (since,) = record.assessment.resources if record.assessment else ()
    assert (since.edited, since.inserted, since.deleted) == (1, 1, 1)
    first, second, _, fourth = before
    kept = [later[row[0]] for row in (first,)] + [later[key] for key in later if str(key) == "5"]
    assert rows(database, columns) == [kept[0], second, fourth, kept[1]]


def test_no_room_for_one_more(tmp_path: Path) -> None:
    build(tmp_path / "app.db", "number", 2000)
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        found = inspect_database(connection, PLAN)[0]
    (hazard,) = (h for h in found if h.level == "block")
    assert (hazard.code, hazard.subject, hazard.count) == ("columns_full", "forms", 2000)


@pytest.mark.skipif(not FULL, reason="two minutes each")
@pytest.mark.parametrize("form", FORMS)
def test_a_whole_run(tmp_path: Path, form: str) -> None:
    database, plan = tmp_path / "app.db", tmp_path / "plan.toml"
    build(database, form, 1999)
    plan.write_text(
        '[users]\ntable = "users"\nkey = "id"\nemail = "email"\n'
        '[[resources]]\ntable = "forms"\nowner = "user_id"\nupdated_at = "updated_at"\n'
    )
    run = begin(database, tmp_path / "run", plan)
    preflight_stage.preflight(run)
    rehearse.rehearse(run)
    snapshot.snapshot(run)
    migrate_stage.migrate(run, agreed(run))
    assert verify.verify(run).verdict == "pass"
