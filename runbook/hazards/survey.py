"""What the probes inspect: the schema read once, and an empty copy of it to try things on."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from runbook.hazards.clone import Entry, empty_clone
from runbook.plan.plan import Plan, Resource
from runbook.run.findings import Sample
from runbook.sqlite.fields import query_rows
from runbook.sqlite.quoting import fold_name, quote_name


@dataclass(frozen=True)
class Column:
    """One column of a table; `key` is its place in the primary key, 0 for none."""

    name: str
    declared: str
    not_null: bool
    key: int
    generated: bool


@dataclass(frozen=True)
class Table:
    """A table or view: `kind` is table, view, virtual or shadow."""

    name: str
    kind: str
    columns: tuple[Column, ...]
    without_rowid: bool
    strict: bool

    def column(self, name: str) -> Column | None:
        """The column of this name, however it is capitalised."""
        return next((c for c in self.columns if fold_name(c.name) == fold_name(name)), None)

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns of the declared primary key, in its order."""
        return tuple(sorted((c for c in self.columns if c.key), key=lambda c: c.key))


@dataclass(frozen=True)
class Survey:
    """A database, its plan, and what its schema holds; `samples` is the most to be shown."""

    connection: sqlite3.Connection
    plan: Plan
    samples: int
    entries: tuple[Entry, ...]
    tables: tuple[Table, ...]

    def table(self, name: str) -> Table | None:
        """The table or view of this name, however it is capitalised."""
        return next((t for t in self.tables if fold_name(t.name) == fold_name(name)), None)

    def has(self, table: str, *columns: str | None) -> bool:
        """Whether the table is a real one and has these columns (None counts as there)."""
        present = self.table(table)
        return (
            present is not None
            and present.kind == "table"
            and all(c is None or present.column(c) is not None for c in columns)
        )

    @property
    def has_users(self) -> bool:
        """Whether users can be inspected: table and key are there."""
        return self.has(self.plan.users.table, self.plan.users.key)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The plan's resources whose table and owner column are there."""
        return tuple(r for r in self.plan.resources if self.has(r.table, r.owner))

    @property
    def complete(self) -> bool:
        """Whether everything that the plan names is there."""
        users = self.plan.users
        return self.has(users.table, users.key, users.email) and all(
            self.has(r.table, r.owner, r.updated_at) for r in self.plan.resources
        )

    def rows(self, sql: str, *values: object, **named: object) -> list[tuple[object, ...]]:
        """All rows of a query, whose parameters are either all `?` or all named."""
        return self.connection.execute(sql, named or values).fetchall()

    def row(self, sql: str, *values: object) -> tuple[int, ...]:
        """The one row of an aggregate query, NULLs as 0."""
        return tuple(v or 0 for v in self.connection.execute(sql, values).fetchone())

    def show(self, sql: str, *values: object, keys: int = 1) -> tuple[Sample, ...]:
        """The first few rows; the first `keys` columns name each, the others describe it."""
        rows = query_rows(self.connection, sql, *values, limit=self.samples)
        return tuple(Sample(key=row[:keys], before=row[keys:] or None) for row in rows)

    @cached_property
    def clone(self) -> sqlite3.Connection:
        """An empty database in memory with the same schema, as far as SQLite can make it."""
        return empty_clone(self.entries)


def survey(connection: sqlite3.Connection, plan: Plan, samples: int = 10) -> Survey:
    """Reads the schema."""
    entries = tuple(
        Entry(*row)
        for row in connection.execute(
            "SELECT type, name, tbl_name, sql FROM main.sqlite_schema"
            " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
        )
    )
    tables = tuple(_tables(connection))
    return Survey(connection, plan, samples, entries, tables)


def _tables(connection: sqlite3.Connection) -> Iterator[Table]:
    listed = connection.execute(
        "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main'"
    ).fetchall()
    for name, kind, without_rowid, strict in listed:
        columns: tuple[Column, ...] = ()
        # A broken view has no columns to show; the probe for broken views reports it.
        with contextlib.suppress(sqlite3.Error):
            columns = tuple(
                Column(column, declared, bool(not_null), key, hidden in (2, 3))
                for column, declared, not_null, key, hidden in connection.execute(
                    'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?)', (name,)
                )
            )
        yield Table(name, kind, columns, bool(without_rowid), bool(strict))


def column_of(resource: Resource, column: str) -> str:
    """`table.column`, quoted where needed, as a subject for readers."""
    return f"{plain(resource.table)}.{plain(column)}"


def plain(name: str) -> str:
    """The name as a reader writes it: quoted only where it must be."""
    return name if name.isidentifier() and name.isascii() else quote_name(name)
