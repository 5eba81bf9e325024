"""What `runbook render` gives: the SQL of a migration, to be read or to be run without us."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from runbook.errors import BadInput
from runbook.plan.plan import Plan
from runbook.plan.read import read_plan
from runbook.plan.shape import Shape, read_shape
from runbook.script.migration import assumptions, render
from runbook.targets.d1.migrations_folder import MigrationsFolder
from runbook.targets.d1.render import d1_files, write_d1_files
from runbook.targets.d1.target import D1Target
from runbook.targets.open_target import open_target
from runbook.targets.protocol import Target


def rendered(
    plan: str,
    database: str = "",
    *,
    options: dict[str, str] | None = None,
    for_d1: bool = False,
    out: Path | None = None,
) -> str:
    """The migration for a plan, or one line for each file written to `out`.

    Args:
        plan: path of the plan; empty for the specification's schema.
        database: where to look for types and formats; empty for the specification's.
        options: how the database is reached (see the target).
        for_d1: as files that wrangler applies.
        out: the migrations folder to write them to; None to print the migration alone.

    Raises:
        BadInput: `out` without `for_d1`.
    """
    if out is not None and not for_d1:
        raise BadInput("Only files for D1 are written to a folder; add --target d1.")
    parsed = read_plan(Path(plan) if plan else None)
    target = open_target(database, options) if database else None
    with target.reading() if target else contextlib.nullcontext() as connection:
        head = "" if connection else f"-- {assumed(parsed)}\n"
        if out is not None:
            return "".join(f"{path}\n" for path in _written(parsed, out, target, connection))
        if for_d1:
            return next(iter(d1_files(parsed, connection).values()))
        shape = read_shape(connection, parsed) if connection else Shape()
        return head + render(parsed, shape).text


def assumed(plan: Plan) -> str:
    """One sentence: what is taken for true where no database is read, and how that is avoided.

    Raises:
        PlanError: the plan leaves open what cannot be assumed.
    """
    return f"Assumed, because no database was read: {'; '.join(assumptions(plan))}. {_READ_IT}"


_READ_IT = "Pass --database to read them."


def _written(
    plan: Plan, out: Path, target: Target | None, connection: sqlite3.Connection | None
) -> tuple[Path, ...]:
    """The files, by the rules of the configuration where `out` is its folder of migrations."""
    if not isinstance(target, D1Target):
        return write_d1_files(plan, MigrationsFolder(out), connection)
    folder = target.config.migrations
    if folder.path != out.resolve():
        folder = MigrationsFolder(out)
    return write_d1_files(
        plan, folder, connection, target.config.migrations_table, target.applied()
    )
