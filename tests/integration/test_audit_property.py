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

from runbook.audit.digest import digest_table
from runbook.audit.snapshot import capture
from runbook.audit.witness_duckdb import diff_snapshots
from runbook.sqlite.compare_table import compare_table
from runbook.sqlite.difference import TableDifference
from runbook.sqlite.quoting import quote_name
from runbook.sqlite.tables import Table, read_tables
from tests.support.luck import examples
from tests.support.random_tables import Case, build, cases, change

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


@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
