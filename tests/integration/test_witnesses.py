"""The three witnesses agree that a right migration is right, whatever the database looks like."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from runbook.plan.plan import Organizations, Plan, Resource, Unowned, Users
from runbook.plan.timestamps import FORMATS, SPECIFIED
from tests.support.witnessed import (
    PLAN,
    ROWS,
    SCHEMA,
    Migrated,
    broken,
    connect,
    execute,
    migrate,
    recomputed,
    witnesses,
)

TEXT_KEYS = "'a'", "'B'", "'\U0001f600 ünï'", "'~/?'"
INTEGER_KEYS = "9223372036854775807", "(-9223372036854775807 - 1)", "-1", "0"
BLOB_KEYS = "x'00ff'", "x''", "x'74'", "x'FFFFFFFF00'"


def simple(key_type: str, keys: tuple[str, ...]) -> str:
    a, b, c, d = keys
    return f"""
    CREATE TABLE users (id {key_type} PRIMARY KEY, email TEXT);
    CREATE TABLE projects (id INTEGER PRIMARY KEY, owner_id {key_type}, updated_at TEXT);
    INSERT INTO users VALUES ({a}, 'a@x'), ({b}, 'b@x'), ({c}, 'c@x'), ({d}, NULL);
    INSERT INTO projects VALUES (1, {a}, 'x'), (2, {b}, NULL), (3, {c}, 'x'), (4, {a}, 'x');
    """


E_MAILS = """
CREATE TABLE users (id INTEGER PRIMARY KEY, email);
CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id INTEGER, updated_at TEXT);
INSERT INTO users (email) VALUES (NULL), ('@x'), ('no-at'), (''), ('a@b@c'), ('@'), ('a@'),
  ('a' || char(0) || 'b@x'), (char(0) || '@x'), ('a@' || char(0)), ('ünï@x'), ('😀@x'),
  (5), (1.5), (x'614078'), ('''@x'), ('a' || char(160) || '@x'), ('@@'), (' @x'), ('İ@x');
INSERT INTO projects SELECT 'p' || id, id, '2020-01-01 00:00:00' FROM users;
"""
INVALID = "INSERT INTO users (email) VALUES (CAST(x'FF61C3407A' AS TEXT)), (CAST(x'8040' AS TEXT));"

ODD_NAMES = """
CREATE TABLE "the ""Users"" [1]" ("select" TEXT PRIMARY KEY, "E Mail" TEXT, "a.b", "a");
CREATE TABLE "Order" ("group" TEXT, "Table" TEXT, "rowid" TEXT, "n'o" TEXT, "when" TEXT);
CREATE TABLE "before" (id, "owner" TEXT, UNIQUE (id));
INSERT INTO "the ""Users"" [1]" VALUES ('u1', 'a@x', 1, 2), ('u2', 'b@x', x'', 2.5);
INSERT INTO "Order" VALUES ('u1', 'a', 'r', 'c', '2020-01-01'), ('u2', NULL, NULL, NULL, NULL);
INSERT INTO "Order" VALUES ('u1', 'a', 'r', 'c', '2020-01-01');
INSERT INTO "before" VALUES (1, 'u2'), (NULL, 'u2'), (NULL, 'u2');
"""
ODD_PLAN = Plan(
    users=Users('THE "users" [1]', "SELECT", "e mail"),
    resources=(Resource("ORDER", "GROUP", "When", SPECIFIED), Resource("before", "Owner")),
)

TABLES = """
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT) STRICT;
CREATE TABLE projects (a TEXT, b INTEGER, owner_id INTEGER, updated_at INTEGER,
  twice GENERATED ALWAYS AS (b * 2) VIRTUAL, PRIMARY KEY (b, a)) WITHOUT ROWID;
CREATE TABLE notes (owner_id INTEGER, body ANY, updated_at TEXT) STRICT;
INSERT INTO users VALUES (7, 'seven@x'), (-8, 'eight@x'), (9, NULL), (10, 'ten@x');
INSERT INTO projects (a, b, owner_id, updated_at) VALUES ('ab', 1, 7, 1600000000),
  ('a', 11, 7, 1600000001), ('a', 1, -8, 1600000002);
INSERT INTO notes VALUES (9, 1, '2020-01-01T00:00:00.000Z'), (9, 1, '2020-01-01T00:00:00.000Z'),
  (7, x'00', '2020-01-01T00:00:01.000Z');
"""
TWO = (Resource("projects", "owner_id", "updated_at"), Resource("notes", "owner_id", "updated_at"))

UNOWNED = """
INSERT INTO projects VALUES ('p7', NULL, 'no owner', '2020-01-07 00:00:00'),
  ('p8', 'ghost', 'nobody', '2020-01-08 00:00:00');
"""
FOREIGN_CLASS = """
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);
CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT, updated_at TEXT);
INSERT INTO users VALUES (7, 'a@x'), (-8, 'b@x');
INSERT INTO projects VALUES ('p', '7', NULL), ('q', '-8', NULL);
"""

SHAPES: dict[str, tuple[Plan, tuple[str, ...]]] = {
    "as specified": (PLAN, (SCHEMA, ROWS)),
    "no rows": (PLAN, (SCHEMA,)),
    "text keys": (PLAN, (simple("TEXT", TEXT_KEYS),)),
    "integer keys": (PLAN, (simple("INTEGER", INTEGER_KEYS),)),
    "blob keys": (PLAN, (simple("BLOB", BLOB_KEYS),)),
    "owners in another class": (PLAN, (FOREIGN_CLASS,)),
    "e-mails": (PLAN, (E_MAILS,)),
    "no e-mail": (Plan(users=Users("users", "id")), (SCHEMA, ROWS)),
    "all users": (Plan(organizations=Organizations("all_users")), (SCHEMA, ROWS)),
    "adopted": (Plan(unowned=Unowned("adopt", "u4")), (SCHEMA, ROWS, UNOWNED)),
    "adopted, nothing unowned": (Plan(unowned=Unowned("adopt", "u4")), (SCHEMA, ROWS)),
    "strict and without rowid": (Plan(resources=TWO), (TABLES,)),
    "odd names": (ODD_PLAN, (ODD_NAMES,)),
}


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        *((name, encoding) for name in SHAPES for encoding in ("UTF-8", "UTF-16le")),
        ("e-mails", "UTF-16be"),
        ("text keys", "UTF-16be"),
        ("integer keys", "UTF-16be"),
    ],
)
def test_all_three_hold_a_right_migration(name: str, encoding: str, tmp_path: Path) -> None:
    plan, statements = SHAPES[name]
    done = migrate(tmp_path, *statements, plan=plan, encoding=encoding)
    seen = witnesses(done)
    assert seen.violated == {}
    assert seen.pandas.findings == ()
    _counts_are_right(done, seen.pandas.counts)


def _counts_are_right(done: Migrated, counts: object) -> None:
    assert isinstance(counts, dict)
    with contextlib.closing(connect(done.after)) as connection:
        for table in ("organizations", "organization_memberships", "runbook_ledger"):
            (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert counts.pop((table, "added", "")) == rows
        for resource in done.plan.resources:
            (rows,) = connection.execute(f'SELECT count(*) FROM "{resource.table}"').fetchone()
            assert counts.pop((resource.table, "changed", "organization_id")) == rows
            if resource.updated_at:
                assert counts.pop((resource.table, "changed", resource.updated_at)) == rows
    assert counts
    assert not any(counts.values())


def test_invalid_utf_8_in_an_e_mail_is_kept_byte_by_byte(tmp_path: Path) -> None:
    done = migrate(
        tmp_path, E_MAILS.replace("INSERT INTO projects", INVALID + "INSERT INTO projects")
    )
    with contextlib.closing(connect(done.after)) as connection:
        names = {
            name for (name,) in connection.execute("SELECT CAST(name AS BLOB) FROM organizations")
        }
    assert b"\xff" + b"a\xc3's Workspace" in names
    assert b"\x80's Workspace" in names
    assert b"a\x00b's Workspace" in names
    seen = witnesses(done)
    assert seen.violated == {}
    assert seen.pandas.findings == ()


@pytest.mark.parametrize("name", [SPECIFIED, FORMATS[13], FORMATS[-3], *FORMATS[-2:]])
def test_each_kind_of_format_of_updated_at_is_recomputed(name: str, tmp_path: Path) -> None:
    plan = Plan(resources=(Resource("projects", "owner_id", "updated_at", name),))
    schema = SCHEMA.replace("updated_at TEXT", "updated_at")
    done = migrate(tmp_path, schema, ROWS, plan=plan)
    assert witnesses(done).pandas.findings == ()
    found = broken(
        done, "UPDATE projects SET updated_at = updated_at || '' || ' ';"
    ).pandas.findings
    assert [(f.table, f.column, f.change, f.rows) for f in found] == [
        ("projects", "updated_at", "wrong value", 6)
    ]


NOT_AS_THEY_MUST_BE = (
    ("organizations", "name", "wrong value", 1, "SET name = name || ' ' WHERE id = 'org-u1'"),
    ("organizations", "slug", "wrong value", 3, "SET slug = upper(slug)"),
    ("organizations", "settings", "wrong value", 3, "SET settings = CAST('{}' AS BLOB)"),
    ("organizations", "created_at", "wrong value", 1, "SET created_at = '' WHERE id = 'org-u2'"),
    ("organization_memberships", "invited_by", "wrong value", 1,
     "SET invited_by = 'u1' WHERE user_id = 'u2'"),
    ("organization_memberships", "accepted_at", "wrong value", 3, "SET accepted_at = NULL"),
    ("organization_memberships", "", "missing", 1, "SET id = 'm' WHERE user_id = 'u2'"),
    ("organization_memberships", "", "added", 1, "SET id = 'm' WHERE user_id = 'u2'"),
    ("projects", "updated_at", "wrong value", 1, "SET updated_at = NULL WHERE id = 'p3'"),
    ("projects", "title", "changed", 1, "SET title = 2.0 WHERE id = 'p2'"),
    ("projects", "title", "changed", 1, "SET title = 'six' WHERE id = 'p6'"),
    ("projects", "owner_id", "changed", 1, "SET owner_id = CAST('u1' AS BLOB) WHERE id = 'p6'"),
    ("users", "nickname", "changed", 1, "SET nickname = 1 WHERE id = 'u3'"),
    ("users", "nickname", "changed", 1, "SET nickname = CAST(x'00' AS TEXT) WHERE id = 'u4'"),
    ("users", "", "added", 1, "INSERT INTO users VALUES ('u0', NULL, NULL)"),
    ("projects", "", "removed", 2, "DELETE FROM projects WHERE id IN ('p2', 'p3')"),
    ("users", "more", "created", 4, "ALTER TABLE users ADD COLUMN more"),
    ("users", "nickname", "dropped", 4, "ALTER TABLE users DROP COLUMN nickname"),
)  # fmt: skip


@pytest.fixture(scope="module")
def specified(tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    return migrate(tmp_path_factory.mktemp("specified"), SCHEMA, ROWS)


@pytest.mark.parametrize("case", NOT_AS_THEY_MUST_BE)
def test_pandas_sees_what_is_not_as_it_must_be(
    case: tuple[str, str, str, int, str], specified: Migrated
) -> None:
    table, column, change, rows, statement = case
    statement = f"UPDATE {table} {statement};" if statement.startswith("SET") else statement + ";"
    found = recomputed(specified, statement).findings
    assert (table, column, change, rows) in [(f.table, f.column, f.change, f.rows) for f in found]


def test_samples_show_both_sides_in_readable_form(tmp_path: Path) -> None:
    done = migrate(tmp_path, SCHEMA, ROWS)
    seen = broken(
        done,
        "DELETE FROM projects WHERE id = 'p1';",  # so that the rows are not in step any more
        "UPDATE projects SET title = 2.0 WHERE id = 'p2';",
        "UPDATE projects SET organization_id = 'org-u1' WHERE id = 'p4';",
    )
    rows = {tuple(row) for row in seen.pandas.samples.itertuples(index=False)}
    assert ("projects", "changed", "title", "id='p2'", "2", "2.0") in rows
    wrong = ("projects", "wrong value", "organization_id", "id='p4'", "'org-u3'", "'org-u1'")
    assert wrong in rows
    assert ("projects", "removed", "", "id='p1'", None, None) in {
        tuple(None if value != value else value for value in row) for row in rows
    }


def test_rows_without_any_key_are_compared_one_by_one(tmp_path: Path) -> None:
    done = migrate(
        tmp_path,
        "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT);",
        'CREATE TABLE projects (owner_id TEXT, "rowid", "oid", "_rowid_", updated_at TEXT);',
        "INSERT INTO users VALUES ('u', 'a@x');",
        "INSERT INTO projects VALUES ('u', 1, 1, 1, 'x'), ('u', 1, 1, 1, 'x');",
        "INSERT INTO projects VALUES ('u', 2, 1, 1, 'x');",
    )
    assert witnesses(done).pandas.findings == ()
    seen = broken(done, 'DELETE FROM projects WHERE "oid" = 1 AND "rowid" = 1;')
    assert seen.pandas.counts["projects", "removed", ""] == 2
    assert seen.violated == {"rows_lost_or_gained": 1}


def test_rowids_that_moved_are_no_difference(tmp_path: Path) -> None:
    done = migrate(tmp_path, SCHEMA, ROWS)
    execute(done.after, "UPDATE users SET rowid = -rowid;")
    seen = witnesses(done)
    assert seen.violated == {}
    assert seen.pandas.findings == ()
