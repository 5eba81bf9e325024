"""Renders `sql/rollback/`: the way back for one migrated database."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from runbook.plan.plan import Plan, Resource
from runbook.plan.shape import Shape, Trigger
from runbook.script.footprint import outside_columns
from runbook.script.migration import Script, Step, template_values
from runbook.sqlite.quoting import fold_name, quote_name, quote_value
from runbook.sqlite.tables import SchemaObject, Table
from runbook.templates import sql_files


@dataclass(frozen=True)
class Circumstances:
    """What the way back depends on in one migrated database.

    Attributes:
        tables: the resource tables as the backup holds them.
        suspended: triggers that restoring would fire.
        drop_ledger: whether the ledger's table came with the migration and holds nothing else.
        moved: resource tables in which some rows have another rowid than in the backup.
        broken: what SQLite says of a view or trigger that is broken, if one is.
        rewritten: objects whose text DROP COLUMN rewrites, with the text that they must have again.
    """

    tables: tuple[Table, ...]
    suspended: tuple[Trigger, ...]
    drop_ledger: bool
    moved: tuple[str, ...]
    broken: str
    rewritten: tuple[SchemaObject, ...] = ()


def render_rollback(plan: Plan, shape: Shape, run: str, circumstances: Circumstances) -> Script:
    """The script that takes the migration of `run` back, with the backup attached as `before`.

    `shape` is the database's shape from before the migration.
    """
    by_name = {fold_name(t.name): t for t in circumstances.tables}
    values = template_values(plan, shape)
    resources = values["resources"]
    assert isinstance(resources, list)
    values |= {
        "resources": [
            {
                **known,
                **_pairing(
                    resource,
                    plan,
                    shape,
                    by_name[fold_name(resource.table)],
                    circumstances.moved,
                ),
            }
            for known, resource in zip(resources, plan.resources, strict=True)
        ],
        "suspended": [{"name": quote_name(t.name), "sql": t.sql} for t in circumstances.suspended],
        "drop_ledger": circumstances.drop_ledger,
        "rewritten": [
            {"type": quote_value(o.type), "name": quote_value(o.name), "sql": quote_value(o.sql)}
            for o in circumstances.rewritten
        ],
        "broken": " ".join(circumstances.broken.split()).replace(";", ","),
    }
    steps = tuple(
        Step(f.name[3:], f.title, f.why, statements)
        for f in sql_files("rollback")
        if (statements := f.statements(**values))
    )
    body = "\n".join(s for step in steps for s in step.statements)
    return Script(
        plan.migration.name, run, hashlib.sha256(body.encode()).hexdigest(), steps, alone=False
    )


def _pairing(
    resource: Resource, plan: Plan, shape: Shape, table: Table, moved: Collection[str]
) -> dict[str, Any]:
    """How row `r` finds itself in the backup as `b`, and what must be equal in both.

    The rowid is the fast way. Where rowids have moved, the declared key finds the other rows.
    """
    by_key = " AND ".join(f"b.{quote_name(k)} = r.{quote_name(k)}" for k in table.key)
    pairs = [by_key]
    if table.rowid is not None:
        pairs = [f"b.{quote_name(table.rowid)} = r.{quote_name(table.rowid)}"]
        if resource.table in moved:
            pairs.append(by_key)
    outside = outside_columns(plan, shape, table.name, table.column_names)
    return {
        "pairs": pairs,
        "others": [
            {"name": quote_name(c.name), "text_only": c.affinity == "TEXT"}
            for c in table.columns
            if c.name in outside and c.generated == "no"
        ],
    }
