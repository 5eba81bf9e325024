"""Assignments that the migration did not make: in which organization users have put their rows.

They are user data and stand in one column, which goes with a rollback. An assignment is the
migration's own where its rule gives it to the row's owner, as the owner is or as it was. Of a row
that came later, the owner's own personal organization says nothing that the owner does not say.
"""

from __future__ import annotations

import functools
import sqlite3
from dataclasses import dataclass

from runbook.audit.later_writes import Written
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.script.migration import rule
from runbook.sqlite.quoting import fold_name, quote_name, same_name
from runbook.templates import sql_file


@dataclass(frozen=True)
class Assignments:
    """The rows of one resource that users assigned: what names a row, its owner, its organization.

    `query` has the columns `columns`; it reads the TEMP table of `Written`.
    """

    table: str
    rows: int
    columns: tuple[str, ...]
    query: str


def find_assignments(
    connection: sqlite3.Connection, plan: Plan, shape: Shape, written: Written
) -> Assignments:
    """Counts what users assigned in one resource; the backup is attached as `before`."""
    old, resource = written.old, written.resource
    row, origin, what = (quote_name(n) for n in (written.row, written.origin, written.what))
    owner = quote_name(resource.owner)
    if old.rowid is not None:
        counterpart = f"a.{quote_name(old.rowid)} = coalesce(k.{origin}, k.{row})"
    else:
        counterpart = " AND ".join(f"a.{quote_name(k)} = +k.{quote_name(k)}" for k in old.key)
    assigned = functools.partial(
        sql_file("later_writes/assigned").render,
        written=written.source,
        table=quote_name(old.name),
        counterpart=counterpart,
        what=what,
        organization_now=rule("organization_of(owner, 'main.')", plan, shape, owner=f"k.{owner}"),
        organization_then=rule(
            "organization_of(owner, 'before.')", plan, shape, owner=f"a.{owner}"
        ),
        own=_own(connection, f"k.{owner}", "k.organization_id"),
        partial=written.partial,
    )
    (rows,) = connection.execute(assigned(columns="count(*)")).fetchone()
    names, sources = _names(written)
    columns = ", ".join(
        f"k.{quote_name(s)} AS {quote_name(n)}" for n, s in zip(names, sources, strict=True)
    )
    return Assignments(old.name, int(rows), names, assigned(columns=columns))


def _own(connection: sqlite3.Connection, owner: str, organization: str) -> str:
    """The condition that the organization is the owner's personal one."""
    columns = connection.execute("SELECT name FROM pragma_table_info('organizations', 'main')")
    if not {"id", "type", "owner_id"} <= {fold_name(name) for (name,) in columns}:
        return "FALSE"
    return (
        "EXISTS (SELECT 1 FROM main.organizations AS own WHERE own.type = 'personal'"
        f" AND own.id = {organization} AND own.owner_id = {owner})"
    )


def _names(written: Written) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of the export, and those of the TEMP table they come from."""
    old = written.old
    key = old.key or ((old.rowid,) if old.rowid is not None else ())
    names: list[str] = []
    sources: list[str] = []
    for name in (*key, written.resource.owner, "organization_id"):
        if any(same_name(name, each) for each in names):
            continue
        stored = any(same_name(name, each) for each in (*old.column_names, "organization_id"))
        names.append(name)
        sources.append(name if stored else written.row)
    return tuple(names), tuple(sources)
