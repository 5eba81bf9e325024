"""Every change of the matrix is seen by both witnesses and by the digest; nothing else is."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.audit.digest import digest_table
from runbook.audit.snapshot import capture
from runbook.audit.witness_duckdb import diff_snapshots
from runbook.sqlite.compare_table import Scope, TableDifference, compare_table
from runbook.sqlite.fields import render_row
from runbook.sqlite.tables import read_tables
from tests.support.matrix import CellChange, add_columns, changes, plant

SHAPES = {
    "integer key": "CREATE TABLE t (id INTEGER PRIMARY KEY)",
    "text key": "CREATE TABLE t (id TEXT PRIMARY KEY)",
    "without rowid": "CREATE TABLE t (id TEXT PRIMARY KEY) WITHOUT ROWID",
    "unique key": "CREATE TABLE t (id NOT NULL UNIQUE)",
    "no key": "CREATE TABLE t (id)",
}


def build(path: Path, shape: str, encoding: str, wanted: tuple[CellChange, ...]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        connection.execute(SHAPES[shape])
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(len(wanted) + 2)])
        add_columns(connection, "t", wanted)
        connection.execute("COMMIT")


def compare(before: Path, after: Path, **options: object) -> TableDifference:
    with closing(sqlite3.connect(after, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS before", (str(before),))
        (old,) = read_tables(connection, "before")
        (new,) = read_tables(connection, "main")
        connection.execute("BEGIN IMMEDIATE")
        return compare_table(connection, old, new, Scope(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_matrix_is_large_and_each_change_changes_something(encoding: str) -> None:
    wanted = changes(encoding)
    assert len(wanted) >= 60
    assert len({change.name for change in wanted}) == len(wanted)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        connection.text_factory = bytes
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (1)")
        add_columns(connection, "t", wanted)
        for change in wanted:
            sql = f'SELECT typeof("{change.column}"), "{change.column}" FROM t'
            was = connection.execute(sql).fetchone()
            plant(connection, "t", change, "id = 1")
            assert repr(connection.execute(sql).fetchone()) != repr(was), change.name


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_change_is_seen_where_it_is_and_nowhere_else(
    tmp_path: Path, shape: str, encoding: str
) -> None:
    wanted = changes(encoding)
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    build(before, shape, encoding, wanted)
    shutil.copy(before, after)
    untouched = compare(before, after)
    assert untouched.identical
    assert untouched.samples == ()
    old = capture(before, tmp_path / "before")
    assert diff_snapshots(old, old)[0].identical

    with closing(sqlite3.connect(after, isolation_level=None)) as connection:
        for row, change in enumerate(wanted):
            plant(connection, "t", change, f"CAST(id AS INTEGER) = {row}")
    new = capture(after, tmp_path / "after")
    expected = tuple((change.column, 1) for change in wanted)
    by_sqlite = compare(before, after)
    (by_duckdb,) = diff_snapshots(old, new)
    for seen in (by_sqlite, by_duckdb):
        assert seen.changed == expected
        assert (seen.added, seen.removed, seen.rows_changed) == (0, 0, len(wanted))
        assert [sample.column for sample in seen.samples] == [each.column for each in wanted]
        for sample in seen.samples:
            assert (
                sample.before != sample.after or "long" in sample.column or "zeros" in sample.column
            )
    assert {*by_sqlite.samples} == {*by_duckdb.samples}

    assert compare(before, after, columns=["id"]).identical
    (by_id,) = diff_snapshots(old, new, columns={"t": ["id"]})
    assert by_id.identical


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
def test_digest_sees_every_change_and_no_order(tmp_path: Path, encoding: str) -> None:
    wanted = changes(encoding)
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    build(before, "without rowid", encoding, wanted)
    shutil.copy(before, after)
    with closing(sqlite3.connect(after, isolation_level=None)) as connection:
        for row, change in enumerate(wanted):
            plant(connection, "t", change, f"id = '{row}'")
    old = capture(before, tmp_path / "before").tables[0]
    new = capture(after, tmp_path / "after").tables[0]
    files = tmp_path / "before" / old.file, tmp_path / "after" / new.file

    def digests(column: str) -> set[str]:
        return {digest_table(file, [column]) for file in files}

    for change in wanted:
        assert len(digests(change.column)) == 2, change.name
    assert len(digests("id")) == 1


@pytest.mark.parametrize("change", changes(), ids=lambda change: change.name)
def test_each_change_alone_is_seen_before_commit(tmp_path: Path, change: CellChange) -> None:
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    build(before, "text key", "UTF-8", (change,))
    shutil.copy(before, after)
    with closing(sqlite3.connect(after, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS before", (str(before),))
        (old,), (new,) = read_tables(connection, "before"), read_tables(connection)
        connection.execute("BEGIN IMMEDIATE")
        plant(connection, "t", change, "id = '1'")
        seen = compare_table(connection, old, new)
        connection.execute("ROLLBACK")
        assert seen.changed == ((change.column, 1),)
        assert [render_row(sample.key) for sample in seen.samples] == ["id='1'"]
        assert compare_table(connection, old, new).identical
