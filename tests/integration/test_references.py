"""References are followed again only where they can have broken, and there they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.audit.references import broken_references
from runbook.sqlite.connect import open_with_backup
from tests.support.witnessed import ROWS, SCHEMA, Migrated, execute, migrate

MORE = """
CREATE TABLE notes (id TEXT PRIMARY KEY, project TEXT REFERENCES projects, owner TEXT REFERENCES users(id));
CREATE TABLE stamps (at TEXT REFERENCES projects(updated_at));
CREATE TABLE mine (organization_id TEXT REFERENCES organizations(id));
CREATE TABLE kept (at TEXT REFERENCES other(a));
"""
OWNED = (
    SCHEMA.replace("owner_id TEXT", "owner_id TEXT REFERENCES users(id)")
    .replace("updated_at TEXT", "updated_at TEXT UNIQUE")
    .replace("(a, b)", "(a UNIQUE, b)")
)
ONE_PROJECT = ROWS.split("INSERT INTO projects")[0] + (
    "INSERT INTO projects VALUES ('p1', 'u1', 'One', '2020-01-01 00:00:00');"
    "INSERT INTO other VALUES (1, 2);"
)


def found(done: Migrated, *, proven: bool) -> tuple[dict[tuple[str, int], str], set[str]]:
    """What is broken, and the tables whose references were followed."""
    followed: set[str] = set()

    def watch(sql: str) -> None:
        if "pragma_foreign_key_check(" in sql:
            followed.add(sql.split("pragma_foreign_key_check('")[1].split("'")[0])

    with open_with_backup(done.after, done.before) as connection:
        connection.set_trace_callback(watch)
        findings = broken_references(connection, done.plan, done.shape, proven=proven)
    return {(f.table, f.rows): f.message for f in findings}, followed


NEW = {"organizations", "organization_memberships", "runbook_ledger"}


def test_what_is_proven_is_not_followed_again(tmp_path: Path) -> None:
    done = migrate(tmp_path, OWNED, MORE, ONE_PROJECT)
    everything = {*NEW, "users", "projects", "other", "notes", "stamps", "mine", "kept"}
    assert found(done, proven=False) == ({}, everything)
    assert found(done, proven=True) == ({}, {"stamps", "mine"})


def test_a_reference_into_the_footprint_is_found(tmp_path: Path) -> None:
    """It breaks although every row outside the footprint is what it was."""
    row = "INSERT INTO stamps VALUES ('2020-01-01 00:00:00'), (NULL);"
    done = migrate(tmp_path, OWNED, MORE, ONE_PROJECT, row)
    for proven in (False, True):
        broken, _ = found(done, proven=proven)
        assert list(broken) == [("stamps", 1)]
        assert '1 row whose reference to "projects" is broken' in broken["stamps", 1]


@pytest.mark.parametrize(
    ("planted", "table"),
    [
        ("DELETE FROM users WHERE id = 'u1';", "projects"),
        ("INSERT INTO notes VALUES ('n', 'nothing', NULL);", "notes"),
        ("UPDATE projects SET organization_id = 'org-nothing';", "projects"),
        ("UPDATE organization_memberships SET user_id = 'nobody';", "organization_memberships"),
    ],
)
def test_where_something_differs_all_are_followed(planted: str, table: str, tmp_path: Path) -> None:
    done = migrate(tmp_path, OWNED, MORE, ONE_PROJECT)
    execute(done.after, planted)
    broken, _ = found(done, proven=False)
    assert (table, 1) in broken


def test_what_was_broken_before_is_not_counted(tmp_path: Path) -> None:
    rows = "INSERT INTO kept VALUES ('gone'), ('gone, too'); INSERT INTO mine VALUES ('org-u9');"
    done = migrate(tmp_path, OWNED, MORE, ONE_PROJECT, rows)
    assert found(done, proven=False)[0] == {}
    execute(done.after, "INSERT INTO kept VALUES ('one more');")
    assert list(found(done, proven=False)[0]) == [("kept", 1)]
