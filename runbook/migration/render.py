"""What `runbook render` gives: the SQL of a migration, to be read or to be run without us."""

from __future__ import annotations

import contextlib
from pathlib import Path

from runbook.errors import BadInput
from runbook.plan.read import read_plan
from runbook.plan.shape import Shape, read_shape
from runbook.script.migration import render
from runbook.targets.d1.migration_file import file_name
from runbook.targets.d1.render import d1_files, write_d1_files
from runbook.targets.open_target import open_target


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
    opened = open_target(database, options).reading() if database else contextlib.nullcontext()
    with opened as connection:
        if out is not None:
            return "".join(f"{path}\n" for path in write_d1_files(parsed, out, connection))
        if for_d1:
            return d1_files(parsed, connection)[file_name(parsed.migration.name)]
        shape = read_shape(connection, parsed) if connection else Shape()
        return render(parsed, shape).text
