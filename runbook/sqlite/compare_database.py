"""Two databases compared strictly: every object's SQL text, every cell of every table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from runbook.sqlite.compare_objects import ObjectDifference, compare_objects
from runbook.sqlite.compare_table import Scope, compare_table
from runbook.sqlite.difference import TableDifference
from runbook.sqlite.quoting import fold_name
from runbook.sqlite.tables import Table, read_tables, stored_tables


@dataclass(frozen=True)
class DatabaseDifference:
    """How one database differs from another; `tables` are those that both have.

    `rowids_moved` names tables whose equal rows lie under other rowids, which is no difference by
    itself.
    """

    objects: tuple[ObjectDifference, ...]
    tables: tuple[TableDifference, ...]
    rowids_moved: tuple[str, ...]
    tables_compared: int
    rows_compared: int


def compare_databases(
    connection: sqlite3.Connection,
    before: str = "before",
    after: str = "main",
    *,
    samples: int = 10,
) -> DatabaseDifference:
    """Compares the schema `before` of a connection with its schema `after`."""
    compared = [
        compare_table(connection, old, new, Scope(samples=samples), (before, after))
        for old, new in table_pairs(connection, before, after)
        if old is not None and new is not None
    ]
    return DatabaseDifference(
        objects=compare_objects(connection, before, after),
        tables=tuple(each for each in compared if not each.identical),
        rowids_moved=tuple(each.table for each in compared if each.rowids_moved),
        tables_compared=len(compared),
        rows_compared=sum(each.rows_after for each in compared),
    )


def table_pairs(
    connection: sqlite3.Connection, before: str = "before", after: str = "main"
) -> Iterator[tuple[Table | None, Table | None]]:
    """Every stored table of one schema with that of the same name in the other, or None."""
    old, new = (
        {fold_name(t.name): t for t in stored_tables(read_tables(connection, schema))}
        for schema in (before, after)
    )
    for name in sorted(old.keys() | new.keys()):
        yield old.get(name), new.get(name)
