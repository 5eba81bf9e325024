"""The strict comparison inside SQLite, for use in an open transaction before its COMMIT.

Two cells are the same if they have the same storage class and the same bytes; a column's
collation and affinity play no part. Rows are paired

1. by rowid, if that finds no difference at all, or if it is an INTEGER PRIMARY KEY;
2. else by the declared key, if no NULL is in it (rowids move: VACUUM renumbers them);
3. else by rowid again, if no pairing could find fewer differing rows;
4. else not at all: the rows are counted as a multiset.

Each step scans the tables a constant number of times and keeps no rows in memory; only step 4
sorts, and only rows that differ under their rowid.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from runbook.sqlite.cells import cell_sql, provide_functions, row_cells, row_sql
from runbook.sqlite.difference import How, RowSample, TableDifference
from runbook.sqlite.fields import read_field, read_row
from runbook.sqlite.inequality import any_differs, any_of, differs
from runbook.sqlite.pairing import (
    Counts,
    Pairing,
    Sides,
    compared_columns,
    key_columns,
    lacks_collation,
    pair_by_key,
    pair_by_rowid,
)
from runbook.sqlite.quoting import quote_name
from runbook.sqlite.tables import Column, Table

_COLUMNS_AT_ONCE = 500  # SQLite refuses aggregates over more than 2,000 columns


@dataclass(frozen=True)
class Scope:
    """What of a table is compared, counted and shown.

    `columns` limits what is compared (default: all that both have); rows are paired by the whole
    key all the same. Changes in the columns of `counted` are expected: they are only counted, in
    the same scan, and are no difference. `faults` are SQL conditions that should be true of no row
    `b` of the table now, which an unchanged table shows in the same scan. At most `samples`
    examples are kept for added rows, for removed rows and for each changed column.
    """

    columns: Sequence[str] | None = None
    counted: Sequence[str] = ()
    faults: Sequence[str] = ()
    samples: int = 10


def compare_table(
    connection: sqlite3.Connection,
    table_before: Table,
    table_after: Table,
    scope: Scope = Scope(),
    schemas: tuple[str, str] = ("before", "main"),
) -> TableDifference:
    """Compare a table in one attached schema with its counterpart in another.

    Raises BadInput if a column is not in both tables.
    """
    provide_functions(connection)
    before, after = schemas
    sides = Sides(
        connection,
        table_before,
        table_after,
        f"{quote_name(before)}.{quote_name(table_before.name)}",
        f"{quote_name(after)}.{quote_name(table_after.name)}",
        compared_columns(table_before, table_after, scope.columns),
        compared_columns(table_before, table_after, scope.counted),
        tuple(scope.faults),
        scope.samples,
    )
    return _compare(sides)


def _compare(sides: Sides) -> TableDifference:
    rows_before, rows_after = sides.count(sides.source_before), sides.count(sides.source_after)
    by_rowid = pair_by_rowid(sides)
    counts: Counts | None = None
    moved = False
    if by_rowid:
        counts, moved = _count(sides, by_rowid, rows_before, rows_after)
        if counts.identical:
            return _result(sides, by_rowid.how, counts, (), ())
        if sides.table_before.stable_rowid and sides.table_after.stable_rowid:
            return _detail(sides, by_rowid, counts)
    by_key = pair_by_key(sides)
    if by_rowid and counts and by_key and not moved and not (counts.added and counts.removed):
        # Every pair has one key and at most one side has rows left: both pairings agree, and
        # the one by rowid is several times faster.
        return _detail(sides, by_rowid, counts)
    if by_key:
        try:
            key_counts, _ = _count(sides, by_key, rows_before, rows_after)
        except sqlite3.OperationalError as error:
            if not lacks_collation(error):
                raise
        else:
            return _detail(sides, by_key, key_counts, rowids_moved=by_rowid is not None)
    return _compare_rows(sides, by_rowid, counts, rows_before, rows_after)


def _count(
    sides: Sides, pairing: Pairing, rows_before: int, rows_after: int
) -> tuple[Counts, bool]:
    """Count pairs and differing pairs in one scan; also say whether any pair has two keys."""
    key_moved = f"count(CASE WHEN {any_differs(key_columns(sides))} THEN 1 END)"
    pairs = f"{sides.source_after} AS b CROSS JOIN {sides.source_before} AS a ON {pairing.on}"
    different_row = any_differs(sides.columns)
    each = [f"count(CASE WHEN {differs(*pair)} THEN 1 END)" for pair in sides.counted]
    small = len(sides.columns) <= _COLUMNS_AT_ONCE
    if small and pairing.how == "rowid":
        # The usual case takes two thirds of the time if only what is right is counted.
        wrong = any_of([different_row, *(f"({fault})" for fault in sides.faults)])
        matched, *counted = sides.row(
            f"SELECT {', '.join(['count(*)', *each])} FROM {pairs} WHERE ({wrong}) IS NOT TRUE"
        )
        if matched == rows_before == rows_after:
            faultless = bool(sides.faults)
            return Counts(rows_before, rows_after, matched, 0, tuple(counted), faultless), False
    if small:
        different_rows = f"count(CASE WHEN {different_row} THEN 1 END)"
        matched, different, *counted = sides.row(
            f"SELECT {', '.join(['count(*)', different_rows, *each])} FROM {pairs}"
        )
    else:  # too many columns for one aggregate, not for one condition
        (matched,) = sides.row(f"SELECT count(*) FROM {pairs}")
        (different,) = sides.row(f"SELECT count(*) FROM {pairs} WHERE {different_row}")
        counted = [
            sides.row(f"SELECT count(*) FROM {pairs} WHERE {differs(*pair)}")[0]
            for pair in sides.counted
        ]
    counts = Counts(rows_before, rows_after, matched, different, tuple(counted))
    if counts.identical or pairing.how == "key" or sides.table_before.stable_rowid:
        return counts, False
    (moved,) = sides.row(f"SELECT {key_moved} FROM {pairs}")
    return counts, bool(moved)


def _detail(
    sides: Sides, pairing: Pairing, counts: Counts, *, rowids_moved: bool = False
) -> TableDifference:
    """Name what differs: columns with their numbers of rows, and examples."""
    pairs = f"{sides.source_after} AS b CROSS JOIN {sides.source_before} AS a ON {pairing.on}"
    changed: list[tuple[Column, Column, int]] = []
    if counts.different:
        for some in _chunks(sides.columns, _COLUMNS_AT_ONCE):
            each = ", ".join(f"count(CASE WHEN {differs(*pair)} THEN 1 END)" for pair in some)
            rows = sides.row(f"SELECT {each} FROM {pairs}")
            changed += [(*pair, n) for pair, n in zip(some, rows, strict=True) if n]
    encoding = sides.encoding
    samples: list[RowSample] = []
    sources = {"removed": sides.source_before, "added": sides.source_after}
    for change, side, other, n in (
        ("removed", "a", "b", counts.removed),
        ("added", "b", "a", counts.added),
    ):
        if n:
            opposite = sources["added" if change == "removed" else "removed"]
            missing = f"NOT EXISTS (SELECT 1 FROM {opposite} AS {other} WHERE {pairing.on})"
            sql = f"FROM {sources[change]} AS {side} WHERE {missing} LIMIT {min(n, sides.samples)}"
            samples += _row_samples(sides, change, side, pairing.names, sql)
    for old, new, n in changed:
        cells = [f"b.{quote_name(name)}" for name in pairing.names]
        cells += [f"a.{quote_name(old.name)}", f"b.{quote_name(new.name)}"]
        sql = (
            f"SELECT {', '.join(map(cell_sql, cells))} FROM {pairs}"
            f" WHERE {differs(old, new)} LIMIT {min(n, sides.samples)}"
        )
        for *key, was, now in sides.connection.execute(sql):
            named = read_row(pairing.names, key, encoding)
            values = ((read_field(new.name, cell, encoding),) for cell in (was, now))
            samples.append(RowSample("changed", named, new.name, *values))
    named_counts = tuple((new.name, n) for _, new, n in changed)
    result = _result(sides, pairing.how, counts, named_counts, samples)
    return replace(result, rowids_moved=rowids_moved)


def _row_samples(
    sides: Sides, change: str, side: str, names: Sequence[str], rest: str
) -> Iterator[RowSample]:
    table = sides.table_before if change == "removed" else sides.table_after
    encoding = sides.encoding
    shown = [*names, *(column.name for column in table.columns[:_COLUMNS_AT_ONCE])]
    cells = ", ".join(cell_sql(f"{side}.{quote_name(name)}") for name in shown)
    for row in sides.connection.execute(f"SELECT {cells} {rest}"):
        key = read_row(names, row[: len(names)], encoding)
        whole = read_row(shown[len(names) :], row[len(names) :], encoding)
        if change == "removed":
            yield RowSample("removed", key, "", whole, None)
        else:
            yield RowSample("added", key, "", None, whole)


def _compare_rows(
    sides: Sides,
    by_rowid: Pairing | None,
    rowid_counts: Counts | None,
    rows_before: int,
    rows_after: int,
) -> TableDifference:
    """Compare without a key: as multisets, unless pairing by rowid says no more than that."""
    surplus = _surplus(sides, by_rowid)
    removed, added = sides.row(f"SELECT sum(max(-n, 0)), sum(max(n, 0)) FROM ({surplus})")
    if by_rowid and rowid_counts:
        fewest = (rowid_counts.removed, rowid_counts.added)
        if (removed, added) == tuple(n + rowid_counts.different for n in fewest):
            return _detail(sides, by_rowid, rowid_counts)
    encoding = sides.encoding
    names = [new.name for _, new in sides.columns]
    samples: list[RowSample] = []
    for change, sign, n in (("removed", "<", removed), ("added", ">", added)):
        if not n:
            continue
        sql = f"SELECT * FROM ({surplus}) WHERE n {sign} 0 LIMIT {min(n, sides.samples)}"
        for _, *cells in sides.connection.execute(sql):
            whole = read_row(names, row_cells(cells)[: len(names)], encoding)
            if change == "removed":
                samples.append(RowSample("removed", (), "", whole, None))
            else:
                samples.append(RowSample("added", (), "", None, whole))
    counts = Counts(rows_before, rows_after, rows_before - removed, 0)
    result = _result(sides, "rows", counts, (), samples)
    return replace(result, rowids_moved=by_rowid is not None)


def _surplus(sides: Sides, by_rowid: Pairing | None) -> str:
    """Return a query for (n, cells...): distinct rows of which one side has `n` more or fewer.

    Rows that are equal under their rowid cancel each other out, so they are left out at once.
    """

    def side(sign: str, source: str, alias: str, opposite: str, other: str) -> str:
        place = 0 if alias == "a" else 1
        cells = row_sql([f"{alias}.{quote_name(pair[place].name)}" for pair in sides.columns])
        named = ", ".join(f"{cell} AS c{i}" for i, cell in enumerate(cells or ["NULL"]))
        if by_rowid is None:
            return f"SELECT {sign}1 AS n, {named} FROM {source} AS {alias}"
        same = f"{by_rowid.on} AND ({any_differs(sides.columns)}) IS NOT TRUE"
        return (
            f"SELECT {sign}1 AS n, {named} FROM {source} AS {alias}"
            f" WHERE NOT EXISTS (SELECT 1 FROM {opposite} AS {other} WHERE {same})"
        )

    old = side("-", sides.source_before, "a", sides.source_after, "b")
    new = side("", sides.source_after, "b", sides.source_before, "a")
    values = len(row_sql([""] * len(sides.columns)))
    cells = ", ".join(f"c{i}" for i in range(max(1, values)))
    return (
        f"SELECT sum(n) AS n, {cells} FROM ({old} UNION ALL {new})"
        f" GROUP BY {cells} HAVING sum(n) <> 0"
    )


def _result(
    sides: Sides,
    how: How,
    counts: Counts,
    changed: tuple[tuple[str, int], ...],
    samples: Iterable[RowSample],
) -> TableDifference:
    return TableDifference(
        sides.table_after.name,
        counts.before,
        counts.after,
        counts.added,
        counts.removed,
        changed,
        counts.different,
        tuple(samples),
        how,
        False,
        tuple((new.name, n) for (_, new), n in zip(sides.counted, counts.counted, strict=False)),
        counts.faultless,
    )


def _chunks(
    items: Sequence[tuple[Column, Column]], size: int
) -> Iterator[Sequence[tuple[Column, Column]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
