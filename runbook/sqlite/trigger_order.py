"""The order in which a table's triggers fire: the one that was created last goes first."""

from __future__ import annotations

import sqlite3

from runbook.sqlite.quoting import quote_name


def read_trigger_order(
    connection: sqlite3.Connection, schema: str = "main"
) -> dict[str, tuple[str, ...]]:
    """Names of each table's triggers in the order of their creation, by the table's name."""
    order: dict[str, tuple[str, ...]] = {}
    for table, name in connection.execute(
        f"SELECT tbl_name, name FROM {quote_name(schema)}.sqlite_schema"
        " WHERE type = 'trigger' ORDER BY rowid"
    ):
        order[table] = (*order.get(table, ()), name)
    return order


def changed_order(
    before: dict[str, tuple[str, ...]], after: dict[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Tables whose triggers, as far as both have them, come in another order than before."""

    def common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in one if name in other)

    return tuple(
        table
        for table in sorted(before.keys() & after.keys())
        if common(before[table], after[table]) != common(after[table], before[table])
    )
