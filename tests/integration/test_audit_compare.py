"""Rows, shapes and schema objects: what the two witnesses say, side by side."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runbook.audit.snapshot import capture
from runbook.audit.view_content import compare_views
from runbook.audit.witness_duckdb import diff_snapshots
from runbook.errors import BadInput, TargetError
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.sqlite.compare_objects import ObjectDifference, compare_objects
from runbook.sqlite.compare_table import Scope, compare_table
from runbook.sqlite.difference import RowSample, TableDifference
from runbook.sqlite.fields import Field, render_row
from runbook.sqlite.tables import read_tables, stored_tables

Witnesses = Callable[..., dict[str, TableDifference]]


@pytest.fixture
def witnesses(tmp_path: Path) -> Witnesses:
    """Runs SQL before and after, and returns what both witnesses agree on, by table."""

    def run(setup: str, change: str, encoding: str = "UTF-8") -> dict[str, TableDifference]:
        before, after = tmp_path / "before.db", tmp_path / "after.db"
        with closing(sqlite3.connect(before)) as connection:
            connection.execute(f"PRAGMA encoding = '{encoding}'")
            connection.executescript(setup)
        shutil.copy(before, after)
        with closing(sqlite3.connect(after)) as connection:
            connection.executescript(change)
        with closing(sqlite3.connect(after, isolation_level=None)) as connection:
            connection.execute("ATTACH ? AS before", (str(before),))
            old = {table.name: table for table in stored_tables(read_tables(connection, "before"))}
            new = {table.name: table for table in stored_tables(read_tables(connection))}
            connection.execute("BEGIN IMMEDIATE")
            by_sqlite = {
                name: compare_table(connection, old[name], new[name]) for name in old if name in new
            }
        snapshots = [capture(path, tmp_path / "snapshots" / path.stem) for path in (before, after)]
        by_duckdb = diff_snapshots(
            *snapshots,
        )
        for seen in by_duckdb:
            if seen.table in by_sqlite:
                plain = replace(seen, samples=(), how="rows")
                assert plain == replace(by_sqlite[seen.table], samples=(), how="rows")
        return by_sqlite

    return run


def without_a_key(columns: int) -> tuple[str, str]:
    """A table of so many columns; then every row has another rowid, and one another last value."""
    last, names = columns - 1, ", ".join(f"c{n}" for n in range(columns))
    return (
        f"CREATE TABLE t ({names}); INSERT INTO t(c0, c{last - 1}, c{last}) VALUES"
        " (1, 'x', 'y'), (2, x'3a', -0.0), (2, x'3a', -0.0), (3, ':', NULL);",
        f"UPDATE t SET rowid = 10 - rowid; UPDATE t SET c{last} = 0.0 WHERE rowid = 8;",
    )


def test_many_columns_without_a_key(witnesses: Witnesses) -> None:
    seen = witnesses(*without_a_key(120))["t"]
    assert (seen.added, seen.removed, seen.how, seen.rowids_moved) == (1, 1, "rows", True)


def test_2000_columns_without_a_key() -> None:
    setup, change = without_a_key(2000)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("ATTACH ':memory:' AS before")
        connection.executescript(setup)
        connection.executescript(setup.replace(" t ", " before.t ").replace(" t(", " before.t("))
        connection.executescript(change)
        ((old,), (new,)) = (read_tables(connection, schema) for schema in ("before", "main"))
        seen = compare_table(connection, old, new)
        assert (seen.added, seen.removed, seen.how, seen.rowids_moved) == (1, 1, "rows", True)
        if os.environ.get("RUNBOOK_FAULTS") != "full":
            return  # SQLite takes seconds for each of these
        connection.executescript(
            "CREATE VIEW main.v AS SELECT * FROM t; CREATE VIEW before.v AS SELECT * FROM t;"
        )
        views = compare_views(connection, Plan(), Shape(), "gate")
        assert [f.message.split(";")[0] for f in views.findings] == [
            'the view "v" returns 1 rows that it did not return before'
        ]


ROWS = "INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 3);"


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize(
    "create",
    [
        "CREATE TABLE t (k TEXT PRIMARY KEY, v);",
        "CREATE TABLE t (k TEXT PRIMARY KEY, v) WITHOUT ROWID;",
        "CREATE TABLE t (k TEXT PRIMARY KEY, v ANY) STRICT;",
        "CREATE TABLE t (k TEXT COLLATE NOCASE UNIQUE NOT NULL, v);",
        "CREATE TABLE t (k TEXT, v);",
        "CREATE TABLE t (k TEXT PRIMARY KEY, v, g AS (k || 'x'), h INT AS (1) STORED);",
    ],
)
def test_rows_added_removed_and_changed(witnesses: Witnesses, create: str, encoding: str) -> None:
    change = "DELETE FROM t WHERE k = 'b'; UPDATE t SET v = 1.0 WHERE k = 'a';"
    change += "INSERT INTO t (rowid, k, v) VALUES (9, 'd', NULL), (10, 'e', x'');"
    if "WITHOUT" in create:
        change = change.replace("rowid, ", "").replace("9, ", "").replace("10, ", "")
    insert = ROWS.replace("t V", "t (k, v) V")
    seen = witnesses(create + insert, change, encoding)["t"]
    assert (seen.rows_before, seen.rows_after) == (3, 4)
    assert (seen.added, seen.removed, seen.rows_changed) == (2, 1, 1)
    assert seen.changed == (("v", 1),)
    values = {sample.change: (sample.before, sample.after) for sample in seen.samples}
    assert values["changed"] == ((Field("v", "integer", "1"),), (Field("v", "real", "1.0"),))
    assert render_row(values["removed"][0] or ()).startswith("k='b', v=2")
    assert values["removed"][1] is None
    assert not seen.identical
    untouched = witnesses("DROP TABLE IF EXISTS t;" + create + insert, "SELECT 1", encoding)["t"]
    assert untouched.identical


def test_a_generated_column_that_follows_is_reported_too(witnesses: Witnesses) -> None:
    seen = witnesses(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a, v AS (a + 1), s AS (a * 2) STORED);"
        "INSERT INTO t VALUES (1, 1), (2, 2);",
        "UPDATE t SET a = 5 WHERE id = 2",
    )["t"]
    assert seen.changed == (("a", 1), ("v", 1), ("s", 1))


def test_moved_rowids_are_no_difference(witnesses: Witnesses) -> None:
    for create in ("CREATE TABLE t (k, v);", "CREATE TABLE t (k PRIMARY KEY, v);"):
        setup = f"DROP TABLE IF EXISTS t; {create} {ROWS}"
        seen = witnesses(setup, "UPDATE t SET rowid = rowid + 10")["t"]
        assert seen.identical
        assert seen.rowids_moved
        seen = witnesses(setup, "UPDATE t SET rowid = rowid + 10; UPDATE t SET v = 2.0 WHERE v = 2")
        assert not seen["t"].identical
        assert seen["t"].how == ("key" if "KEY" in create else "rows")


def test_vacuum_renumbers_a_table_without_key(witnesses: Witnesses) -> None:
    setup = f"CREATE TABLE t (k, v); {ROWS} INSERT INTO t VALUES ('c', 3), (NULL, NULL);"
    seen = witnesses(setup + "DELETE FROM t WHERE k = 'a';", "VACUUM")["t"]
    assert seen.identical
    assert seen.rowids_moved
    seen = witnesses("DROP TABLE t;" + setup, "DELETE FROM t WHERE rowid IN (1, 3); VACUUM")["t"]
    assert (seen.removed, seen.added, seen.how) == (2, 0, "rows")
    shown = [render_row(sample.before or ()) for sample in seen.samples]
    assert shown == ["k='a', v=1", "k='c', v=3"]


def test_columns_that_hide_every_name_of_the_rowid(witnesses: Witnesses) -> None:
    setup = (
        "CREATE TABLE t (rowid, _rowid_, oid); INSERT INTO t VALUES"
        " (1, 2, 3), (1, 2, 3), (NULL, NULL, NULL), (NULL, NULL, NULL);"
    )
    assert witnesses(setup, "SELECT 1")["t"].identical
    change = "DELETE FROM t WHERE rowid IS NULL; INSERT INTO t VALUES (NULL, NULL, NULL), (1, 2, 4)"
    seen = witnesses("DROP TABLE t;" + setup, change)["t"]
    assert (seen.removed, seen.added, seen.how) == (1, 1, "rows")


def test_null_in_a_key_does_not_lose_rows(witnesses: Witnesses) -> None:
    setup = "CREATE TABLE t (k TEXT PRIMARY KEY, v); INSERT INTO t VALUES (NULL, 1), (NULL, 2);"
    seen = witnesses(setup, "UPDATE t SET v = 3 WHERE v = 2")["t"]
    assert seen.changed == (("v", 1),)
    seen = witnesses("DROP TABLE t;" + setup, "UPDATE t SET rowid = 7 - rowid, v = v + 1")["t"]
    assert (seen.added, seen.removed, seen.how) == (1, 1, "rows")


@pytest.mark.parametrize(
    ("declared", "before", "after"),
    [
        ("TEXT COLLATE NOCASE", "'A'", "'a'"),
        ("BLOB", "1", "1.0"),
        ("TEXT COLLATE RTRIM", "'a'", "'a '"),
    ],
)
@pytest.mark.parametrize("tail", ["", "WITHOUT ROWID"])
def test_a_key_that_is_equal_only_loosely_is_another_row(
    witnesses: Witnesses, declared: str, before: str, after: str, tail: str
) -> None:
    seen = witnesses(
        f"CREATE TABLE t (k {declared} PRIMARY KEY, v) {tail};"
        f"INSERT INTO t VALUES ({before}, 1), ('other', 2);",
        f"UPDATE t SET k = {after} WHERE v = 1",
    )["t"]
    assert (seen.added, seen.removed, seen.rows_changed) == (1, 1, 0)


def test_search_index_sequence_and_statistics(witnesses: Witnesses) -> None:
    setup = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v); INSERT INTO t (v) VALUES (1);"
        "CREATE INDEX i ON t (v); ANALYZE;"
        "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('one two');"
    )
    assert all(seen.identical for seen in witnesses(setup, "SELECT 1").values())
    change = (
        "INSERT INTO f VALUES ('three'); UPDATE sqlite_sequence SET seq = 7;"
        "UPDATE sqlite_stat1 SET stat = '9 9'"
    )
    seen = witnesses("DROP TABLE t; DROP TABLE f;" + setup, change)
    differing = {name for name, each in seen.items() if not each.identical}
    assert differing >= {"f_data", "f_content", "sqlite_sequence", "sqlite_stat1"}
    assert "t" not in differing


def test_a_table_on_one_side_counts_as_all_its_rows(tmp_path: Path) -> None:
    paths = tmp_path / "a.db", tmp_path / "b.db"
    for path, table in zip(paths, ("gone", "new"), strict=True):
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"CREATE TABLE {table} (a); INSERT INTO {table} VALUES (1)")
    a, b = (capture(path, tmp_path / path.stem) for path in paths)
    seen = diff_snapshots(a, b)
    assert [(each.table, each.removed, each.added) for each in seen] == [
        ("gone", 1, 0),
        ("new", 0, 1),
    ]
    with pytest.raises(TargetError, match="UTF-16le"):
        diff_snapshots(a, replace(b, snapshot=replace(b.snapshot, encoding="UTF-16le")))


@pytest.fixture
def attached(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "main.db", isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS before", (str(tmp_path / "before.db"),))
        yield connection


def test_objects(attached: sqlite3.Connection) -> None:
    for schema in ("main", "before"):
        attached.execute(f"CREATE TABLE {schema}.t (a UNIQUE, b)")
        attached.execute(f"CREATE TABLE {schema}.u (a)")
        attached.execute(f"CREATE INDEX {schema}.i ON t (b)")
        attached.execute(f"CREATE VIEW {schema}.v AS SELECT a FROM t")
    assert compare_objects(attached) == ()
    attached.execute("DROP INDEX main.i")
    attached.execute("DROP VIEW main.v")
    attached.execute("CREATE VIEW main.v AS SELECT b FROM t")
    attached.execute("CREATE TRIGGER main.g AFTER UPDATE ON t BEGIN SELECT 1; END")
    attached.execute("DROP TABLE main.u")
    attached.execute("CREATE TABLE main.u (a PRIMARY KEY)")
    found = compare_objects(attached)
    assert [(each.change, each.type, each.name) for each in found] == [
        ("removed", "index", "i"),
        ("added", "index", "sqlite_autoindex_u_1"),
        ("changed", "table", "u"),
        ("added", "trigger", "g"),
        ("changed", "view", "v"),
    ]
    assert found[0] == ObjectDifference("removed", "index", "i", "CREATE INDEX i ON t (b)", None)
    assert found[1].after == "(automatic index of u)"


def test_limited_columns_and_samples(attached: sqlite3.Connection) -> None:
    for schema in ("main", "before"):
        attached.execute(f"CREATE TABLE {schema}.t (id INTEGER PRIMARY KEY, a, b)")
        attached.execute(
            f"WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50)"
            f" INSERT INTO {schema}.t SELECT i, i, 'x' FROM n"
        )
    attached.execute("UPDATE main.t SET a = a + 1")
    attached.execute("ALTER TABLE main.t ADD COLUMN extra")
    (old,), (new,) = read_tables(attached, "before"), read_tables(attached)
    assert compare_table(attached, old, new, Scope(columns=["id", "b"])).identical
    seen = compare_table(attached, old, new, Scope(samples=3))
    assert (seen.rows_changed, seen.changed, len(seen.samples)) == (50, (("a", 50),), 3)
    key, old_value, new_value = (
        (Field(c, "integer", v),) for c, v in (("id", "1"), ("a", "1"), ("a", "2"))
    )
    assert seen.samples[0] == RowSample("changed", key, "a", old_value, new_value)
    with pytest.raises(BadInput, match="'extra'"):
        compare_table(attached, old, new, Scope(columns=["extra"]))


def test_a_table_of_very_many_columns(attached: sqlite3.Connection) -> None:
    columns = ", ".join(f"c{i}" for i in range(1990))
    for schema in ("main", "before"):
        attached.execute(f"CREATE TABLE {schema}.t ({columns})")
        attached.execute(f"INSERT INTO {schema}.t DEFAULT VALUES")
    attached.execute("UPDATE main.t SET c7 = 1, c1989 = 2")
    (old,), (new,) = read_tables(attached, "before"), read_tables(attached)
    assert compare_table(attached, old, new).changed == (("c7", 1), ("c1989", 1))


def test_a_collation_of_the_application_is_not_needed(tmp_path: Path) -> None:
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    for path, value in ((before, "x"), (after, "y")):
        with closing(sqlite3.connect(path)) as connection:
            connection.create_collation("ours", lambda a, b: (a > b) - (a < b))
            connection.execute("CREATE TABLE t (k TEXT COLLATE ours PRIMARY KEY, v)")
            rows = [(1, "a", 1), (2, value, 2)]
            connection.executemany("INSERT INTO t (rowid, k, v) VALUES (?, ?, ?)", rows)
            connection.commit()
    with closing(sqlite3.connect(after)) as connection:
        connection.execute("ATTACH ? AS before", (str(before),))
        (old,), (new,) = read_tables(connection, "before"), read_tables(connection)
        seen = compare_table(connection, old, new)
        assert compare_table(connection, old, old, schemas=("before", "before")).identical
    assert (seen.changed, seen.how) == ((("k", 1),), "rowid")
    assert capture(after, tmp_path / "after").tables[0].rows == 2


@pytest.mark.parametrize(
    "create", ["(k TEXT PRIMARY KEY, v)", "(k TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID"]
)
def test_rows_are_found_through_an_index(attached: sqlite3.Connection, create: str) -> None:
    plans: list[str] = []
    for schema in ("main", "before"):
        attached.execute(f"CREATE TABLE {schema}.t {create}")
        attached.execute(f"INSERT INTO {schema}.t VALUES ('a', '{schema}'), ('b', 1)")
    if "ROWID" not in create:
        attached.execute("UPDATE main.t SET rowid = rowid + 5")
    (old,), (new,) = read_tables(attached, "before"), read_tables(attached)
    statements: list[str] = []
    attached.set_trace_callback(statements.append)
    seen = compare_table(attached, old, new)
    attached.set_trace_callback(None)
    assert (seen.how, seen.rows_changed) == ("key", 1)
    joins = [sql for sql in statements if " JOIN " in sql]
    for sql in joins:
        plans += [row[3] for row in attached.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert joins
    assert sum("SEARCH a USING" in plan for plan in plans) == len(joins)
