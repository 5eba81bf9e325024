"""What a database holds: its tables with their columns and keys, and its schema objects."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from runbook.cache import Cache
from runbook.sqlite.quoting import quote_name

TableKind = Literal["table", "shadow", "virtual", "view"]
Generated = Literal["no", "virtual", "stored"]

# The hidden field of table_xinfo: 1 marks a hidden column of a virtual table.
_GENERATED: dict[int, Generated] = {0: "no", 1: "no", 2: "virtual", 3: "stored"}
_ROWID_NAMES = ("rowid", "_rowid_", "oid")
# The schema tables themselves: compared as objects, since their rows hold page numbers.
_SCHEMA_TABLES = {"sqlite_schema", "sqlite_temp_schema", "sqlite_master", "sqlite_temp_master"}


def affinity_of(declared: str) -> str:
    """The affinity of a declared type by SQLite's rules; INTEGER counts as NUMERIC."""
    upper = declared.upper()
    if "INT" in upper:
        return "NUMERIC"
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if not upper or "BLOB" in upper or upper == "ANY":
        return "BLOB"
    return "REAL" if any(word in upper for word in ("REAL", "FLOA", "DOUB")) else "NUMERIC"


@dataclass(frozen=True)
class Column:
    """One column; `primary_key_position` counts from 1, and is 0 outside the primary key."""

    name: str
    type: str
    generated: Generated
    not_null: bool
    primary_key_position: int

    @property
    def affinity(self) -> str:
        """The affinity of the declared type."""
        return affinity_of(self.type)


@dataclass(frozen=True)
class Table:
    """One table.

    `rowid` is a name under which the rowid can be read, None if there is no rowid or if columns
    of the same names hide it. `key` is the declared key: the columns of the primary key, else
    those of the first UNIQUE constraint or index that covers every row; () if there is neither.
    A declared key may still hold NULLs. Views and virtual tables are listed without columns.
    """

    name: str
    kind: TableKind
    columns: tuple[Column, ...]
    without_rowid: bool
    strict: bool
    rowid: str | None
    key: tuple[str, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in the order of their declaration."""
        return tuple(column.name for column in self.columns)

    @property
    def stable_rowid(self) -> bool:
        """Whether the rowid is an INTEGER PRIMARY KEY, which VACUUM does not renumber."""
        return self.rowid is not None and self.key == (self.rowid,)


_known: Cache[tuple[Table, ...]] = Cache(32)


@dataclass(frozen=True)
class SchemaObject:
    """A row of sqlite_schema without its page number; automatic indexes have no `sql`."""

    type: str
    name: str
    tbl_name: str
    sql: str | None


def read_tables(connection: sqlite3.Connection, schema: str = "main") -> tuple[Table, ...]:
    """Return every table of `schema`, sorted by name, SQLite's own ones included.

    Never reads a view or a virtual table, so a broken view or a missing module does no harm.
    Nothing but the texts of the schema decides it, so the same texts are taken apart once.
    """
    while True:
        texts = _texts(connection, schema)
        make = functools.partial(_read_tables, connection, schema, texts)
        with contextlib.suppress(_Moved):
            return _known.get(texts, make)


class _Moved(Exception):
    """Another connection changed the schema while it was read."""


def _texts(connection: sqlite3.Connection, schema: str) -> tuple[tuple[str, ...], ...]:
    query = f"SELECT type, name, tbl_name, sql FROM {quote_name(schema)}.sqlite_schema"
    return tuple(connection.execute(query).fetchall())


def _read_tables(
    connection: sqlite3.Connection, schema: str, texts: tuple[tuple[str, ...], ...]
) -> tuple[Table, ...]:
    """The tables of the schema of these texts."""
    listed = connection.execute(
        "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = ? ORDER BY name",
        (schema,),
    ).fetchall()
    tables = tuple(
        _read_table(
            connection, schema, Table(name, kind, (), bool(without_rowid), bool(strict), None, ())
        )
        for name, kind, without_rowid, strict in listed
        if name not in _SCHEMA_TABLES
    )
    if _texts(connection, schema) != texts:
        raise _Moved
    return tables


def stored_tables(tables: Iterable[Table]) -> tuple[Table, ...]:
    """Return those that hold rows of their own: ordinary tables and shadow tables."""
    return tuple(table for table in tables if table.kind in ("table", "shadow"))


def count_rows(connection: sqlite3.Connection, table: str, schema: str = "main") -> int:
    """Number of rows of a table."""
    query = f"SELECT count(*) FROM {quote_name(schema)}.{quote_name(table)}"
    return int(connection.execute(query).fetchone()[0])


def read_objects(connection: sqlite3.Connection, schema: str = "main") -> tuple[SchemaObject, ...]:
    """Return every row of the schema table, sorted by type and name."""
    rows = connection.execute(
        f"SELECT type, name, tbl_name, sql FROM {quote_name(schema)}.sqlite_schema"
        " ORDER BY type, name, tbl_name"
    )
    return tuple(SchemaObject(*row) for row in rows)


def _read_table(connection: sqlite3.Connection, schema: str, listed: Table) -> Table:
    """The table with its columns and key; those of a view or virtual table are never read."""
    if listed.kind in ("view", "virtual"):
        return listed
    name, without_rowid = listed.name, listed.without_rowid
    columns = tuple(
        Column(column, type_, _GENERATED[hidden], bool(not_null), position)
        for column, type_, not_null, position, hidden in connection.execute(
            'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?, ?) ORDER BY cid',
            (name, schema),
        )
    )
    indexes = connection.execute(
        'SELECT name, origin, "unique", partial FROM pragma_index_list(?, ?) ORDER BY seq DESC',
        (name, schema),
    ).fetchall()
    primary = tuple(
        column.name
        for column in sorted(columns, key=lambda column: column.primary_key_position)
        if column.primary_key_position
    )
    # An INTEGER PRIMARY KEY is the rowid itself: the only primary key without an index.
    own_index = any(origin == "pk" for _, origin, _, _ in indexes)
    is_rowid = len(primary) == 1 and not without_rowid and not own_index
    rowid = primary[0] if is_rowid else None if without_rowid else _free_rowid_name(columns)
    key = primary
    if not key:
        unique = [index for index, _, is_unique, partial in indexes if is_unique and not partial]
        key = _first_plain_key(connection, schema, unique, columns)
    return replace(listed, columns=columns, rowid=rowid, key=key)


def _free_rowid_name(columns: Iterable[Column]) -> str | None:
    taken = {column.name.lower() for column in columns}
    return next((name for name in _ROWID_NAMES if name not in taken), None)


def _first_plain_key(
    connection: sqlite3.Connection, schema: str, indexes: list[str], columns: Iterable[Column]
) -> tuple[str, ...]:
    """Columns of the first unique index without expressions; one free of NULLs goes first."""
    not_null = {column.name for column in columns if column.not_null}
    keys: list[tuple[str, ...]] = []
    for index in indexes:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM pragma_index_info(?, ?) ORDER BY seqno", (index, schema)
            )
        ]
        if all(name is not None for name in names):
            keys.append(tuple(names))
    return next((key for key in keys if not_null.issuperset(key)), keys[0] if keys else ())
