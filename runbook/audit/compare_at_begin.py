"""What the migration will overwrite, compared with the backup before it is overwritten.

After the last step nobody can tell any more what stood in `updated_at`, or in a table that the
plan lets the application's triggers write. So these are compared inside the transaction, strictly,
before the first step; everything else is compared by the gate after the last one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from runbook.audit.findings import DRIFT
from runbook.audit.samples import SAMPLES
from runbook.plan.plan import Plan
from runbook.run.findings import Finding, Sample, Witness
from runbook.sqlite.compare_table import compare_table
from runbook.sqlite.difference import TableDifference
from runbook.sqlite.generated import generated_from
from runbook.sqlite.header import Header
from runbook.sqlite.tables import Table, read_tables


def find_written(
    connection: sqlite3.Connection, plan: Plan, before: Header, now: Header
) -> tuple[Finding, ...]:
    """What somebody wrote between the backup and the migration's first step.

    Args:
        connection: `main` is the database, in its transaction; `before` is the attached backup.
        plan: what is to be migrated.
        before: the backup's header.
        now: the database's header.
    """
    findings = [*header_findings(before, now, "gate")]
    old = {t.name.casefold(): t for t in read_tables(connection, "before")}
    new = {t.name.casefold(): t for t in read_tables(connection, "main")}
    for name, columns in _overwritten(connection, plan, old).items():
        if name in old and name in new:
            there = {c.casefold() for c in new[name].column_names}
            if columns is not None:
                columns = tuple(c for c in columns if c.casefold() in there)
            elif old[name].column_names != new[name].column_names:
                continue  # the gate names the change of the schema
            difference = compare_table(
                connection, old[name], new[name], columns=columns, samples=SAMPLES
            )
            findings += _differences(difference)
    return tuple(findings)


def header_findings(before: Header, now: Header, witness: Witness) -> Iterator[Finding]:
    """Settings of the file's header that are not what they were; no part of a migration is."""
    for name, was, is_now in before.changes(now):
        setting = "journal_mode" if name == "wal" else name
        if name == "wal":
            was, is_now = (("WAL" if v == "True" else "a rollback journal") for v in (was, is_now))
        message = f"{setting} in the header of the database was {was} and is {is_now}; {DRIFT}"
        sample = Sample("header", setting, was, is_now)
        yield Finding(witness, "(header)", setting, "header changed", 1, message, (sample,))


def _overwritten(
    connection: sqlite3.Connection, plan: Plan, old: dict[str, Table]
) -> dict[str, tuple[str, ...] | None]:
    """Tables, casefolded, with the columns that will be overwritten; None stands for all."""
    tables: dict[str, tuple[str, ...] | None] = {}
    for resource in plan.resources:
        table = old.get(resource.table.casefold())
        if table is None or not resource.updated_at:
            continue
        at = resource.updated_at.casefold()
        columns = tuple(c for c in table.column_names if c.casefold() == at)
        tables[table.name.casefold()] = (
            *columns,
            *generated_from(connection, table, {at}, "before"),
        )
    if plan.triggers.policy == "fire" and plan.triggers.may_write:
        for name in (*plan.triggers.may_write, "sqlite_sequence"):
            tables[name.casefold()] = None
    return tables


def _differences(difference: TableDifference) -> Iterator[Finding]:
    """Every row that came, went or changed; rows that moved within the file are no difference."""
    table = difference.table

    def samples(change: str, column: str = "") -> tuple[Sample, ...]:
        return tuple(
            Sample(s.key, s.column, s.before, s.after)
            for s in difference.samples
            if s.change == change and (not column or s.column == column)
        )

    for change, rows, verb in (
        ("added", difference.added, "added to"),
        ("removed", difference.removed, "removed from"),
    ):
        if rows:
            message = f'{rows:,} rows were {verb} "{table}"; {DRIFT}'
            yield Finding("gate", table, "", change, rows, message, samples(change))
    for column, rows in difference.changed:
        message = f'{rows:,} values of "{column}" in "{table}" were changed; {DRIFT}'
        yield Finding("gate", table, column, "changed", rows, message, samples("changed", column))
