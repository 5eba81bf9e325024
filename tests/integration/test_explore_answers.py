"""What is answered on cells, undecoded, is what SQLite answers: conditions and usual questions."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds
import pytest

from runbook.audit.snapshot import capture
from runbook.notebook.explore_answer import ask
from runbook.notebook.explore_columns import privacy_of
from runbook.notebook.explore_server import Served
from runbook.plan.plan import Plan
from tests.support.databases import execute
from tests.support.exploring import exploring

USERS = {
    "TEXT": ("'u1'", "'u2'", "'É3'"),
    "INTEGER": ("1", "2", "30"),
    "REAL": ("1", "2.5", "-0.0"),
    "BLOB": ("x'00ff'", "x'41'", "'A'"),
}


def make_migrated(path: Path, encoding: str, key: str, owner: str) -> None:
    """An application with users of one type, owners of another, and what a migration made."""
    one, two, three = USERS[key]
    execute(
        path,
        f"PRAGMA encoding = '{encoding}'",
        f"CREATE TABLE users (id {key} PRIMARY KEY, email TEXT)",
        f"INSERT INTO users VALUES ({one}, 'a@x'), ({two}, 'b@x'), ({three}, NULL)",
        f"CREATE TABLE projects (id INTEGER PRIMARY KEY, owner_id {owner}, organization_id TEXT)",
        f"CREATE TABLE notes (id TEXT, owner_id {owner}, organization_id TEXT, file_row_number)",
        f"CREATE TABLE organizations (id TEXT PRIMARY KEY, name, owner_id {key}, type TEXT)",
        f"INSERT INTO organizations VALUES ('o1', 'One', {one}, 'personal'),"
        f" ('o2', 'Two', {two}, 'personal'), ('o3', 'Three', {three}, 'team'),"
        f" ('o4', 'Four', NULL, 'personal'), (NULL, 'Five', {one}, 'personal')",
        f"CREATE TABLE organization_memberships (organization_id TEXT, user_id {key}, role TEXT)",
        f"INSERT INTO organization_memberships VALUES ('o1', {one}, 'owner'),"
        f" ('o2', {two}, 'owner'), ('o2', {one}, 'guest'), ('o3', {three}, 'owner'),"
        " ('o4', NULL, 'owner'), (NULL, NULL, 'owner')",
        f"INSERT INTO projects VALUES (1, {one}, 'o1'), (2, {one}, 'o1'), (3, {two}, 'o2'),"
        f" (4, NULL, NULL), (5, {three}, 'o3'), (6, 'nobody', 'gone'), (7, NULL, 'o4')",
        f"INSERT INTO notes VALUES ('n1', {one}, 'o2', 1), ('n2', {two}, 'o2', 'x'), ('n3', 7, NULL, 2)",
    )


def plan() -> Plan:
    only = Plan()
    (projects,) = only.resources
    return replace(only, resources=(projects, replace(projects, table="notes")))


def by_sqlite(path: Path, query: str) -> Counter[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return Counter(connection.execute(query).fetchall())


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row.values()) for row in ask(connection, query).to_pylist())


WHO_OWNS_WHAT = """
SELECT o.id, u.email, '{table}', count(*) FROM {table} AS r
JOIN organizations AS o ON o.id = r.organization_id LEFT JOIN users AS u ON u.id = o.owner_id
GROUP BY o.id, u.email
"""
LARGEST = """
SELECT id, name, (SELECT count(*) FROM organization_memberships AS m WHERE m.organization_id = o.id),
  (SELECT count(*) FROM projects AS r WHERE r.organization_id = o.id)
  + (SELECT count(*) FROM notes AS r WHERE r.organization_id = o.id)
FROM organizations AS o
"""
ROWS_OF_USERS = """
SELECT '{table}', coalesce(b.n, 0), coalesce(a.n, 0)
FROM (SELECT owner_id, count(*) AS n FROM {table} WHERE owner_id IS NOT NULL GROUP BY 1) AS b
FULL JOIN (
  SELECT m.user_id, count(*) AS n FROM {table} AS r
  JOIN organizations AS o ON o.id = r.organization_id AND o.type = 'personal'
  JOIN organization_memberships AS m ON m.organization_id = o.id
  WHERE m.user_id IS NOT NULL GROUP BY 1
) AS a ON a.user_id = b.owner_id
"""


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("encoding", "key", "owner"),
    [
        ("UTF-8", "TEXT", "TEXT"),
        ("UTF-16le", "TEXT", "TEXT"),
        ("UTF-8", "INTEGER", "INTEGER"),
        ("UTF-16be", "INTEGER", "TEXT"),
        ("UTF-8", "INTEGER", "TEXT"),
        ("UTF-8", "REAL", "INTEGER"),
        ("UTF-8", "BLOB", "BLOB"),
    ],
)
def test_the_usual_questions_are_answered_as_by_sqlite(
    tmp_path: Path, encoding: str, key: str, owner: str, masked: bool
) -> None:
    path = tmp_path / "app.db"
    make_migrated(path, encoding, key, owner)
    captured = capture(path, tmp_path / "out")
    privacy = privacy_of(plan()) if masked else None
    with exploring(captured, captured, privacy, plan()) as connection:
        owned = Counter[tuple[Any, ...]]()
        counted = Counter[tuple[Any, ...]]()
        for table in ("projects", "notes"):
            owned += by_sqlite(path, WHO_OWNS_WHAT.format(table=table))
            counted += by_sqlite(path, ROWS_OF_USERS.format(table=table))
        answered = "SELECT organization_id, {}, kind, number_of_rows FROM who_owns_what"
        if masked:
            hidden = rows(connection, answered.format("email"))
            assert sum(n for row, n in hidden.items() if "•••" in str(row[1])) == sum(
                n for row, n in owned.items() if row[1]
            )
            assert "@" not in str(hidden)
        else:
            assert rows(connection, answered.format("email")) == owned
            largest = "SELECT * EXCLUDE (owner) FROM largest_organizations"
            assert rows(connection, largest) == by_sqlite(path, LARGEST)
        assert rows(connection, "SELECT kind, rows_before, rows_after FROM rows_of_users") == (
            counted
        )


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16be"])
def test_conditions_decode_only_the_rows_that_remain(
    tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "app.db"
    execute(
        path,
        f"PRAGMA encoding = '{encoding}'",
        "CREATE TABLE t (file_row_number TEXT, a, b INTEGER, PRIMARY KEY (b, a)) WITHOUT ROWID",
        "CREATE TABLE s (a, n INTEGER)",
        "INSERT INTO s WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i LIMIT 400)"
        " SELECT CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN n WHEN 2 THEN n / 2.0 WHEN 3 THEN 'é' || n"
        " ELSE CAST(n AS BLOB) END, n FROM i",
        "INSERT INTO t SELECT 'f' || n, coalesce(a, 'none'), n FROM s",
    )
    numbers = Served._numbers_where
    asked: list[Any] = []

    def numbered(*arguments: Any) -> Any:
        asked.append(numbers(*arguments))
        return asked[-1]

    monkeypatch.setattr(Served, "_numbers_where", numbered)
    captured = capture(path, tmp_path / "out")
    with exploring(captured, None) as connection:
        for table, number in (("t", "b"), ("s", "n")):
            for condition, few in (
                (f"{number} = 7", True),
                (f"{number} IN (5, 399, 401)", True),
                (f"{number} < 40 AND {number} > 20", True),
                (f"{number} = 3 OR {number} = 400", True),
                (f"{number} > 399 OR {number} IS NULL", True),
                (f"{number} = 401", True),
                (f"{number} <> 7", False),
            ):
                asked.clear()
                answered = rows(connection, f"SELECT * FROM before.{table} WHERE {condition}")
                every = rows(
                    connection, f"SELECT * FROM (FROM before.{table} OFFSET 0) WHERE {condition}"
                )
                assert answered == every
                count = f"SELECT count(*) FROM {table} WHERE {condition}"
                assert by_sqlite(path, count) == Counter([(answered.total(),)])
                assert asked, condition
                assert (asked[0] is not None) == few, condition


def test_no_thread_reads_on_when_a_query_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrow's own scanner reads ahead, also after LIMIT: `runbook sql` died of it at its end."""
    scanner = Served.scanner
    scans: list[Any] = []

    def kept(self: Served, *arguments: Any, **named: Any) -> Any:
        scans.append(scanner(self, *arguments, **named))
        return scans[-1]

    monkeypatch.setattr(Served, "scanner", kept)
    execute(tmp_path / "t.db", "CREATE TABLE t (a, b)", "INSERT INTO t VALUES (1, 2), (3, 4)")
    captured = capture(tmp_path / "t.db", tmp_path / "out")
    with exploring(captured, None) as connection:
        assert rows(connection, "FROM before.t LIMIT 1")
        assert rows(connection, "SELECT a FROM before.t WHERE b = 4") == Counter([(3,)])
        assert connection.sql("FROM before.t WHERE a > 1").fetchall() == [(3, 4)]
        assert len(connection.table("before.t").df()) == 2
    assert len(scans) == 4
    assert not [scan for scan in scans if isinstance(scan, ds.Scanner)]
