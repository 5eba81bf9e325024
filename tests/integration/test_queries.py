"""The application's two queries return the same rows, and the invariant that says so is right."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runbook.plan.plan import Plan, Resource
from runbook.script.migration import template_values
from runbook.templates import sql_file
from tests.support.witnessed import Migrated, broken, connect, execute, migrate

PLAN = Plan(resources=(Resource("projects", "owner_id", "updated_at"), Resource("notes", "owner")))
SCHEMA = """
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);
CREATE TABLE projects (id INTEGER PRIMARY KEY, owner_id INTEGER, updated_at TEXT);
CREATE TABLE notes (owner INTEGER, body);
"""
users = st.sets(st.integers(-3, 9), min_size=1, max_size=6).map(sorted)
picks = st.lists(st.integers(0, 99), max_size=8)


def database(folder: Path, keys: list[int], projects: list[int], notes: list[int]) -> Migrated:
    owners = [keys[pick % len(keys)] for pick in projects]
    writers = [keys[pick % len(keys)] for pick in notes]
    rows = [f"INSERT INTO users VALUES ({key}, 'user{key}@example.org');" for key in keys]
    rows += [f"INSERT INTO projects (owner_id) VALUES ({owner});" for owner in owners]
    rows += [f"INSERT INTO notes VALUES ({owner}, 'n');" for owner in writers]
    return migrate(folder, SCHEMA, *rows, plan=PLAN)


def rows_by(query: str, done: Migrated, path: Path) -> list[list[list[tuple[object, ...]]]]:
    """What the query returns, for each resource and each user: rowid and owner of every row."""
    values = template_values(done.plan, done.shape)
    resources = values["resources"]
    assert isinstance(resources, list)
    with contextlib.closing(connect(path)) as connection:
        keys = [key for (key,) in connection.execute("SELECT id FROM users ORDER BY id")]
        return [
            [
                _rows(connection, sql_file(f"queries/{query}").render(**values, resource=r), key)
                for key in keys
            ]
            for r in resources
        ]


def _rows(connection: sqlite3.Connection, sql: str, key: int) -> list[tuple[object, ...]]:
    sql = sql.replace("SELECT r.*", "SELECT r.rowid, r.*")
    return sorted(connection.execute(sql, [key]), key=repr)


@settings(deadline=None, max_examples=15)
@given(users, picks, picks)
def test_both_queries_return_the_same_rows_for_every_user(
    keys: list[int], projects: list[int], notes: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        done = database(Path(folder), keys, projects, notes)
        new = rows_by("after_by_organization", done, done.after)
        assert new == rows_by("before_by_owner", done, done.after)
        assert sum(len(rows) for each in new for rows in each) == len(projects) + len(notes)


PLANTS = (
    "UPDATE projects SET organization_id = (SELECT max(id) FROM organizations) WHERE id = 1;",
    "UPDATE notes SET organization_id = NULL WHERE rowid = 1;",
    "UPDATE organizations SET type = 'team' WHERE id = (SELECT min(id) FROM organizations);",
    "DELETE FROM organization_memberships"
    " WHERE id = (SELECT min(id) FROM organization_memberships);",
    "INSERT OR IGNORE INTO organization_memberships (id, organization_id, user_id, role)"
    " SELECT 'm', min(o.id), max(u.id), 'member' FROM organizations AS o, users AS u;",
    "UPDATE organizations SET owner_id = (SELECT max(id) FROM users);",  # no query reads it
)


@settings(deadline=None, max_examples=12)
@given(users, picks, picks, st.sampled_from(PLANTS))
def test_the_invariant_sees_exactly_what_the_application_would(
    keys: list[int], projects: list[int], notes: list[int], plant: str
) -> None:
    assume(projects and notes)
    with TemporaryDirectory() as folder:
        done = database(Path(folder), keys, projects, notes)
        seen = broken(done, plant)
        path = done.after.with_name("broken.db")
        old, new = (rows_by(q, done, path) for q in ("before_by_owner", "after_by_organization"))
        assert ("queries_disagree" in seen.violated) == (old != new)


def test_each_planted_fault_makes_the_queries_disagree(tmp_path: Path) -> None:
    done = database(tmp_path, [1, 2], [0, 1], [0, 1])
    for plant in PLANTS[:-1]:
        assert "queries_disagree" in broken(done, plant).violated
    assert "queries_disagree" not in broken(done, PLANTS[-1]).violated


def test_a_user_without_organization_gets_no_rows_and_no_error(tmp_path: Path) -> None:
    done = database(tmp_path, [1, 2], [0], [])
    execute(done.after, "DELETE FROM organization_memberships;")
    assert rows_by("after_by_organization", done, done.after) == [[[], []], [[], []]]
