"""Each value that a migration writes has its rule, and a wrong one is named by its column."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runbook.audit.rule_values import NEW_TABLE_RULES, RuleCheck
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.plan.plan import Plan, Resource, Users
from runbook.plan.shape import read_shape
from runbook.sqlite.connect import attach_immutable
from runbook.targets.sqlite import SqliteTarget
from runbook.templates import sql_file
from tests.support.databases import execute

PLAN = Plan(
    users=Users("users", "id", "email"), resources=(Resource("notes", "user_id", "updated_at"),)
)
KEYS = {
    "TEXT": ("'a'", "'b'", "'9'"),
    "TEXT COLLATE NOCASE": ("'a'", "'b'", "'A'"),
    "INTEGER": ("1", "-2", "3"),
    "BLOB": ("x'61'", "x'62'", "'a'"),
    "": ("1", "2", "1.0"),
}
"""Declared types of a user's key: two keys, and another that is neither of them, strictly."""

COLUMNS = [
    (table, column)
    for table, rules in NEW_TABLE_RULES.items()
    for column in sql_file(rules).columns
]


@pytest.fixture(scope="module", params=KEYS, ids=lambda key: key or "no type")
def checked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RuleCheck, str]]:
    """A migrated database with its backup attached, and a key that is wrong in it."""
    key: str = request.param
    first, second, wrong = KEYS[key]
    path: Path = tmp_path_factory.mktemp("rules") / "app.db"
    execute(
        path,
        f"CREATE TABLE users (id {key} PRIMARY KEY, email TEXT)",
        f"INSERT INTO users VALUES ({first}, 'one@example.com'), ({second}, 'two@example.com')",
        f"CREATE TABLE notes (id INTEGER PRIMARY KEY, user_id {key}, updated_at TEXT)",
        f"INSERT INTO notes VALUES (1, {first}, '2024-01-01 00:00:00'),"
        f" (2, {second}, '2024-01-02 00:00:00')",
    )
    target, backup = SqliteTarget(path), path.with_name("backup.db")
    target.backup(backup)
    with closing(sqlite3.connect(path)) as connection:
        shape = read_shape(connection, PLAN)
    assert migrate(Job(target, PLAN, "run", backup)).committed
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        attach_immutable(connection, backup)
        yield RuleCheck(connection, PLAN, shape, "gate"), wrong


def wrong_columns(check: RuleCheck, table: str, statement: str) -> set[str]:
    """The columns of a new table that are found to be wrong after a statement that is taken back."""
    check.connection.execute("BEGIN")
    try:
        assert check.connection.execute(statement).rowcount == 1
        return {f.column for f in check.table(table, NEW_TABLE_RULES[table])}
    finally:
        check.connection.execute("ROLLBACK")


def test_nothing_is_wrong_after_a_migration(checked: tuple[RuleCheck, str]) -> None:
    check, _ = checked
    for table, rules in NEW_TABLE_RULES.items():
        assert list(check.table(table, rules)) == []
        assert check.count_wrong(table) == 0


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_wrong_value_is_named_by_its_column(
    checked: tuple[RuleCheck, str], table: str, column: str
) -> None:
    check, wrong_key = checked
    keys = ("owner_id", "user_id", "invited_by")
    value = wrong_key if column in keys else "'admin'" if column == "role" else "'2020'"
    statement = f"UPDATE {table} SET {column} = {value} WHERE rowid = 1"
    assert column in wrong_columns(check, table, statement)
    assert check.count_wrong(table) == 0  # it was taken back


@pytest.mark.parametrize("table", NEW_TABLE_RULES)
def test_a_row_of_nobody_is_wrong(checked: tuple[RuleCheck, str], table: str) -> None:
    check, _ = checked
    column = {"organizations": "owner_id", "organization_memberships": "user_id"}[table]
    statement = f"UPDATE {table} SET {column} = 777, id = NULL WHERE rowid = 1"
    assert {"id", column} <= wrong_columns(check, table, statement)


@pytest.mark.parametrize("column", sql_file("audit/resources_by_rule").columns)
def test_a_wrong_value_of_a_resource_is_named_by_its_column(
    checked: tuple[RuleCheck, str], column: str
) -> None:
    check, _ = checked
    assert list(check.resource(PLAN.resources[0])) == []
    check.connection.execute("BEGIN")
    check.connection.execute(f"UPDATE notes SET {column} = '2020' WHERE id = 1")
    assert [f.column for f in check.resource(PLAN.resources[0])] == [column]
    check.connection.execute("ROLLBACK")
