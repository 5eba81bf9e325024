"""What the migration will overwrite, compared with the backup before it is overwritten.

After the last step nobody can tell any more what stood in `updated_at`, in a table that the
plan lets the application's triggers write, or in a trigger that was suspended and made anew from
the backup. So these are compared inside the transaction, strictly, before the first step;
everything else is compared by the gate after the last one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from runbook.audit.findings import SEQUENCES, difference_findings
from runbook.audit.samples import SAMPLES
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.run.findings import Finding, Sample, Witness, schema_sample
from runbook.script.footprint import outside_columns
from runbook.sqlite.compare_objects import compare_objects
from runbook.sqlite.compare_table import Scope, compare_table
from runbook.sqlite.difference import TableDifference
from runbook.sqlite.fields import words
from runbook.sqlite.header import Header, attached_header, read_header
from runbook.sqlite.quoting import fold_name, quote_name, same_name
from runbook.sqlite.tables import Table, read_tables
from runbook.sqlite.trigger_order import changed_order, read_trigger_order

RENUMBERED = "take a new snapshot and run again"


def find_overwritten(
    connection: sqlite3.Connection, plan: Plan, shape: Shape
) -> tuple[Finding, ...]:
    """What somebody wrote between the backup and now, of what the migration would overwrite.

    `main` is the database, in its transaction before the first step; `before` is the backup.
    """
    findings = [*header_findings(attached_header(connection), read_header(connection), "gate")]
    old = {fold_name(t.name): t for t in read_tables(connection, "before")}
    new = {fold_name(t.name): t for t in read_tables(connection, "main")}
    for name in (plan.users.table, *(r.table for r in plan.resources)):
        # Not left to the script: it would write to the table of the backup.
        if fold_name(name) in old and fold_name(name) not in new:
            message = f'the table "{name}" is not there any more'
            findings.append(Finding("gate", name, "", "table removed", 1, message, drift=True))
    findings += _remade(connection, plan)
    for name, columns in _overwritten(plan, shape, old).items():
        if name in old and name in new:
            if old[name].column_names != new[name].column_names:
                continue  # the gate names the change of the schema
            if not _told_apart(connection, old[name]):
                columns = None  # as a set, times would be right that two rows have exchanged
            scope = Scope(columns, samples=SAMPLES)
            difference = compare_table(connection, old[name], new[name], scope)
            findings += difference_findings(difference, "gate")
            # A table that triggers may write to is never gone back to row by row.
            named = any(same_name(old[name].name, r.table) for r in plan.resources)
            if named and difference.how == "rows" and difference.identical:
                findings.append(_renumbered(old[name], difference))
    return tuple(findings)


def _remade(connection: sqlite3.Connection, plan: Plan) -> Iterator[Finding]:
    """Triggers that are not as in the backup, from which suspended ones are made anew."""
    if plan.triggers.policy != "suspend":
        return  # none is dropped: the gate sees each as it was left
    for each in compare_objects(connection):
        if each.type == "trigger":
            message = f'the trigger "{each.name}" was {each.change}'
            sample = schema_sample(each.name, each.before, each.after)
            change = f"trigger {each.change}"
            yield Finding("gate", each.name, "", change, 1, message, (sample,), drift=True)
    before, now = (read_trigger_order(connection, schema) for schema in ("before", "main"))
    for table in changed_order(before, now):
        message = f'the triggers of "{table}" fire in another order than in the backup'
        yield Finding("gate", table, "", "trigger order", 1, message, drift=True)


def _told_apart(connection: sqlite3.Connection, table: Table) -> bool:
    """Whether a key names every row of the backup, so that rows are found whatever their rowid."""
    if table.stable_rowid:
        return True
    not_null = {column.name for column in table.columns if column.not_null}
    empty = [f"typeof({quote_name(k)}) = 'null'" for k in table.key if k not in not_null]
    rows = f"SELECT 1 FROM before.{quote_name(table.name)} WHERE {' OR '.join(empty)} LIMIT 1"
    return bool(table.key) and not (empty and connection.execute(rows).fetchone())


def _renumbered(table: Table, difference: TableDifference) -> Finding:
    """Rows without a key that lie under other rowids: nobody could find them again to go back."""
    message = (
        f'the rows of "{table.name}" lie under other rowids than in the backup, as after a VACUUM, '
        f"and no key tells them apart; {RENUMBERED}"
    )
    if table.rowid is None:
        message = (
            f'columns named rowid, _rowid_ and oid hide the rowid of "{table.name}", and no key '
            "tells its rows apart; rename one of these columns, or declare a key"
        )
    return Finding("gate", table.name, "", "rows renumbered", difference.rows_after, message)


def header_findings(before: Header, now: Header, witness: Witness) -> Iterator[Finding]:
    """Settings of the file's header that are not what they were; no part of a migration is."""
    for name, was, is_now in before.changes(now):
        setting = "journal_mode" if name == "wal" else name
        if name == "wal":
            was, is_now = (("WAL" if v == "True" else "a rollback journal") for v in (was, is_now))
        message = f"{setting} in the header of the database was {was} and is {is_now}"
        sample = Sample((words("header"),), setting, (words(was),), (words(is_now),))
        yield Finding(
            witness, "(header)", setting, "header changed", 1, message, (sample,), drift=True
        )


def _overwritten(
    plan: Plan, shape: Shape, old: dict[str, Table]
) -> dict[str, tuple[str, ...] | None]:
    """Tables, casefolded, with the columns that will be overwritten; None stands for all."""
    tables: dict[str, tuple[str, ...] | None] = {}
    for resource in plan.resources:
        table = old.get(fold_name(resource.table))
        if table is not None and resource.updated_at:
            outside = outside_columns(plan, shape, table.name, table.column_names)
            inside = tuple(c for c in table.column_names if c not in outside)
            tables[fold_name(table.name)] = inside
    if plan.triggers.policy == "fire" and plan.triggers.may_write:
        for name in (*plan.triggers.may_write, SEQUENCES):
            tables[fold_name(name)] = None
    return tables
