"""A migrated database as two captures, and its invariants, for the witness without a database."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from runbook.audit.columns import Alphabet, ColumnFile, Positions, Truths
from runbook.audit.owner_codes import UNKNOWN, CodedResource, CodedTables, Codes
from runbook.audit.rule_columns import as_keys
from runbook.audit.snapshot import Capture
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape, adopter_value
from runbook.sqlite.fields import Field, read_field

KnownCodes = dict[tuple[str, str], tuple[Codes, Positions]]
"""Codes of columns of resources after the migration, by table and column of the plan."""


@dataclass(frozen=True)
class Migrated:
    """A database before and after its migration."""

    plan: Plan
    shape: Shape
    captured_before: Capture
    captured_after: Capture

    def before(self, table: str) -> ColumnFile:
        """One table as it was."""
        return ColumnFile.of(self.captured_before, table)

    def after(self, table: str) -> ColumnFile:
        """One table as it is."""
        return ColumnFile.of(self.captured_after, table)

    @property
    def alphabet(self) -> Alphabet:
        """The form of cells, in the database's encoding."""
        return Alphabet(self.captured_after.encoding)

    @property
    def null(self) -> Any:
        """The cell of NULL."""
        return self.alphabet.cell(None)

    def as_keys(self, cells: Any) -> Any:
        """Owners in the class of the users' keys."""
        return as_keys(cells, self.alphabet, self.shape.key_class)

    def adopter(self, keys: Codes) -> int:
        """The adopter's code, UNKNOWN where nothing is adopted."""
        value = adopter_value(self.plan, self.shape)
        if value is None:
            return UNKNOWN
        return int(keys.of(pa.array([self.alphabet.cell(value).as_py()], pa.large_binary()))[0])

    def field(self, column: str, cell: Any) -> Field:
        """A cell, or what a rule gives, which may be no value."""
        value = cell.as_py()
        if value is None:
            return Field(column, "absent")
        return read_field(column, value, self.alphabet.encoding)

    def is_word(self, cells: Any, word: str) -> Truths:
        """Which cells are this text."""
        same: Truths = pc.equal(cells, self.alphabet.cell(word)).to_numpy(zero_copy_only=False)
        return same


def count_violations(migrated: Migrated, known: KnownCodes) -> dict[str, int]:
    """The number of violating rows of every invariant, in what is there after.

    `known` has codes that need not be computed again; what is used of them is taken out.
    """
    plan = migrated.plan
    keys, ids, tables = _coded_tables(migrated)
    adopter = migrated.adopter(keys)
    violations: Counter[str] = Counter()
    owners: list[Positions] = []
    for resource in plan.resources:
        file = migrated.after(resource.table)
        reused = _recoded(keys, known.pop((resource.table, resource.owner), None))
        if reused is None:
            reused = keys.of_column(file, resource.owner, migrated.as_keys)
        owners.append(belongs_to := reused)
        if plan.adopts:
            unowned = ~pd.Series(belongs_to).isin(tables.users[tables.users >= 0]).to_numpy()
            belongs_to = np.where(unowned, adopter, belongs_to)
        organization = _recoded(ids, known.pop((resource.table, "organization_id"), None))
        if organization is None:
            organization = ids.of_column(file, "organization_id")
        violations.update(tables.resource_violations(CodedResource(organization, belongs_to)))
    everybody = plan.organizations.scope == "all_users"
    violations.update(tables.violations(None if everybody else owners))
    violations["rows_lost_or_gained"] = sum(
        migrated.before(table).table.rows != migrated.after(table).table.rows
        for table in (plan.users.table, *(r.table for r in plan.resources))
    )
    return dict(violations)


def _coded_tables(migrated: Migrated) -> tuple[Codes, Codes, CodedTables]:
    """Codes of users and of organizations, and the tables that have them; the cells are let go."""
    plan, null = migrated.plan, migrated.null
    users = migrated.after(plan.users.table).read(plan.users.key)
    organizations = migrated.after("organizations")
    memberships = migrated.after("organization_memberships")
    owner, user = organizations.read("owner_id"), memberships.read("user_id")
    keys = Codes.of_all([users, owner, user], null)
    own_id, other_id = organizations.read("id"), memberships.read("organization_id")
    ids = Codes.of_all([own_id, other_id], null)
    tables = CodedTables(
        keys.of(users),
        pd.DataFrame(
            {
                "id": ids.of(own_id),
                "owner": keys.of(owner),
                "personal": migrated.is_word(organizations.read("type"), "personal"),
            }
        ),
        pd.DataFrame(
            {
                "organization": ids.of(other_id),
                "user": keys.of(user),
                "is_owner": migrated.is_word(memberships.read("role"), "owner"),
            }
        ),
    )
    return keys, ids, tables


def _recoded(codes: Codes, known: tuple[Codes, Positions] | None) -> Positions | None:
    """Codes that are known already, in those of another numbering; None if that will not do."""
    return None if known is None else codes.recoded(known[1], known[0])
