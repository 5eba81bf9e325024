"""The key workflows on many kinds of databases, and that nothing of them remains."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.plan.shape import read_backup_shape
from runbook.run.folder import Run
from runbook.window import workflows
from runbook.window.steps import workflows as workflows_step
from runbook.window.workflows import Workflows, try_workflows
from tests.support.databases import connected, execute
from tests.support.paths import PLANS
from tests.support.runs import begin, until_migrated

ACTIONS = ["create", "read", "update", "delete"]


def tried(run: Run) -> Workflows:
    """The workflows on the run's database, whose bytes must stay the same."""
    database = Path(run.info.database)
    shape = read_backup_shape(run.backup, run.info.plan)
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    found = try_workflows(database, run.info.plan, shape)
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
    return found


def assert_all_worked(found: Workflows, *resources: str) -> None:
    for subject in ("organization", "membership", *resources):
        mine = [t for t in found.tried if t.subject == subject]
        assert [t.action for t in mine] == ACTIONS, found.tried
        assert all(t.ok for t in mine), mine
    assert found.remains == ()
    assert found.rows > 0


def migrated(folder: Path, schema: str, plan: str = "") -> Run:
    database = folder / "app.db"
    with connected(database) as connection:
        connection.executescript(schema)
    path = folder / "plan.toml"
    path.write_text(plan)
    return until_migrated(begin(database, folder / "run", path if plan else ""))


def test_the_sample(sample: Path, tmp_path: Path) -> None:
    found = tried(until_migrated(begin(sample, tmp_path / "run")))
    assert_all_worked(found, "projects")
    assert found.tables > 5


@pytest.mark.parametrize("name", ["chinook", "northwind"])
def test_public_databases(public: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    run = until_migrated(begin(public(name), tmp_path / "run", PLANS / f"{name}.toml"))
    assert_all_worked(tried(run), *(r.table for r in run.info.plan.resources))


USERS = "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE);"
TWO = "INSERT INTO users VALUES ('a', 'a@x.example'), ('b', 'b@x.example');"

SCHEMAS = {
    "text key": f"""{USERS}{TWO}
        CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES users(id),
            name TEXT NOT NULL CHECK (length(name) < 40), updated_at TEXT);
        INSERT INTO projects VALUES ('p', 'a', 'one', '2026-01-01 00:00:00');""",
    "number that counts": f"""{USERS}{TWO}
        CREATE TABLE projects (id INTEGER PRIMARY KEY AUTOINCREMENT, owner_id TEXT NOT NULL,
            updated_at TEXT);
        INSERT INTO projects VALUES (1, 'a', '2026-01-01 00:00:00');""",
    "number that does not": f"""{USERS}{TWO}
        CREATE TABLE projects (id INT PRIMARY KEY, owner_id TEXT, updated_at TEXT);
        INSERT INTO projects VALUES (9223372036854775807, 'a', '2026-01-01 00:00:00');""",
    "no key": f"""{USERS}{TWO}
        CREATE TABLE projects (owner_id TEXT, name TEXT, updated_at TEXT);
        INSERT INTO projects VALUES ('a', 'x', '2026-01-01 00:00:00');""",
    "without rowid": f"""{USERS}{TWO}
        CREATE TABLE projects (id TEXT, part INTEGER, owner_id TEXT, updated_at TEXT,
            PRIMARY KEY (id, part)) WITHOUT ROWID;
        INSERT INTO projects VALUES ('p', 1, 'a', '2026-01-01 00:00:00');""",
    "strict": f"""{USERS}{TWO}
        CREATE TABLE projects (id BLOB PRIMARY KEY, owner_id TEXT NOT NULL, n INT NOT NULL UNIQUE,
            r REAL, updated_at TEXT, twice INT AS (n * 2)) STRICT;
        INSERT INTO projects VALUES (x'00ff', 'a', 7, 1.5, '2026-01-01 00:00:00');""",
    "unique in many ways": f"""{USERS}{TWO}
        CREATE TABLE projects (id TEXT PRIMARY KEY CHECK (length(id) = 8), owner_id TEXT NOT NULL,
            slug TEXT NOT NULL, alias TEXT UNIQUE, updated_at TEXT, UNIQUE (owner_id, slug));
        CREATE UNIQUE INDEX lower_slug ON projects (lower(slug));
        INSERT INTO projects VALUES ('12345678', 'a', 's', NULL, '2026-01-01 00:00:00');""",
    "leads elsewhere": f"""{USERS}{TWO}
        CREATE TABLE kinds (id INTEGER PRIMARY KEY);
        INSERT INTO kinds VALUES (5), (6);
        CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES users(id),
            kind INTEGER NOT NULL UNIQUE REFERENCES kinds(id), updated_at TEXT);
        INSERT INTO projects VALUES ('p', 'a', 5, '2026-01-01 00:00:00');""",
    "empty": f"""{USERS}{TWO}
        CREATE TABLE kinds (id INTEGER PRIMARY KEY);
        INSERT INTO kinds VALUES (5);
        CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES users(id),
            kind INTEGER NOT NULL REFERENCES kinds, name TEXT NOT NULL, size REAL NOT NULL,
            body BLOB NOT NULL, updated_at TEXT NOT NULL);""",
    "one user": f"""{USERS}
        INSERT INTO users VALUES ('a', 'a@x.example');
        CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT, updated_at TEXT);
        INSERT INTO projects VALUES ('p', 'a', '2026-01-01 00:00:00');""",
    "text that is none": f"""{USERS}{TWO}
        CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT, name TEXT, updated_at TEXT);
        INSERT INTO projects VALUES ('p', 'a', CAST(x'ff00fe' AS TEXT), '2026-01-01 00:00:00');""",
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_kinds_of_tables(name: str, tmp_path: Path) -> None:
    plan = '[organizations]\nfor = "all_users"\n[[resources]]\ntable = "projects"\n'
    plan += 'owner = "owner_id"\nupdated_at = "updated_at"\n'
    plan += '[users]\ntable = "users"\nkey = "id"\nemail = "email"\n'
    if name == "empty":
        plan = plan.replace('updated_at = "updated_at"\n', "")
    assert_all_worked(tried(migrated(tmp_path, SCHEMAS[name], plan)), "projects")


@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "BLOB PRIMARY KEY"])
def test_kinds_of_user_keys(key: str, tmp_path: Path) -> None:
    one, two = ("1", "2") if "INTEGER" in key else ("x'01'", "x'02'")
    schema = f"""CREATE TABLE users (id {key}, email TEXT);
        INSERT INTO users VALUES ({one}, 'a@x.example'), ({two}, 'b@x.example');
        CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id {key.split()[0]}, updated_at TEXT);
        INSERT INTO projects VALUES ('p', {one}, '2026-01-01 00:00:00');"""
    assert_all_worked(tried(migrated(tmp_path, schema)), "projects")


def test_a_wal_database(sample: Path, tmp_path: Path) -> None:
    execute(sample, "PRAGMA journal_mode = wal")
    run = until_migrated(begin(sample, tmp_path / "run"))
    shape = read_backup_shape(run.backup, run.info.plan)
    assert_all_worked(try_workflows(sample, run.info.plan, shape), "projects")


# -- each check fails when what it guards is broken --------------------------------------------

BROKEN = {
    "rows without organization": (
        "CREATE TRIGGER t AFTER INSERT ON projects BEGIN"
        " UPDATE projects SET organization_id = NULL WHERE rowid = new.rowid; END",
        ("projects", "read"),
    ),
    "rows that do not change": (
        "CREATE TRIGGER t BEFORE UPDATE ON projects BEGIN SELECT raise(ignore); END",
        ("projects", "update"),
    ),
    "rows that do not go": (
        "CREATE TRIGGER t BEFORE DELETE ON projects BEGIN SELECT raise(ignore); END",
        ("projects", "delete"),
    ),
    "memberships that vanish": (
        "CREATE TRIGGER t AFTER INSERT ON organization_memberships BEGIN"
        " DELETE FROM organization_memberships WHERE id = new.id; END",
        ("membership", "read"),
    ),
    "roles that stay": (
        "CREATE TRIGGER t AFTER UPDATE OF role ON organization_memberships BEGIN"
        " UPDATE organization_memberships SET role = 'member' WHERE id = new.id; END",
        ("membership", "update"),
    ),
    "organizations that stay": (
        "CREATE TRIGGER t BEFORE DELETE ON organizations BEGIN SELECT raise(abort, 'no'); END",
        ("organization", "delete"),
    ),
    "organizations that are not to be made": (
        "CREATE TRIGGER t BEFORE INSERT ON organizations BEGIN SELECT raise(abort, 'no'); END",
        ("organization", "create"),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_work_is_named(sample: Path, tmp_path: Path, name: str) -> None:
    run = until_migrated(begin(sample, tmp_path / "run"))
    statement, (subject, action) = BROKEN[name]
    execute(sample, statement)
    found = tried(run)
    assert (subject, action) in [(t.subject, t.action) for t in found.failed]
    assert found.remains == ()


def test_what_cannot_be_tried_is_said(sample: Path, tmp_path: Path) -> None:
    """No valid row can be made: that is no failure of the application, and no success either."""
    run = until_migrated(begin(sample, tmp_path / "run"))
    execute(
        sample,
        "CREATE TRIGGER t BEFORE INSERT ON projects BEGIN SELECT raise(abort, 'ask Ada'); END",
    )
    found = tried(run)
    assert [(t.subject, t.action, t.note) for t in found.impossible] == [
        ("projects", "create", "a valid row could not be created: ask Ada")
    ]
    assert not found.failed
    step = workflows_step(run)
    assert step.status == "not done"
    assert any(
        "create not tried (a valid row could not be created: ask Ada)" in e for e in step.details
    )


def test_functions_of_the_application_are_not_ours_to_miss(sample: Path, tmp_path: Path) -> None:
    run = until_migrated(begin(sample, tmp_path / "run"))
    with sqlite3.connect(sample) as connection:
        connection.execute(
            "CREATE TRIGGER t AFTER INSERT ON organizations BEGIN SELECT their_own(new.id); END"
        )
    connection.close()
    found = tried(run)
    assert not found.failed
    assert found.impossible[0].note == "no such function: their_own"


def test_whatever_remains_is_seen(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The savepoint is released behind the back of the comparison, which must notice."""
    run = until_migrated(begin(sample, tmp_path / "run"))

    def sloppy(trial: workflows._Trial) -> list[workflows.Tried]:
        trial.connection.execute("UPDATE projects SET name = 'left' WHERE rowid = 1")
        trial.connection.execute("DELETE FROM organization_memberships WHERE rowid = 1")
        trial.connection.execute("CREATE TABLE left_over (x)")
        trial.connection.execute("RELEASE workflows")
        trial.connection.execute("SAVEPOINT workflows")
        return []

    monkeypatch.setattr(workflows._Trial, "all", sloppy)
    found = tried(run)
    assert "table left_over added" in found.remains
    assert any(r.startswith("projects: 0 rows added, 0 removed") for r in found.remains)
    assert any(
        r.startswith("organization_memberships: 0 rows added, 1 removed") for r in found.remains
    )
