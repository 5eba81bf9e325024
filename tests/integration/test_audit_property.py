"""Random schemas, rows and changes: both witnesses report exactly what pure Python finds."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Hashable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from runbook.audit.digest import digest_table
from runbook.audit.snapshot import capture
from runbook.audit.witness_duckdb import diff_snapshots
from runbook.sqlite.compare_table import compare_table
from runbook.sqlite.difference import TableDifference
from runbook.sqlite.quoting import quote_name
from runbook.sqlite.tables import Table, read_tables

VALUES = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, -(2**63)]),
    st.floats(allow_nan=False),
    st.sampled_from([0.0, -0.0, 1.0, 2.0, float(2**53), -float(2**63), float("inf")]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.sampled_from(["a", "A", "a ", "1", "1.0", "n", "", "\0", "e\u0301", "\u00e9"]),
    st.binary(max_size=3),
)
DECLARED = st.sampled_from(
    [
        "",
        "TEXT",
        "INTEGER",
        "REAL",
        "NUMERIC",
        "BLOB",
        "ANY",
        "DATETIME",
        "TEXT COLLATE NOCASE",
        "TEXT COLLATE RTRIM",
    ]
)
NAMES = ["", "rowid", "_rowid_", "oid", "select", 'a"b', "a.b", "Ünï", "__rowid__", "c0", "r", "*"]
SHAPES = ["integer key", "key", "two keys", "without rowid", "unique", "no key"]


@dataclass(frozen=True)
class Case:
    shape: str
    encoding: str
    columns: list[tuple[str, str]]
    rows: list[list[object]]
    cell_changes: list[tuple[int, int, object]]
    removed: set[int]
    added: list[list[object]]
    move_rowids: bool

    @property
    def create(self) -> str:
        names = [quote_name(name) for name, _ in self.columns]
        typed = [f"{quote_name(name)} {declared}" for name, declared in self.columns]
        if self.shape == "integer key":
            typed[0] = f"{names[0]} INTEGER PRIMARY KEY"
        elif self.shape in ("key", "without rowid"):
            typed[0] += " PRIMARY KEY"
        elif self.shape == "unique":
            typed[0] += " UNIQUE"
        elif self.shape == "two keys":
            typed.append(f"PRIMARY KEY ({names[1]}, {names[0]})")
        tail = " WITHOUT ROWID" if self.shape == "without rowid" else ""
        return f"CREATE TABLE t ({', '.join(typed)}){tail}"


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=5, unique=True))
    columns = [(name, draw(DECLARED)) for name in names]
    row = st.lists(VALUES, min_size=len(names), max_size=len(names))
    rows = draw(st.lists(row, min_size=1, max_size=8))
    index = st.integers(0, len(rows) - 1)
    cell = st.tuples(index, st.integers(0, len(names) - 1), VALUES)
    return Case(
        draw(st.sampled_from(SHAPES)),
        draw(st.sampled_from(["UTF-8", "UTF-16le", "UTF-16be"])),
        columns,
        rows,
        draw(st.lists(cell, max_size=4)),
        draw(st.sets(index, max_size=2)),
        draw(st.lists(row, max_size=2)),
        draw(st.booleans()),
    )


def attempt(connection: sqlite3.Connection, sql: str, values: tuple[object, ...] = ()) -> None:
    """Do it if the constraints of the random schema allow it."""
    try:
        connection.execute(sql, values)
    except sqlite3.IntegrityError:
        event("refused by a constraint")


def build(path: Path, case: Case) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA encoding = '{case.encoding}'")
        connection.execute(case.create)
        marks = ", ".join("?" for _ in case.columns)
        for row in case.rows:
            attempt(connection, f"INSERT INTO t VALUES ({marks})", tuple(row))


def change(path: Path, case: Case) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (table,) = read_tables(connection)
        address = quote_name(table.rowid) if table.rowid else None
        order = address or ", ".join(quote_name(name) for name in table.key) or "1"
        marks = ", ".join("?" for _ in case.columns)
        for number, column, value in case.cell_changes:
            name = quote_name(case.columns[column][0])
            if address:
                row = f"{address} = (SELECT {address} FROM t ORDER BY {order} LIMIT 1 OFFSET ?)"
                attempt(connection, f"UPDATE t SET {name} = ? WHERE {row}", (value, number))
            elif table.key:
                key = quote_name(table.key[0])
                row = f"{key} = (SELECT {key} FROM t ORDER BY {order} LIMIT 1 OFFSET ?)"
                attempt(connection, f"UPDATE t SET {name} = ? WHERE {row}", (value, number))
        for number in case.removed:
            if address:
                row = f"{address} = (SELECT {address} FROM t ORDER BY {order} LIMIT 1 OFFSET ?)"
                attempt(connection, f"DELETE FROM t WHERE {row}", (number,))
        for values in case.added:
            attempt(connection, f"INSERT INTO t VALUES ({marks})", tuple(values))
        if case.move_rowids and address and not table.stable_rowid:
            connection.execute(f"UPDATE t SET {address} = -{address}")  # as VACUUM may


Cell = tuple[str, bytes]
Row = tuple[Cell, ...]


def exact(value: object) -> Cell:
    """A value such that equal means: the same storage class, the same bits."""
    if isinstance(value, float):
        return "real", struct.pack("<d", value)
    return type(value).__name__, repr(value).encode()


def read(path: Path) -> tuple[Table, list[tuple[Hashable, Row]]]:
    with closing(sqlite3.connect(path)) as connection:
        (table,) = read_tables(connection)
        rowid = quote_name(table.rowid) if table.rowid else "NULL"
        names = ", ".join(quote_name(name) for name in table.column_names)
        rows = connection.execute(f"SELECT {rowid}, {names} FROM t").fetchall()
        return table, [(rowid, tuple(map(exact, row))) for rowid, *row in rows]


@dataclass(frozen=True)
class Expected:
    added: int
    removed: int
    changed: tuple[tuple[str, int], ...]
    rows_changed: int

    @classmethod
    def by(cls, old: dict[Hashable, Row], new: dict[Hashable, Row], table: Table) -> Expected:
        both = [(old[name], new[name]) for name in old if name in new]
        counts = [sum(a[i] != b[i] for a, b in both) for i in range(len(table.columns))]
        changed = tuple((n, c) for n, c in zip(table.column_names, counts, strict=True) if c)
        rows_changed = sum(a != b for a, b in both)
        return cls(len(new) - len(both), len(old) - len(both), changed, rows_changed)


def expect(before: Path, after: Path) -> Expected:
    table, old = read(before)
    _, new = read(after)
    nothing = exact(None)
    positions = [table.column_names.index(name) for name in table.key]

    def key(row: Row) -> Row:
        return tuple(row[i] for i in positions)

    by_rowid = Expected.by(dict(old), dict(new), table) if table.rowid else None
    if by_rowid and by_rowid == Expected(0, 0, (), 0):
        return by_rowid
    if positions and all(nothing not in key(row) for _, row in (*old, *new)):
        event("paired by key")
        keyed = {key(row): row for _, row in old}, {key(row): row for _, row in new}
        return Expected.by(*keyed, table)
    was, now = Counter(row for _, row in old), Counter(row for _, row in new)
    rows = Expected((now - was).total(), (was - now).total(), (), 0)
    if by_rowid and (rows.added, rows.removed) == (
        by_rowid.added + by_rowid.rows_changed,
        by_rowid.removed + by_rowid.rows_changed,
    ):
        event("paired by rowid")
        return by_rowid
    event("counted as rows")
    return rows


def summary(seen: TableDifference) -> Expected:
    return Expected(seen.added, seen.removed, seen.changed, seen.rows_changed)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_both_witnesses_report_exactly_the_planted_differences(case: Case) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before, after = folder / "before.db", folder / "after.db"
        build(before, case)
        shutil.copy(before, after)
        change(after, case)
        expected = expect(before, after)

        with closing(sqlite3.connect(after, isolation_level=None)) as connection:
            connection.execute("ATTACH ? AS before", (str(before),))
            (old,), (new,) = read_tables(connection, "before"), read_tables(connection)
            connection.execute("BEGIN IMMEDIATE")
            by_sqlite = compare_table(connection, old, new)
        snapshots = [capture(each, folder / each.stem) for each in (before, after)]
        (by_duckdb,) = diff_snapshots(*snapshots)
        assert summary(by_sqlite) == expected
        assert summary(by_duckdb) == expected
        assert by_sqlite.identical == (expected == Expected(0, 0, (), 0))

        digests = {
            digest_table(folder / each.stem / snapshot.tables[0].file, new.column_names)
            for each, snapshot in zip((before, after), snapshots, strict=True)
        }
        assert (len(digests) == 1) == by_sqlite.identical
