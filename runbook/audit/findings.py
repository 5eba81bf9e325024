"""From differences to findings: whatever the footprint does not allow."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.run.findings import Finding, Sample, Witness
from runbook.script.footprint import outside_columns
from runbook.sqlite.difference import TableDifference
from runbook.sqlite.quoting import fold_name
from runbook.wording import counted

SEQUENCES = "sqlite_sequence"
"""SQLite's own table of the counters of AUTOINCREMENT."""


def outside_findings(
    difference: TableDifference, plan: Plan, shape: Shape, witness: Witness
) -> Iterator[Finding]:
    """The differences of one table, from before the migration, that are outside the footprint.

    The counters of AUTOINCREMENT have a rule of their own where triggers fire.
    """
    table = difference.table
    if may_be_written_by_triggers(plan, SEQUENCES) and fold_name(table) == SEQUENCES:
        return
    outside = outside_columns(plan, shape, table, [column for column, _ in difference.changed])
    for finding in difference_findings(difference, witness, columns=outside):
        if finding.change != "added" or not may_be_written_by_triggers(plan, table):
            yield finding


def difference_findings(
    difference: TableDifference,
    witness: Witness,
    *,
    columns: Collection[str] | None = None,
) -> Iterator[Finding]:
    """Rows of one table that came or went, and changed values, in `columns` where it says which."""
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
            message = f'{counted(rows, "row was", "rows were")} {verb} "{table}"'
            yield Finding(witness, table, "", change, rows, message, samples(change), drift=True)
    for column, rows in difference.changed:
        if columns is None or column in columns:
            message = f'"{column}" was changed in {counted(rows, "row")} of "{table}"'
            shown = samples("changed", column)
            yield Finding(witness, table, column, "changed", rows, message, shown, drift=True)


def may_be_written_by_triggers(plan: Plan, table: str) -> bool:
    """Whether the plan lets the application's triggers add rows to this table.

    Adding to a table with AUTOINCREMENT moves its counter in `sqlite_sequence` too.
    """
    if plan.triggers.policy != "fire" or not plan.triggers.may_write:
        return False
    allowed = {fold_name(t) for t in plan.triggers.may_write} | {SEQUENCES}
    return fold_name(table) in allowed
