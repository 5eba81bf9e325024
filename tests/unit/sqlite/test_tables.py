from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from runbook.sqlite.tables import (
    Column,
    SchemaObject,
    Table,
    read_objects,
    read_tables,
    stored_tables,
)


@pytest.fixture(params=["UTF-8", "UTF-16le"])
def connection(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.execute(f"PRAGMA encoding = '{request.param}'")
        yield opened


def only(connection: sqlite3.Connection, create: str) -> Table:
    connection.execute(create)
    return read_tables(connection)[0]


@pytest.mark.parametrize(
    ("create", "rowid", "key", "stable"),
    [
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "id", ("id",), True),
        ("CREATE TABLE t (rowid INTEGER PRIMARY KEY, oid)", "rowid", ("rowid",), True),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY DESC)", "rowid", ("id",), False),
        ("CREATE TABLE t (id INT PRIMARY KEY)", "rowid", ("id",), False),
        ("CREATE TABLE t (RowId, v)", "_rowid_", (), False),
        ("CREATE TABLE t (rowid, _ROWID_)", "oid", (), False),
        ("CREATE TABLE t (rowid, _rowid_, OID)", None, (), False),
        ("CREATE TABLE t (rowid, _rowid_, oid, id INTEGER PRIMARY KEY)", "id", ("id",), True),
        ("CREATE TABLE t (a, b, PRIMARY KEY (b, a))", "rowid", ("b", "a"), False),
        ("CREATE TABLE t (a PRIMARY KEY, b) WITHOUT ROWID", None, ("a",), False),
        ("CREATE TABLE t (a INTEGER PRIMARY KEY) WITHOUT ROWID", None, ("a",), False),
        ("CREATE TABLE t (a UNIQUE, b NOT NULL, UNIQUE (b))", "rowid", ("b",), False),
        ("CREATE TABLE t (a, b UNIQUE)", "rowid", ("b",), False),
        ("CREATE TABLE t (a, b)", "rowid", (), False),
    ],
)
def test_rowid_and_key(
    connection: sqlite3.Connection,
    create: str,
    rowid: str | None,
    key: tuple[str, ...],
    stable: bool,
) -> None:
    table = only(connection, create)
    assert (table.rowid, table.key, table.stable_rowid) == (rowid, key, stable)


def test_partial_and_expression_indexes_are_no_key(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (a, b)")
    connection.execute("CREATE UNIQUE INDEX i ON t (a) WHERE b")
    connection.execute("CREATE UNIQUE INDEX j ON t (lower(a), b)")
    assert read_tables(connection)[0].key == ()
    connection.execute("CREATE UNIQUE INDEX k ON t (b)")
    assert read_tables(connection)[0].key == ("b",)


def test_generated_columns_types_and_odd_names(connection: sqlite3.Connection) -> None:
    table = only(
        connection,
        'CREATE TABLE "a ""b"" ü" ("select" TEXT NOT NULL, "" INT AS (1), s INT AS (2) STORED)',
    )
    assert table.name == 'a "b" ü'
    assert table.columns == (
        Column("select", "TEXT", "no", True, 0),
        Column("", "INT", "virtual", False, 0),
        Column("s", "INT", "stored", False, 0),
    )
    assert only(connection, "CREATE TABLE Strict (a INT) STRICT").strict


def test_every_kind_is_listed_and_broken_ones_do_no_harm(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT)")
    connection.execute("CREATE INDEX i ON a (id)")
    connection.execute("INSERT INTO a DEFAULT VALUES")
    connection.execute("ANALYZE")
    connection.execute("CREATE VIRTUAL TABLE f USING fts5(x)")
    connection.execute("CREATE VIEW broken AS SELECT * FROM nowhere")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "INSERT INTO sqlite_schema VALUES"
        " ('table', 'unknown', 'unknown', 0, 'CREATE VIRTUAL TABLE unknown USING missing()')"
    )
    connection.execute("PRAGMA writable_schema = RESET")
    tables = read_tables(connection)
    kinds = {table.name: table.kind for table in tables}
    assert kinds["broken"] == "view"
    assert kinds["f"] == kinds["unknown"] == "virtual"
    assert kinds["f_data"] == kinds["f_content"] == "shadow"
    stored = [table.name for table in stored_tables(tables)]
    assert {"a", "sqlite_sequence", "sqlite_stat1", "f_data"} <= set(stored)
    assert not {"broken", "f", "unknown", "sqlite_schema"} & set(stored)


def test_an_attached_schema_is_read_by_itself(connection: sqlite3.Connection) -> None:
    connection.execute("ATTACH ':memory:' AS before")
    connection.execute("CREATE TABLE t (a PRIMARY KEY)")
    connection.execute("CREATE TABLE before.t (b)")
    assert read_tables(connection)[0].key == ("a",)
    assert read_tables(connection, "before")[0].column_names == ("b",)
    assert read_objects(connection, "before") == (
        SchemaObject("table", "t", "t", "CREATE TABLE t (b)"),
    )
    assert SchemaObject("index", "sqlite_autoindex_t_1", "t", None) in read_objects(connection)
