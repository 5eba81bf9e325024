"""The views for the usual questions that count: on cells as they are in the files.

Rows are counted and joined by the bytes of their cells; only what is left of them, a row for each
organization or user, is decoded and masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runbook.errors import TargetError
from runbook.notebook.explore_columns import ViewColumn
from runbook.notebook.explore_views import Pair, Snapshots, View, cell_literal
from runbook.plan.plan import Plan
from runbook.sqlite.quoting import quote_value
from runbook.templates import sql_file

_SIZES = ("members", "number_of_rows")


def questions(snapshots: Snapshots) -> Iterator[View]:
    """The views, where the migration has made its tables."""
    if snapshots.plan is None or snapshots.after is None:
        return
    try:
        asked = _Asked(snapshots, snapshots.plan)
        values = asked.values()
    except TargetError:
        return  # not migrated, or no longer
    organization = [
        ("organization_id", values["id"].type),
        ("organization", values["name"].type),
        ("owner", values["owner"].type),
    ]
    email = [("email", values["email"].type)] if values["email"] else []
    counts = [(name, "BIGINT") for name in _SIZES]
    rows = [("rows_before", "BIGINT"), ("rows_after", "BIGINT")]
    kind = ("kind", "VARCHAR")
    yield _view("who_owns_what", values, [*organization, *email, kind, counts[1]])
    yield _view("rows_of_users", values, [("user_id", "VARCHAR"), kind, *rows])
    yield _view(
        "largest_organizations",
        values,
        [*organization, *counts],
        order="number_of_rows DESC, organization_id",
    )


def _view(
    name: str, values: dict[str, Any], columns: list[tuple[str, str]], order: str = ""
) -> View:
    return View(
        "main",
        name,
        tuple(column for column, _ in columns),
        tuple((f"v{i}", type_) for i, (_, type_) in enumerate(columns)),
        lambda: sql_file(f"explore/{name}").render(**values),
        order=order,
    )


@dataclass(frozen=True)
class _Asked:
    """The tables that the questions are about; TargetError where one or a column is missing."""

    snapshots: Snapshots
    plan: Plan

    def _pair(self, name: str) -> Pair:
        assert self.snapshots.after is not None
        return Pair.of(self.snapshots, self.snapshots.after.table(name).name)

    def values(self) -> dict[str, Any]:
        """What the templates take."""
        plan = self.plan
        organizations = self._pair("organizations")
        memberships = self._pair("organization_memberships")
        users = self._pair(plan.users.table)
        owner, user = _column(organizations, "owner_id"), _column(memberships, "user_id")
        key = _column(users, plan.users.key)
        return {
            **organizations.values(),
            "organizations": organizations.sides["after"],
            "memberships": memberships.sides["after"],
            "users": users.sides["after"],
            "id": _column(organizations, "id"),
            "name": _column(organizations, "name"),
            "owner": owner,
            "type": _column(organizations, "type").raw,
            "personal": cell_literal("personal", organizations.encoding),
            "member_of": _column(memberships, "organization_id"),
            "user": user,
            "key": key,
            "owner_is_key": _alike(owner, key),
            "email": _column(users, plan.users.email) if plan.users.email else None,
            "resources": [
                self._resource(resource.table, resource.owner, user) for resource in plan.resources
            ],
        }

    def _resource(self, name: str, owned_by: str, user: ViewColumn) -> dict[str, Any]:
        pair = self._pair(name)
        owner = _column(pair, owned_by, "before")
        return {
            "literal": quote_value(name),
            "before": pair.sides["before"],
            "after": pair.sides["after"],
            "owner": owner,
            "owner_is_user": _alike(owner, user),
            "organization": _column(pair, "organization_id"),
        }


def _column(pair: Pair, name: str, schema: str = "after") -> ViewColumn:
    raw = pair.sides[schema].cell(name)
    if not raw:
        raise TargetError(f'The table "{pair.name}" has no column "{name}" after the migration.')
    return pair.column(name, raw)


def _alike(one: ViewColumn, other: ViewColumn) -> bool:
    """Whether cells of the columns mean the same value only if they are the same bytes."""
    plain = ("BIGINT", "text")
    kinds = {c.type if c.type == "BIGINT" else c.classes for c in (one, other)}
    return len(kinds) == 1 and kinds <= set(plain)
