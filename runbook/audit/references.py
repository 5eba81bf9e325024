"""References that lead to nothing now and did not before: SQLite's own check of foreign keys.

Where the proof has found every row outside the footprint to be what it was, and every invariant to
hold, a reference that was there before can only have broken if one of its columns, here or in the
table that it refers to, is inside the footprint. The others are not followed again.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.run.findings import Finding
from runbook.script.footprint import is_new_table, outside_columns
from runbook.sqlite.quoting import fold_name, quote_value
from runbook.sqlite.tables import Table, read_tables, stored_tables
from runbook.templates import sql_file
from runbook.wording import counted


@dataclass(frozen=True)
class _Reference:
    """A foreign key: its columns, and the table and columns that they refer to.

    `to` is empty where it names no columns, and so means the key.
    """

    columns: tuple[str, ...]
    parent: str
    to: tuple[str, ...]


def broken_references(
    connection: sqlite3.Connection, plan: Plan, shape: Shape, *, proven: bool
) -> tuple[Finding, ...]:
    """The references of `main` that lead to nothing, beyond those that did in `before`.

    `proven` says that nothing outside the footprint differs and that every invariant holds.
    """
    tables = stored_tables(read_tables(connection))
    keys = {fold_name(t.name): t.key for t in tables}
    names = [t.name for t in tables if not proven or _may_break(connection, plan, shape, t, keys)]
    try:
        now = _leading_nowhere(connection, "main", names)
    except sqlite3.OperationalError as error:
        if "foreign key mismatch" not in str(error):
            raise
        message = f"the foreign keys cannot be checked ({error}), and could be before"
        return (Finding("sqlite", "", "", "broken reference", 1, message),)
    present = {t.name for t in read_tables(connection, "before")}
    old = [name for name in names if name in present]
    was = _leading_nowhere(connection, "before", old) if now else Counter()
    return tuple(
        Finding(
            "sqlite",
            table,
            "",
            "broken reference",
            more,
            f'"{table}" has {counted(more, "row")} whose reference to "{parent}" is broken; see '
            "PRAGMA foreign_key_check",
        )
        for (table, parent), rows in now.items()
        if (more := rows - was[table, parent]) > 0
    )


def _may_break(
    connection: sqlite3.Connection,
    plan: Plan,
    shape: Shape,
    table: Table,
    keys: Mapping[str, tuple[str, ...]],
) -> bool:
    """Whether a reference of this table can lead to nothing although all else is proven.

    That a resource's organization exists is an invariant, and so are the three references of the
    new tables that lead anywhere: `invited_by` is NULL in every row, by its rule.
    """
    if is_new_table(table.name):
        return False
    assigned = any(fold_name(r.table) == fold_name(table.name) for r in plan.resources)
    for reference in _references(connection, table.name):
        if assigned and _is_new_column(reference):
            continue
        inside = _inside(plan, shape, table.name, reference.columns)
        if inside or is_new_table(reference.parent):
            return True
        to = reference.to or keys.get(fold_name(reference.parent), ())
        if _inside(plan, shape, reference.parent, to):
            return True
    return False


def _is_new_column(reference: _Reference) -> bool:
    columns, to = ([fold_name(c) for c in names] for names in (reference.columns, reference.to))
    into = (fold_name(reference.parent), columns, to)
    return into == ("organizations", ["organization_id"], ["id"])


def _inside(plan: Plan, shape: Shape, table: str, columns: tuple[str, ...]) -> bool:
    return len(outside_columns(plan, shape, table, columns)) < len(columns)


def _references(connection: sqlite3.Connection, table: str) -> Iterator[_Reference]:
    """The foreign keys of a table."""
    rows = connection.execute(
        'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?, ?) ORDER BY id, seq',
        (table, "main"),
    ).fetchall()
    for number in dict.fromkeys(row[0] for row in rows):
        own = [row for row in rows if row[0] == number]
        to = tuple(row[3] for row in own if row[3] is not None)
        yield _Reference(tuple(row[2] for row in own), own[0][1], to)


def _leading_nowhere(
    connection: sqlite3.Connection, schema: str, tables: list[str]
) -> Counter[tuple[str, str]]:
    """Rows by their table and the table that they refer to."""
    broken: Counter[tuple[str, str]] = Counter()
    for name in tables:
        query = sql_file("audit/broken_references").render(
            schema=quote_value(schema), table=quote_value(name)
        )
        for table, parent, rows in connection.execute(query):
            broken[table, parent] += rows
    return broken
