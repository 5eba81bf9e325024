"""The footprint: everything that the migration may change, derived from the plan.

Whatever no line of it names must be identical before and after. The lines are shown to the
operator before the migration, and each witness fills in what it saw.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.script.migration import LEDGER, NEW_TABLES, index_name, template_values
from runbook.sqlite.quoting import quote_name
from runbook.templates import sql_file

Change = Literal["appears", "added", "removed", "changed", "disappears", "identical"]

MIGRATION_INDEXES = (
    ("idx_organizations_owner", "organizations"),
    ("idx_organizations_type", "organizations"),
    ("idx_memberships_user", "organization_memberships"),
)


@dataclass(frozen=True)
class FootprintLine:
    """One line of the footprint: what may change, how many rows were predicted and counted.

    `counts` maps each witness to its number of rows; `allowed` is False for a line that no rule
    foresees.
    """

    table: str
    change: Change
    column: str
    rule: str
    predicted: int | None
    allowed: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)


def declare(
    connection: sqlite3.Connection,
    plan: Plan,
    shape: Shape,
    before: str = "main",
    *,
    organizations: int | None = None,
) -> tuple[FootprintLine, ...]:
    """The footprint of `plan`, with the numbers of rows that schema `before` predicts.

    `organizations` is how many the plan makes, where that was counted already.
    """
    if organizations is None:
        organizations = expected_organizations(connection, plan, shape, before)
    owners = (
        "one personal organization for each user"
        if plan.organizations.scope == "all_users"
        else "one personal organization for each user who owns a resource"
    )
    lines = [
        FootprintLine("organizations", "appears", "", "a new table, as specified", None),
        FootprintLine("organizations", "added", "", owners, organizations),
        FootprintLine("organization_memberships", "appears", "", "a new table", None),
        FootprintLine(
            "organization_memberships",
            "added",
            "",
            "the owner of each organization, with the role owner",
            organizations,
        ),
    ]
    for resource in plan.resources:
        (rows,) = connection.execute(
            f"SELECT count(*) FROM {quote_name(before)}.{quote_name(resource.table)}"
        ).fetchone()
        lines += [
            FootprintLine(resource.table, "appears", "organization_id", "a new column", None),
            FootprintLine(
                resource.table,
                "changed",
                "organization_id",
                "the personal organization of the row's owner"
                + (f", or of {plan.unowned.adopter} where it has none" if plan.adopts else ""),
                rows,
            ),
        ]
        if resource.updated_at:
            rule = f"the run's timestamp, as {shape.format_of(resource)}"
            lines.append(FootprintLine(resource.table, "changed", resource.updated_at, rule, rows))
    lines += [
        FootprintLine(table, "appears", "", f"the index {name}", None)
        for name, table in new_indexes(plan)
    ]
    lines.append(FootprintLine(LEDGER, "added", "", "one row: this migration happened", 1))
    if plan.triggers.policy == "fire":
        lines += [
            FootprintLine(table, "added", "", "rows written by the application's triggers", None)
            for table in plan.triggers.may_write
        ]
    return tuple(lines)


def new_indexes(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Name and table of every index that the migration creates."""
    return (*MIGRATION_INDEXES, *((index_name(r), r.table) for r in plan.resources))


def expected_organizations(
    connection: sqlite3.Connection, plan: Plan, shape: Shape, before: str = "main"
) -> int:
    """How many organizations the plan makes of the users in schema `before`."""
    query = sql_file("audit/expected_organizations").render(
        **template_values(plan, shape), before=quote_name(before)
    )
    return int(connection.execute(query).fetchone()[0])


def outside_columns(plan: Plan, table: str, columns: Iterable[str]) -> tuple[str, ...]:
    """The columns of a table that are outside the footprint, hence identical before and after."""
    for resource in plan.resources:
        if resource.table.casefold() == table.casefold():
            inside = {"organization_id", (resource.updated_at or "").casefold()}
            return tuple(c for c in columns if c.casefold() not in inside)
    return tuple(columns)


def is_new_table(table: str) -> bool:
    """Whether the migration creates this table (names are compared as SQLite does)."""
    return table.casefold() in (*NEW_TABLES, LEDGER)


def with_counts(
    lines: Iterable[FootprintLine],
    witness: str,
    counts: Mapping[tuple[str, str, str], int],
) -> tuple[FootprintLine, ...]:
    """The lines with what `witness` counted, by (table, change, column)."""
    return tuple(
        dataclasses.replace(line, counts={**line.counts, witness: counts[key]})
        if (key := (line.table, line.change, line.column)) in counts
        else line
        for line in lines
    )
