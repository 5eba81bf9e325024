"""What no comparison of rows and texts shows, asked of the migrated database and of its backup.

The header of the file, the counters of AUTOINCREMENT, stored columns that are generated from what
the migration writes, the order in which triggers fire, and what views return.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from runbook.audit.compare_at_begin import header_findings
from runbook.audit.findings import SEQUENCES
from runbook.audit.sequences import moving, sequence_findings
from runbook.audit.view_content import ViewsCompared, compare_views
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.run.findings import Finding, Witness
from runbook.sqlite.generated import count_wrong_stored
from runbook.sqlite.header import attached_header, read_header
from runbook.sqlite.quoting import quote_name, same_name
from runbook.sqlite.tables import Table, read_tables
from runbook.sqlite.trigger_order import changed_order, read_trigger_order


@dataclass(frozen=True)
class FileAndSchema:
    """What was found, and what of the views was compared."""

    findings: tuple[Finding, ...]
    views: ViewsCompared


def compare_file_and_schema(
    connection: sqlite3.Connection, plan: Plan, shape: Shape, witness: Witness
) -> FileAndSchema:
    """Compares `main`, migrated, with `before`; only the gate may write, inside a savepoint."""
    tables = read_tables(connection)
    views = compare_views(connection, plan, shape, witness, put_back=witness == "gate")
    findings = (
        *header_findings(attached_header(connection), read_header(connection), witness),
        *sequence_differences(connection, plan, witness),
        *_generated(connection, shape, tables, witness),
        *_triggers(connection, witness),
        *views.findings,
    )
    return FileAndSchema(findings, views)


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


def _generated(
    connection: sqlite3.Connection, shape: Shape, tables: tuple[Table, ...], witness: Witness
) -> Iterator[Finding]:
    """Stored columns that are not what their expression gives."""
    for name, columns in shape.derived.items():
        table = next((t for t in tables if same_name(t.name, name)), None)
        rows = count_wrong_stored(connection, table, set(columns)) if table and columns else 0
        if rows:
            message = f'{rows:,} generated values in "{name}" are not what their expressions give'
            yield Finding(witness, name, "", "wrong value", rows, message)


def _triggers(connection: sqlite3.Connection, witness: Witness) -> Iterator[Finding]:
    """Tables whose triggers would fire in another order than before."""
    before, after = (read_trigger_order(connection, schema) for schema in ("before", "main"))
    for table in changed_order(before, after):
        message = f'the triggers of "{table}" would fire in another order than before'
        yield Finding(witness, table, "", "trigger order", 1, message)
