"""The second witness: DuckDB compares two snapshots, with no SQL in common with SQLite's.

It reads nothing but the Parquet files, whose cells are equal bytes if and only if they are the
same value of the same storage class. Rows are paired by the rules that `strict` states, so that
the results can be put side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from runbook.audit.cells_file import same_columns
from runbook.audit.duckdb_session import open_duckdb, read_parquet
from runbook.audit.parquet import SnapshotTable
from runbook.audit.snapshot import Capture
from runbook.errors import BadInput
from runbook.progress import Progress, no_progress
from runbook.sqlite.difference import How, RowSample, TableDifference
from runbook.sqlite.fields import Field, Row, read_field, read_row

_PACKED_FROM = 100
"""From so many columns on, whole rows are one value: DuckDB reserves memory for each column."""

_NULL = {"UTF-8": b"n", "UTF-16le": b"n\0", "UTF-16be": b"\0n"}


# Many parameters because who watches is no part of what is asked.
def diff_snapshots(
    before: Capture,
    after: Capture,
    *,
    columns: Mapping[str, Sequence[str]] | None = None,
    expected: Mapping[str, Sequence[str]] | None = None,
    samples: int = 10,
    progress: Progress = no_progress,
) -> tuple[TableDifference, ...]:
    """Compare every table of two snapshots, sorted by name.

    `columns` limits what is compared in the tables it names (default: all that both have). Of
    changes in the columns of `expected` no examples are looked for. A table on one side only counts
    as all its rows added or removed; one whose file is the same to the byte is not read. Raises
    TargetError if the two databases do not store text alike, BadInput if a column is not in both
    tables.
    """
    before.check_encoding(after)
    old = {table.name: table for table in before.tables}
    new = {table.name: table for table in after.tables}
    differences: list[TableDifference] = []
    done, total = 0, sum(table.rows for table in after.tables)
    with open_duckdb(after.folder) as connection:
        for name in sorted(old.keys() | new.keys()):
            progress("Witness DuckDB", done, total, "rows")
            done += new[name].rows if name in new else 0
            if name not in old or name not in new:
                differences.append(_on_one_side(old.get(name), new.get(name)))
                continue
            compared = _common(old[name], new[name], (columns or {}).get(name))
            if old[name].same_as(new[name]):
                differences.append(_same(new[name]))
            else:
                files = before.path(old[name]), after.path(new[name])
                sides = _Sides(
                    connection,
                    old[name],
                    new[name],
                    *files,
                    compared,
                    before.encoding,
                    samples,
                    tuple((expected or {}).get(name, ())),
                    frozenset(same_columns(*files)),
                )
                differences.append(sides.compare())
    return tuple(differences)


def _on_one_side(old: SnapshotTable | None, new: SnapshotTable | None) -> TableDifference:
    """A table that came or went, with all its rows."""
    table = old or new
    assert table is not None
    before, after = old.rows if old else 0, new.rows if new else 0
    return TableDifference(table.name, before, after, after, before, (), 0, (), "rows")


def _same(table: SnapshotTable) -> TableDifference:
    """A table of which no row differs."""
    how: How = "rowid" if table.rowid else "key" if table.key else "rows"
    return TableDifference(table.name, table.rows, table.rows, 0, 0, (), 0, (), how)


def _common(
    old: SnapshotTable, new: SnapshotTable, wanted: Sequence[str] | None
) -> tuple[str, ...]:
    both = [name for name in old.columns if name in new.columns]
    for name in wanted or ():
        if name not in both:
            raise BadInput(
                f"Column {name!r} is not in table {new.name!r} both before and after:"
                " compare only columns that both have."
            )
    return tuple(both if wanted is None else wanted)


@dataclass(frozen=True)
class _Pairing:
    """How rows are paired: the join's condition, and what to order and name rows by."""

    how: How
    on: str
    present: str  # a column that is never NULL in a row that exists
    names: tuple[str, ...]
    label: tuple[str, ...]  # the columns that name the row, without the side


@dataclass(frozen=True)
class _Counts:
    before: int
    after: int
    matched: int
    different: int
    key_moved: int
    by_column: tuple[int, ...]

    @property
    def added(self) -> int:
        return self.after - self.matched

    @property
    def removed(self) -> int:
        return self.before - self.matched

    @property
    def identical(self) -> bool:
        return self.before == self.after == self.matched and not self.different


@dataclass(frozen=True)
class _Sides:
    connection: duckdb.DuckDBPyConnection
    old: SnapshotTable
    new: SnapshotTable
    old_file: Path
    new_file: Path
    columns: tuple[str, ...]
    encoding: str
    samples: int
    expected: tuple[str, ...] = ()
    same: frozenset[str] = frozenset()
    """Columns of the same bytes in both files: two rows in one place have the same cell there."""

    def compare(self) -> TableDifference:
        by_rowid = self._pair_by_rowid()
        counts: _Counts | None = None
        if by_rowid:
            counts = self._count(by_rowid)
            if counts.identical:
                return self._detail(by_rowid, counts)
        by_key = self._pair_by_key()
        if by_rowid and counts:
            leftovers = counts.added and counts.removed
            if by_key and not counts.key_moved and not leftovers:
                return self._detail(by_rowid, counts)
        if by_key:
            return self._detail(by_key, self._count(by_key), rowids_moved=by_rowid is not None)
        return self._compare_rows(by_rowid, counts)

    # Columns are addressed by position: some names (the empty one) are none in DuckDB.
    def _source(self, side: str) -> str:
        table, file = (self.old, self.old_file) if side == "a" else (self.new, self.new_file)
        names = [f"c{i}" for i in range(len(table.columns))]
        aliases = ", ".join(["r", *names] if table.rowid else names)
        return f"{read_parquet(file)} AS {side}({aliases})"

    def _cell(self, side: str, name: str) -> str:
        table = self.old if side == "a" else self.new
        return f"{side}.c{table.columns.index(name)}"

    @property
    def _key(self) -> tuple[str, ...]:
        return self.old.key if self.old.key == self.new.key else ()

    def _pair_by_rowid(self) -> _Pairing | None:
        if not (self.old.rowid and self.new.rowid):
            return None
        return _Pairing("rowid", "a.r = b.r", "r", self._key or ("rowid",), self._key)

    def _pair_by_key(self) -> _Pairing | None:
        if not self._key:
            return None
        null = f"unhex('{_NULL[self.encoding].hex()}')"
        for side in "ab":
            empty = " OR ".join(f"{self._cell(side, name)} = {null}" for name in self._key)
            sql = f"SELECT 1 FROM {self._source(side)} WHERE {empty} LIMIT 1"
            if self.connection.execute(sql).fetchone():
                return None
        on = " AND ".join(f"{self._cell('a', n)} = {self._cell('b', n)}" for n in self._key)
        present = f"c{self.old.columns.index(self._key[0])}"
        return _Pairing("key", on, present, self._key, self._key)

    def _present(self, pairing: _Pairing, side: str) -> str:
        return f"{side}.r" if pairing.how == "rowid" else self._cell(side, self._key[0])

    def _differs(self, names: Sequence[str]) -> str:
        return " OR ".join(f"{self._cell('a', n)} <> {self._cell('b', n)}" for n in names)

    def _count(self, pairing: _Pairing) -> _Counts:
        """Count everything in one full outer join; a comparison with a missing row is NULL.

        Files are in the order of rowids. So where they have as many rows, these are first put side
        by side in that order, which needs no memory; if every pair has one rowid, which no two rows
        of a table share, they are the pairs of the join. Columns without changes are counted one by
        one only if there is a change in any of them.
        """
        old, new = self._present(pairing, "a"), self._present(pairing, "b")
        still = [name for name in self.columns if name not in self.expected]
        moving = [name for name in self.columns if name in self.expected]

        def ask(join: str, conditions: Sequence[str]) -> tuple[int, ...]:
            counted = [
                f"count({old})",
                f"count({new})",
                f"count(*) FILTER ({old} IS NOT NULL AND {new} IS NOT NULL)",
                *(f"count(*) FILTER ({condition or 'false'})" for condition in conditions),
            ]
            row = self.connection.execute(
                f"SELECT {', '.join(counted)} FROM {self._source('a')} {join}"
            ).fetchone()
            assert row is not None  # an aggregate has one row
            return row

        groups = [still, moving, self._key, *([name] for name in moving)]
        for join, is_no_pair in self._joins(pairing):
            known = self.same if is_no_pair else frozenset()  # else rows come from other places
            each = [[name for name in group if name not in known] for group in groups]
            row = ask(join, [is_no_pair, *map(self._differs, each)])
            n_before, n_after, matched, apart, different_still, different, key_moved = row[:7]
            if not apart:
                break
        by_moving = row[7:]
        by_column = dict(zip(moving, by_moving, strict=True))
        if different_still:
            conditions = [self._differs(self.columns), *(self._differs([n]) for n in still)]
            _, _, _, different, *by_still = ask(join, conditions)
            by_column |= dict(zip(still, by_still, strict=True))
        columns = tuple(by_column.get(name, 0) for name in self.columns)
        return _Counts(n_before, n_after, matched, different, key_moved, columns)

    def _joins(self, pairing: _Pairing) -> Iterator[tuple[str, str]]:
        """How sides are joined, and what is true of two rows that are no pair; the last does."""
        other = self._source("b")
        if pairing.how == "rowid" and self.old.rows == self.new.rows:
            yield f"POSITIONAL JOIN {other}", "a.r IS DISTINCT FROM b.r"
        yield f"FULL OUTER JOIN {other} ON {pairing.on}", ""

    def _detail(
        self, pairing: _Pairing, counts: _Counts, *, rowids_moved: bool = False
    ) -> TableDifference:
        changed = tuple(
            (n, rows) for n, rows in zip(self.columns, counts.by_column, strict=True) if rows
        )
        samples: list[RowSample] = []
        if counts.removed:
            samples += self._missing(pairing, "a", "b")
        if counts.added:
            samples += self._missing(pairing, "b", "a")
        for name, _ in changed:
            if name not in self.expected:
                samples += self._changed(pairing, name)
        return TableDifference(
            table=self.new.name,
            rows_before=self.old.rows,
            rows_after=self.new.rows,
            added=counts.added,
            removed=counts.removed,
            changed=changed,
            rows_changed=counts.different,
            samples=tuple(samples),
            how=pairing.how,
            rowids_moved=rowids_moved,
        )

    def _changed(self, pairing: _Pairing, name: str) -> Iterator[RowSample]:
        key = [self._cell("b", n) for n in pairing.label] or ["b.r"]
        order = "b.r" if pairing.how == "rowid" else ", ".join(key)
        cells = [*key, self._cell("a", name), self._cell("b", name)]
        rows = self.connection.execute(
            f"SELECT {', '.join(cells)} FROM {self._source('a')} JOIN {self._source('b')}"
            f" ON {pairing.on} WHERE {self._differs([name])} ORDER BY {order}"
            f" LIMIT {self.samples}"
        ).fetchall()
        for *label, was, now in rows:
            values = ((read_field(name, cell, self.encoding),) for cell in (was, now))
            yield RowSample("changed", self._name(pairing, label), name, *values)

    def _missing(self, pairing: _Pairing, side: str, other: str) -> Iterator[RowSample]:
        """Yield examples of rows of one side that have no partner on the other."""
        table = self.old if side == "a" else self.new
        key = [self._cell(side, n) for n in pairing.label] or [f"{side}.r"]
        order = f"{side}.r" if pairing.how == "rowid" else ", ".join(key)
        cells = [*key, *(self._cell(side, n) for n in table.columns)]
        rows = self.connection.execute(
            f"SELECT {', '.join(cells)} FROM {self._source(side)} ANTI JOIN {self._source(other)}"
            f" ON {pairing.on} ORDER BY {order} LIMIT {self.samples}"
        ).fetchall()
        for row in rows:
            label = self._name(pairing, row[: len(key)])
            whole = read_row(table.columns, row[len(key) :], self.encoding)
            if side == "a":
                yield RowSample("removed", label, "", whole, None)
            else:
                yield RowSample("added", label, "", None, whole)

    def _name(self, pairing: _Pairing, label: Sequence[bytes]) -> Row:
        if pairing.label:
            return read_row(pairing.label, label, self.encoding)
        return (Field("rowid", "integer", repr(label[0])),)

    def _compare_rows(self, by_rowid: _Pairing | None, counts: _Counts | None) -> TableDifference:
        """Count what either side has more of, with EXCEPT ALL.

        Rows that are equal under their rowid cancel each other out, so they are left out.
        """
        same = " AND ".join(
            ["a.r = b.r", *(f"{self._cell('a', n)} = {self._cell('b', n)}" for n in self.columns)]
        )
        for side, other, rest in (("a", "b", "old_rest"), ("b", "a", "new_rest")):
            cells = self._cells(side) or ["0"]
            anti = f" ANTI JOIN {self._source(other)} ON {same}" if by_rowid else ""
            self.connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {rest} AS"
                f" SELECT {', '.join(f'{c} AS c{i}' for i, c in enumerate(cells))}"
                f" FROM {self._source(side)}{anti}"
            )
        removed, old_rows = self._surplus("old_rest", "new_rest")
        added, new_rows = self._surplus("new_rest", "old_rest")
        if (
            by_rowid
            and counts
            and (removed, added)
            == (
                counts.removed + counts.different,
                counts.added + counts.different,
            )
        ):
            return self._detail(by_rowid, counts)
        names = self.columns
        samples = [
            RowSample("removed", (), "", read_row(names, row, self.encoding), None)
            for row in old_rows
        ]
        samples += [
            RowSample("added", (), "", None, read_row(names, row, self.encoding))
            for row in new_rows
        ]
        return TableDifference(
            table=self.new.name,
            rows_before=self.old.rows,
            rows_after=self.new.rows,
            added=added,
            removed=removed,
            changed=(),
            rows_changed=0,
            samples=tuple(samples),
            how="rows",
            rowids_moved=by_rowid is not None,
        )

    def _cells(self, side: str) -> list[str]:
        """The cells of a row; one list of all of them where they are many."""
        cells = [self._cell(side, n) for n in self.columns]
        return [f"[{', '.join(cells)}]"] if len(cells) >= _PACKED_FROM else cells

    def _surplus(self, source: str, other: str) -> tuple[int, list[tuple[bytes, ...]]]:
        surplus = f"(SELECT * FROM {source} EXCEPT ALL SELECT * FROM {other})"
        count = self.connection.execute(f"SELECT count(*) FROM {surplus}").fetchone()
        sql = f"SELECT * FROM {surplus} ORDER BY ALL LIMIT {self.samples}"
        rows = self.connection.execute(sql).fetchall() if count and self.columns else []
        if len(self.columns) >= _PACKED_FROM:
            rows = [tuple(row) for (row,) in rows]
        return (count[0] if count else 0), rows
