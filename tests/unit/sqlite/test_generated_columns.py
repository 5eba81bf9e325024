"""Which generated columns depend on a column, and whether the stored ones are right."""

from __future__ import annotations

import sqlite3

import pytest

from runbook.sqlite.generated_columns import count_wrong_stored, generated_from
from runbook.sqlite.tables import Table, read_tables

SHAPES = {
    "rowid": "CREATE TABLE t (k TEXT, at TEXT, {columns})",
    "integer key": "CREATE TABLE t (k INTEGER PRIMARY KEY, at TEXT, {columns})",
    "without rowid": "CREATE TABLE t (k TEXT PRIMARY KEY, at TEXT, {columns}) WITHOUT ROWID",
    "strict": "CREATE TABLE t (k TEXT PRIMARY KEY, at TEXT, {columns}) STRICT",
    "quoted": 'CREATE TABLE "t" ("k" TEXT, [at] TEXT, {columns}, CHECK ("at" <> \'(,)\'))',
}


def table(connection: sqlite3.Connection) -> Table:
    return next(t for t in read_tables(connection) if t.name == "t")


@pytest.mark.parametrize("shape", SHAPES)
def test_dependence_is_found_through_other_generated_columns(
    connection: sqlite3.Connection, shape: str
) -> None:
    columns = """
        plain TEXT DEFAULT 'at',
        day TEXT AS (substr(at, 1, 10)) VIRTUAL,
        "the year" TEXT GENERATED ALWAYS AS (substr("day", 1, 4)) STORED,
        other TEXT AS (upper(k)) -- not at
    """
    connection.execute(SHAPES[shape].format(columns=columns))
    assert generated_from(connection, "T", {"AT"}) == ("day", "the year")
    assert generated_from(connection, "T", {"k"}) == ("other",)
    assert generated_from(connection, "T", {"plain"}) == ()


@pytest.mark.parametrize("shape", SHAPES)
def test_stored_columns_are_recomputed(connection: sqlite3.Connection, shape: str) -> None:
    expression = "CAST(substr(at, 1, 4) AS INTEGER)"
    text = SHAPES[shape].format(columns=f"y INTEGER AS ({expression}) STORED")
    connection.execute(text)
    connection.executemany("INSERT INTO t (k, at) VALUES (?, ?)", [(1, "2024-"), (2, "2025-")])
    assert count_wrong_stored(connection, table(connection), {"y"}) == 0
    # What a changed file would hold: the bytes stay, the expression is another.
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?)", (expression, f"{expression} + 1")
    )
    connection.execute("PRAGMA writable_schema = RESET")
    assert count_wrong_stored(connection, table(connection), {"y"}) == 2
    assert [t.name for t in read_tables(connection, "temp")] in ([], ["sqlite_sequence"])
