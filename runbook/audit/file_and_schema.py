"""What no comparison of rows and texts shows, asked of the migrated database and of its backup.

The header of the file, the counters of AUTOINCREMENT, stored columns that are generated from what
the migration writes, and the order in which triggers fire.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from runbook.audit.compare_at_begin import header_findings
from runbook.audit.findings import SEQUENCES
from runbook.audit.sequences import moving, sequence_findings
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.run.findings import Finding, Witness
from runbook.sqlite.connect import readable_text
from runbook.sqlite.generated_columns import count_wrong_stored
from runbook.sqlite.header import attached_header, read_header
from runbook.sqlite.quoting import quote_name, same_name
from runbook.sqlite.tables import read_tables
from runbook.sqlite.trigger_order import changed_order, read_trigger_order


def file_and_schema_findings(
    connection: sqlite3.Connection, plan: Plan, shape: Shape, witness: Witness
) -> tuple[Finding, ...]:
    """How `main`, migrated, differs from `before`."""
    return (
        *header_findings(attached_header(connection), read_header(connection), witness),
        *sequence_differences(connection, plan, witness),
        *_generated(connection, shape, witness),
        *_triggers(connection, witness),
    )


def sequence_differences(
    connection: sqlite3.Connection, plan: Plan, witness: Witness
) -> Iterator[Finding]:
    """The counters, where they may move; elsewhere they are compared as any other table."""
    if not moving(plan):
        return
    tables = read_tables(connection)

    def rows(schema: str) -> list[tuple[object, object]]:
        if not any(t.name == SEQUENCES for t in read_tables(connection, schema)):
            return []
        with readable_text(connection):  # an ordinary table: text that is not valid may be there
            return connection.execute(
                f"SELECT name, seq FROM {quote_name(schema)}.{SEQUENCES}"
            ).fetchall()

    def largest(name: str) -> int | None:
        table = next((t for t in tables if same_name(t.name, name)), None)
        if table is None or table.rowid is None:
            return None
        value: int | None = connection.execute(
            f"SELECT max({quote_name(table.rowid)}) FROM main.{quote_name(table.name)}"
        ).fetchone()[0]
        return value

    yield from sequence_findings(plan, rows("before"), rows("main"), largest, witness)


def _generated(connection: sqlite3.Connection, shape: Shape, witness: Witness) -> Iterator[Finding]:
    """Stored columns that are not what their expression gives."""
    tables = read_tables(connection)
    for name, columns in shape.derived.items():
        table = next((t for t in tables if same_name(t.name, name)), None)
        if table is None or not set(columns) <= set(table.column_names):
            continue  # the schema's finding says it
        rows = count_wrong_stored(connection, table, set(columns)) if columns else 0
        if rows:
            message = f'{rows:,} generated values in "{name}" are not what their expressions give'
            yield Finding(witness, name, "", "wrong value", rows, message)


def _triggers(connection: sqlite3.Connection, witness: Witness) -> Iterator[Finding]:
    """Tables whose triggers would fire in another order than before."""
    before, after = (read_trigger_order(connection, schema) for schema in ("before", "main"))
    for table in changed_order(before, after):
        message = f'the triggers of "{table}" would fire in another order than before'
        yield Finding(witness, table, "", "trigger order", 1, message)
