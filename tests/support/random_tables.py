"""Random tables with odd names and values of every storage class, and random changes to them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hypothesis import event
from hypothesis import strategies as st

from runbook.sqlite.quoting import quote_name
from runbook.sqlite.tables import read_tables

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
