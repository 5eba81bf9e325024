"""From differences to findings: whatever the footprint does not allow."""

from __future__ import annotations

from collections.abc import Iterator

from runbook.plan.plan import Plan
from runbook.run.findings import Finding, Sample, Witness
from runbook.script.footprint import outside_columns
from runbook.sqlite.difference import TableDifference

DRIFT = (
    "it is not part of the migration, so the database was written to after the snapshot; make sure "
    "that nothing writes to it, take a new snapshot and run again"
)


def outside_findings(
    found: TableDifference, plan: Plan, witness: Witness, advice: str = DRIFT
) -> Iterator[Finding]:
    """The differences of one table, from before the migration, that are outside the footprint."""
    table = found.table
    by_triggers = may_be_written_by_triggers(plan, table)

    def samples(change: str, column: str = "") -> tuple[Sample, ...]:
        return tuple(
            Sample(s.key, s.column, s.before, s.after)
            for s in found.samples
            if s.change == change and (not column or s.column == column)
        )

    if found.added and not by_triggers:
        message = f'{found.added:,} rows were added to "{table}"; {advice}'
        yield Finding(witness, table, "", "added", found.added, message, samples("added"))
    if found.removed:
        message = f'{found.removed:,} rows were removed from "{table}"; {advice}'
        yield Finding(witness, table, "", "removed", found.removed, message, samples("removed"))
    outside = set(outside_columns(plan, table, [column for column, _ in found.changed]))
    for column, rows in found.changed:
        if column not in outside or (by_triggers and table.casefold() == "sqlite_sequence"):
            continue
        message = f'{rows:,} values of "{column}" in "{table}" were changed; {advice}'
        yield Finding(witness, table, column, "changed", rows, message, samples("changed", column))


def may_be_written_by_triggers(plan: Plan, table: str) -> bool:
    """Whether the plan lets the application's triggers add rows to this table.

    Adding to a table with AUTOINCREMENT moves its counter in `sqlite_sequence` too.
    """
    if plan.triggers.policy != "fire" or not plan.triggers.may_write:
        return False
    allowed = {t.casefold() for t in plan.triggers.may_write} | {"sqlite_sequence"}
    return table.casefold() in allowed
