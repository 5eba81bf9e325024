"""How the rows of two tables are paired: by rowid, or by the declared key."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from runbook.errors import BadInput
from runbook.sqlite.difference import How
from runbook.sqlite.inequality import any_differs
from runbook.sqlite.quoting import quote_name
from runbook.sqlite.tables import Column, Table


@dataclass(frozen=True)
class Sides:
    """Both tables as the statements name them: `a` is the one before, `b` the one after."""

    connection: sqlite3.Connection
    table_before: Table
    table_after: Table
    source_before: str
    source_after: str
    columns: tuple[tuple[Column, Column], ...]
    counted: tuple[tuple[Column, Column], ...]
    faults: tuple[str, ...]
    samples: int

    def row(self, sql: str) -> tuple[int, ...]:
        """The one row of numbers that a query gives; NULL is 0."""
        return tuple(int(value or 0) for value in self.connection.execute(sql).fetchone())

    def count(self, source: str) -> int:
        """Number of rows, even where an index cannot be used."""
        try:
            return self.row(f"SELECT count(*) FROM {source}")[0]
        except sqlite3.OperationalError as error:
            if not lacks_collation(error):
                raise
            return self.row(f"SELECT count(*) FROM {source} NOT INDEXED")[0]

    @property
    def encoding(self) -> str:
        """The encoding of the database's text."""
        return str(self.connection.execute("PRAGMA encoding").fetchone()[0])


@dataclass(frozen=True)
class Pairing:
    """A condition under which row `a` and row `b` are the same row, and how to name the row."""

    how: How
    on: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """Rows of both sides, pairs, and pairs that differ; `counted` for each counted column."""

    before: int
    after: int
    matched: int
    different: int
    counted: tuple[int, ...] = ()
    faultless: bool = False

    @property
    def added(self) -> int:
        """Rows after that pair with none before."""
        return self.after - self.matched

    @property
    def removed(self) -> int:
        """Rows before that pair with none after."""
        return self.before - self.matched

    @property
    def identical(self) -> bool:
        """Whether every row pairs with one that is the same."""
        return self.before == self.after == self.matched and not self.different


def compared_columns(
    before: Table, after: Table, columns: Sequence[str] | None
) -> tuple[tuple[Column, Column], ...]:
    """Each compared column on both sides; all that both have where `columns` is None."""
    old = {column.name: column for column in before.columns}
    new = {column.name: column for column in after.columns}
    if columns is None:
        columns = [name for name in old if name in new]
    for name in columns:
        if name not in old or name not in new:
            raise BadInput(
                f"Column {name!r} is not in table {after.name!r} both before and after:"
                " compare only columns that both have."
            )
    return tuple((old[name], new[name]) for name in columns)


def lacks_collation(error: sqlite3.OperationalError) -> bool:
    """Whether an index cannot be used because its collation exists only in the application."""
    return "no such collation" in str(error)


def pair_by_rowid(sides: Sides) -> Pairing | None:
    """Pair by rowid; None where a side has none."""
    old, new = sides.table_before.rowid, sides.table_after.rowid
    if old is None or new is None:
        return None
    on = f"a.{quote_name(old)} = b.{quote_name(new)}"
    key = sides.table_before.key
    # A row is called by its declared key where it has one, which people know, not by rowid.
    names = key if key and key == sides.table_after.key else (old,)
    return Pairing("rowid", on, names)


def pair_by_key(sides: Sides) -> Pairing | None:
    """Pair by declared key; None if there is none, it changed, or a row has a NULL in it.

    None also if the key cannot be searched.
    """
    key = sides.table_before.key
    if not key or key != sides.table_after.key:
        return None
    for table, source in (
        (sides.table_before, sides.source_before),
        (sides.table_after, sides.source_after),
    ):
        not_null = {column.name for column in table.columns if column.not_null}
        nullable = [name for name in key if name not in not_null and name != table.rowid]
        empty = " OR ".join(f"{quote_name(name)} IS NULL" for name in nullable)
        any_null = f"SELECT 1 FROM {source} WHERE {empty} LIMIT 1"
        try:
            if nullable and sides.connection.execute(any_null).fetchone():
                return None
        except sqlite3.OperationalError as error:
            if not lacks_collation(error):
                raise
            return None
    # The first comparison is the column's own and finds the row through the index of the key;
    # it may be loose (NOCASE, 1 = 1.0). The second is strict.
    found_by = [f"a.{quote_name(name)} = b.{quote_name(name)}" for name in key]
    on = f"{' AND '.join(found_by)} AND ({any_differs(key_columns(sides))}) IS NOT TRUE"
    return Pairing("key", on, key)


def key_columns(sides: Sides) -> tuple[tuple[Column, Column], ...]:
    """The columns of the declared key on both sides; none where the keys are not the same."""
    key = sides.table_before.key if sides.table_before.key == sides.table_after.key else ()
    old = {column.name: column for column in sides.table_before.columns}
    new = {column.name: column for column in sides.table_after.columns}
    return tuple((old[name], new[name]) for name in key)
