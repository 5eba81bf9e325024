"""The schema of a D1 database, read through SQL alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runbook.errors import TargetError
from runbook.sqlite.quoting import quote_name, quote_value
from runbook.targets.d1.cells import Cell, RawText, decode_line, joined, line_sql
from runbook.templates import sql_file

Read = Callable[[Sequence[str]], list[list[dict[str, Any]]]]
"""Runs statements and returns the rows of each (`Wrangler.read`)."""

INTERNAL = "_cf_"
"""How the names of Cloudflare's own tables begin; they cannot be read, and are left out."""

COUNTERS = "sqlite_sequence"
"""SQLite's table of the greatest AUTOINCREMENT keys."""

# SQLite's own tables with rows about other tables, and the column that names those.
_ABOUT = {COUNTERS: "name", "sqlite_stat1": "tbl", "sqlite_stat4": "tbl"}

_ROWID_NAMES = ("rowid", "_rowid_", "oid")


@dataclass(frozen=True)
class Entry:
    """A row of sqlite_schema, without its page number; automatic indexes have no `sql`."""

    type: str
    name: str
    table: str
    sql: str | None


@dataclass(frozen=True)
class KeyColumn:
    """A column of a WITHOUT ROWID table's primary key, and how it is sorted."""

    name: str
    collation: str


@dataclass(frozen=True)
class StoredTable:
    """A table that holds rows of its own.

    `columns` are those that can be written (no generated ones). A rowid table has a `rowid`, a
    name under which it is read; any other table has a `key`. `only` is a condition, where not all
    rows are meant.
    """

    name: str
    columns: tuple[str, ...]
    rowid: str | None
    key: tuple[KeyColumn, ...]
    only: str = ""

    @property
    def sql(self) -> str:
        """The quoted name."""
        return quote_name(self.name)


@dataclass(frozen=True)
class Schema:
    """All objects in the order of their creation, and the tables that hold rows.

    Cloudflare's own tables are left out, and so is the one in which wrangler notes the migrations
    that it has applied: it is not the application's.
    """

    entries: tuple[Entry, ...]
    tables: tuple[StoredTable, ...]
    virtual: tuple[str, ...]


def schema_sql() -> tuple[str, ...]:
    """The statements whose results `schema_of` takes."""
    return sql_file("d1/schema").statements(
        internal=INTERNAL, line=lambda *expressions: line_sql(expressions)
    )


def schema_of(results: Sequence[Sequence[dict[str, Any]]], leave_out: str = "") -> Schema:
    """The schema without the table `leave_out`, from the results of `schema_sql`.

    Raises:
        TargetError: a table's rowids cannot be read, because columns hide every name of theirs.
    """
    entries, listed, columns, keys, indexes = ([_texts(r) for r in rows] for rows in results)
    without_rowid = {name for name, _, wr in listed if wr == 1}
    own_index = {name for name, origin in indexes if origin == "pk"}
    tables = []
    for name, kind, _ in sorted(listed, key=lambda row: str(row[0])):
        if kind not in ("table", "shadow") or name in ("sqlite_schema", leave_out):
            continue
        of_table = [row[1:] for row in columns if row[0] == name]
        tables.append(
            StoredTable(
                name=name,
                columns=tuple(column for column, _, _, hidden in of_table if hidden == 0),
                rowid=None if name in without_rowid else _rowid(name, of_table, name in own_index),
                key=tuple(KeyColumn(c, coll) for t, c, coll in keys if t == name),
                only=_only(_ABOUT[name], leave_out) if name in _ABOUT else "",
            )
        )
    return Schema(
        entries=tuple(entry for row in entries if (entry := Entry(*row)).table != leave_out),
        tables=tuple(tables),
        virtual=tuple(name for name, kind, _ in listed if kind == "virtual"),
    )


def read_schema(read: Read, leave_out: str = "") -> Schema:
    """The schema of the database behind `read`, without the table `leave_out`."""
    return schema_of(read(schema_sql()), leave_out)


def _only(column: str, leave_out: str) -> str:
    """The condition for rows about tables that are copied."""
    return f"{column}<>{quote_value(leave_out)} AND substr({column},1,4)<>'{INTERNAL}'"


def _rowid(table: str, columns: Iterable[Sequence[Any]], own_index: bool) -> str:
    """The INTEGER PRIMARY KEY, or else a name of the rowid that no column hides."""
    rows = list(columns)
    primary = [name for name, _, pk, _ in rows if pk]
    if len(primary) == 1 and not own_index:
        return str(primary[0])
    taken = {str(name).lower() for name, _, _, _ in rows}
    for name in _ROWID_NAMES:
        if name not in taken:
            return name
    raise TargetError(
        f"The rowids of the D1 table {table!r} cannot be read, because its columns are named "
        f"{', '.join(_ROWID_NAMES)}; rename one of them."
    )


def _texts(row: dict[str, Any]) -> list[Any]:
    return [_text(cell) for cell in decode_line(row["line"])]


def _text(cell: Cell) -> Any:
    if isinstance(cell, RawText):
        raise TargetError(
            f"A name in the D1 schema is not valid UTF-8 ({cell.bytes!r}); rename it."
        )
    return cell


def sums_sql(table: StoredTable) -> str:
    """SQL for a table's sums, the same in D1 and in SQLite: its rows, and one for each column.

    They tell a lost, doubled, added or cut row or cell, a changed type and most changed numbers; a
    text that changes into another of the same length they do not tell.
    """
    parts = ["count(*)", *(_sum_sql(quote_name(column)) for column in table.columns)]
    # Whole numbers far below 2^53, so the order of summing does not matter.
    texts = [f"CAST({part} AS INTEGER)" for part in parts]
    where = f" WHERE {table.only}" if table.only else ""
    return f"SELECT {joined(texts, chr(39) + ' ' + chr(39))} AS sums FROM {table.sql}{where}"


def _sum_sql(column: str) -> str:
    return (
        f"total(CASE typeof({column}) WHEN 'text' THEN 1+8*length(CAST({column} AS BLOB))"
        f" WHEN 'blob' THEN 2+8*length({column})"
        f" WHEN 'integer' THEN 3+8*(({column}&1048575)+({column}>>44))"
        f" WHEN 'real' THEN 4+8*(CAST({column} AS INTEGER)&1048575) ELSE 5 END)"
    )
