"""Organizations of the application's own are kept, whatever they look like."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.hazards.halfway_values import keeping_script, of_the_application
from runbook.hazards.survey import survey
from runbook.plan.plan import Plan, Resource, Users

from .conftest import ROWS, SCHEMA, run_sql

BY_HAND = """
ALTER TABLE projects ADD COLUMN organization_id TEXT REFERENCES organizations(id);
CREATE TABLE organizations (id TEXT PRIMARY KEY, name TEXT NOT NULL, slug TEXT NOT NULL UNIQUE,
    owner_id TEXT NOT NULL REFERENCES users(id), type TEXT DEFAULT 'personal',
    settings TEXT DEFAULT '{}', created_at TEXT, updated_at TEXT);
CREATE TABLE organization_memberships (id TEXT PRIMARY KEY, organization_id TEXT NOT NULL,
    user_id TEXT NOT NULL, role TEXT NOT NULL, invited_by TEXT, invited_at TEXT, accepted_at TEXT,
    created_at TEXT, updated_at TEXT);
CREATE INDEX idx_organizations_owner ON organizations(owner_id);
CREATE INDEX idx_memberships_user ON organization_memberships(user_id) WHERE role <> 'gone';
INSERT INTO organizations (id, name, slug, owner_id) SELECT 'org-' || id,
    substr(email, 1, instr(email, '@') - 1) || '''s Workspace',
    'personal-' || lower(hex(randomblob(4))), id FROM users WHERE id <> 'u3';
INSERT INTO organization_memberships (id, organization_id, user_id, role)
    SELECT 'mem-' || owner_id, id, owner_id, 'owner' FROM organizations;
UPDATE projects SET organization_id = 'org-' || owner_id WHERE id <> 'p3';
"""


def reasons(path: Path, plan: Plan | None = None) -> tuple[str, ...]:
    plan = plan or Plan()
    with closing(sqlite3.connect(path)) as connection:
        return of_the_application(survey(connection, plan), plan.resources)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    run_sql(path, SCHEMA + ROWS + BY_HAND)
    return path


def test_every_row_of_the_usual_script_is_derived(database: Path) -> None:
    assert reasons(database) == ()


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (
            "UPDATE organizations SET name = 'Bakery' WHERE owner_id = 'u1'",
            "1 organization that no rule",
        ),
        (
            "UPDATE organizations SET slug = 'bakery' WHERE owner_id = 'u1'",
            "1 organization that no rule",
        ),
        ("UPDATE organizations SET id = 'a7' WHERE owner_id = 'u1'", "1 organization that no rule"),
        (
            "UPDATE organizations SET settings = '{\"a\": 1}' WHERE owner_id = 'u1'",
            "1 organization that no rule",
        ),
        (
            "UPDATE organizations SET type = 'team' WHERE owner_id = 'u1'",
            "1 organization that no rule",
        ),
        (
            "UPDATE organizations SET owner_id = 'nobody' WHERE owner_id = 'u1'",
            "1 organization that no rule",
        ),
        (
            "UPDATE organization_memberships SET role = 'admin' WHERE user_id = 'u1'",
            "1 membership that no rule",
        ),
        (
            "UPDATE organization_memberships SET invited_by = 'u2' WHERE user_id = 'u1'",
            "1 membership that no rule",
        ),
        (
            "INSERT INTO organization_memberships VALUES"
            " ('x', 'org-u1', 'u2', 'member', NULL, NULL, NULL, NULL, NULL)",
            "1 membership that no rule",
        ),
        (
            "UPDATE projects SET organization_id = 'org-u2' WHERE id = 'p1'",
            "1 row of projects whose organization no rule",
        ),
        ("ALTER TABLE organizations ADD COLUMN plan TEXT", "columns of its own (plan)"),
        ("CREATE TABLE bills (o TEXT REFERENCES organizations(id))", "bills refers to"),
        (
            "CREATE TRIGGER t AFTER DELETE ON organizations BEGIN SELECT 1; END",
            "has triggers (t)",
        ),
    ],
)
def test_one_thing_that_no_rule_gives_is_enough(database: Path, sql: str, reason: str) -> None:
    run_sql(database, sql)
    (found,) = reasons(database)
    assert reason in found


@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "BLOB PRIMARY KEY"])
def test_keys_of_other_classes(tmp_path: Path, key: str) -> None:
    path = tmp_path / "app.db"
    one, two = ("1", "2") if "INT" in key else ("x'a1'", "x'b2'")
    made = "id" if "INT" in key else "lower(hex(id))"
    plan = Plan(users=Users("users", "id"), resources=(Resource("notes", "owner"),))
    run_sql(
        path,
        f"""CREATE TABLE users (id {key}); INSERT INTO users VALUES ({one}), ({two});
        CREATE TABLE notes (id INTEGER PRIMARY KEY, owner, organization_id TEXT);
        INSERT INTO notes SELECT NULL, id, 'org-' || {made} FROM users;
        CREATE TABLE organizations (id TEXT, name TEXT, slug TEXT, owner_id, type TEXT);
        INSERT INTO organizations SELECT 'org-' || {made}, 'Personal Workspace',
            'personal-0123abcd', id, 'personal' FROM users;""",
    )
    assert reasons(path, plan) == ()
    run_sql(path, "UPDATE notes SET organization_id = 'org-x' WHERE id = 1")
    assert reasons(path, plan) == (
        "1 row of notes whose organization no rule of the migration gives",
    )


@pytest.mark.parametrize("view", ["", "CREATE VIEW broken AS SELECT * FROM nowhere;"])
def test_new_names_keep_every_row(database: Path, view: str) -> None:
    run_sql(database, view + "CREATE TABLE organizations_own (x); CREATE VIEW v AS SELECT slug,"
            " organization_id FROM projects JOIN organizations ON organizations.id ="
            " organization_id;")  # fmt: skip
    tables = ("organizations", "organization_memberships", "projects")

    def content(names: tuple[str, ...]) -> list[list[tuple[object, ...]]]:
        with closing(sqlite3.connect(database)) as connection:
            return [connection.execute(f"SELECT * FROM {n}").fetchall() for n in names]

    before = content(tables)
    with closing(sqlite3.connect(database)) as connection:
        needed = frozenset(("idx_organizations_owner", "idx_memberships_user"))
        script = keeping_script(survey(connection, Plan()), Plan().resources, needed)
    run_sql(database, script)
    assert content(("organizations_own2", "organization_memberships_own", "projects")) == before
    with closing(sqlite3.connect(database)) as connection:
        names = {n for (n,) in connection.execute("SELECT name FROM sqlite_schema")}
        assert not {*tables[:2], "idx_organizations_owner", "idx_memberships_user"} & names
        columns = [c[1] for c in connection.execute("PRAGMA table_info(projects)")]
        assert columns[-1] == "organization_id_own"
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
