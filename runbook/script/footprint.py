"""The footprint: everything that the migration may change, derived from the plan.

Whatever no line of it names must be identical before and after. The lines are shown to the
operator before the migration, and each witness fills in what it saw.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from runbook.plan.plan import Plan, Resource
from runbook.plan.shape import Shape, read_shape
from runbook.script.migration import LEDGER, NEW_TABLES, index_name, template_values
from runbook.sqlite.connect import open_immutable
from runbook.sqlite.quoting import fold_name, quote_name
from runbook.sqlite.tables import count_rows
from runbook.templates import sql_file

Change = Literal["created", "added", "removed", "changed", "dropped", "identical"]

MIGRATION_INDEXES = (
    ("idx_organizations_owner", "organizations"),
    ("idx_organizations_type", "organizations"),
    ("idx_memberships_user", "organization_memberships"),
)

_INDEX = "the index "
"""Begins the rule of a line about an index; its name follows, and the line's table is its table."""


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

    @property
    def index(self) -> str:
        """The name of the index that this line is about; empty where it is about none."""
        if self.change != "created" or self.column or not self.rule.startswith(_INDEX):
            return ""
        return self.rule.removeprefix(_INDEX)


@dataclass(frozen=True)
class Baseline:
    """What is known of a database from before the migration: its shape, and what may change."""

    shape: Shape
    footprint: tuple[FootprintLine, ...]

    @property
    def organizations(self) -> int | None:
        """How many organizations were counted beforehand."""
        lines = (f for f in self.footprint if (f.table, f.change) == ("organizations", "added"))
        return next((line.predicted for line in lines), None)


def read_baseline(backup: Path, plan: Plan) -> Baseline:
    """Shape and footprint of the database as its backup holds it."""
    with contextlib.closing(open_immutable(backup)) as connection:
        shape = read_shape(connection, plan)
        return Baseline(shape, declare(connection, plan, shape))


def declare(
    connection: sqlite3.Connection,
    plan: Plan,
    shape: Shape,
    *,
    organizations: int | None = None,
) -> tuple[FootprintLine, ...]:
    """The footprint of `plan`, with the numbers of rows that the database predicts.

    `organizations` is how many the plan makes, where that was counted already.
    """
    if organizations is None:
        organizations = expected_organizations(connection, plan, shape)
    triggers = plan.triggers.may_write if plan.triggers.policy == "fire" else ()
    return (
        *_new_tables(plan, organizations),
        *(
            line
            for resource in plan.resources
            for line in _resource(resource, plan, shape, count_rows(connection, resource.table))
        ),
        *(
            FootprintLine(table, "created", "", f"{_INDEX}{name}", None)
            for name, table in new_indexes(plan)
        ),
        FootprintLine(LEDGER, "added", "", "one row: this migration happened", 1),
        *(
            FootprintLine(table, "added", "", "rows written by the application's triggers", None)
            for table in triggers
        ),
    )


def _new_tables(plan: Plan, organizations: int) -> Iterator[FootprintLine]:
    owners = "" if plan.organizations.scope == "all_users" else " who owns a resource"
    rule = f"one personal organization for each user{owners}"
    member = "the owner of each organization, with the role owner"
    yield FootprintLine("organizations", "created", "", "a new table, as specified", None)
    yield FootprintLine("organizations", "added", "", rule, organizations)
    yield FootprintLine("organization_memberships", "created", "", "a new table", None)
    yield FootprintLine("organization_memberships", "added", "", member, organizations)


def _resource(resource: Resource, plan: Plan, shape: Shape, rows: int) -> Iterator[FootprintLine]:
    table = resource.table
    yield FootprintLine(table, "created", "organization_id", "a new column", None)
    adopted = ", or of the adopter where it has none" if plan.adopts else ""
    rule = f"the personal organization of the row's owner{adopted}"
    yield FootprintLine(table, "changed", "organization_id", rule, rows)
    if resource.updated_at:
        rule = f"the run's timestamp, as {shape.format_of(resource)}"
        yield FootprintLine(table, "changed", resource.updated_at, rule, rows)
    for column in shape.derived.get(table, ()):
        rule = f"generated from {resource.updated_at}"
        yield FootprintLine(table, "changed", column, rule, None)


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


def outside_columns(
    plan: Plan, shape: Shape, table: str, columns: Iterable[str]
) -> tuple[str, ...]:
    """The columns of a table that are outside the footprint, hence identical before and after.

    Inside are the two columns that are written, and what is generated from them.
    """
    for resource in plan.resources:
        if fold_name(resource.table) == fold_name(table):
            inside = {"organization_id", fold_name(resource.updated_at or "")}
            inside |= {fold_name(c) for c in shape.derived.get(resource.table, ())}
            return tuple(c for c in columns if fold_name(c) not in inside)
    return tuple(columns)


def is_new_table(table: str) -> bool:
    """Whether the migration creates this table (names are compared as SQLite does)."""
    return fold_name(table) in (*NEW_TABLES, LEDGER)


def complete_counts(
    counts: Mapping[tuple[str, str, str], int], lines: Iterable[FootprintLine]
) -> dict[tuple[str, str, str], int]:
    """The counts of a witness, with zero for each line of rows of which it counted none."""
    rows = (line for line in lines if line.change in ("added", "changed"))
    return {**{(line.table, line.change, line.column): 0 for line in rows}, **counts}


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
