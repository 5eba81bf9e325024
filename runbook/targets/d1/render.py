"""The migration as files for teams that deploy with wrangler alone: plain SQL without us.

Here no backup is at hand for the way back, so the migration keeps the old values of `updated_at`
in tables of its own, which the rollback reads and drops.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runbook.errors import Refused
from runbook.files import write_durably
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape, read_shape
from runbook.script.migration import LEDGER, Step, assumptions, questions, render, template_values
from runbook.sqlite.quoting import quote_name, quote_value
from runbook.sqlite.tables import read_tables
from runbook.targets.d1.chunks import Entry
from runbook.targets.d1.migration_file import file_name, file_text, forget, spaced
from runbook.targets.d1.migrations_folder import MigrationsFolder
from runbook.templates import sql_file, sql_files

WRANGLERS_TABLE = "d1_migrations"


def d1_files(
    plan: Plan, connection: sqlite3.Connection | None = None, entry: Entry | None = None
) -> dict[str, str]:
    """Path and text of each file: the migration, and in a folder of its name what must not be one.

    wrangler applies every file that its pattern names, also in folders below; no pattern for
    migrations names a `.txt`.

    Args:
        plan: what to migrate.
        connection: the database before the migration; None for the specification's shape.
        entry: wrangler's table of applied migrations, and the migration's name there.
    """
    entry = entry or Entry(WRANGLERS_TABLE, file_name(plan.migration.name))
    shape = read_shape(connection, plan) if connection else Shape()
    values = template_values(plan, shape)
    resources = values["resources"]
    assert isinstance(resources, list)
    tables = read_tables(connection) if connection else ()
    keys = {t.name: (t.rowid,) if t.rowid is not None else t.key for t in tables}
    values["resources"] = [
        {**known, **_kept(resource.table, keys.get(resource.table, ("rowid",)))}
        for known, resource in zip(resources, plan.resources, strict=True)
    ]
    values["drop_ledger"] = LEDGER not in {t.name for t in tables}
    values["forget"] = forget(entry.file, entry.table)
    script = render(plan, shape)
    keep = sql_file("d1/keep_updated_at")
    kept = Step(keep.name, keep.title, keep.why, keep.statements(**values))
    first, *rest = script.steps
    if kept.statements:
        script = dataclasses.replace(script, steps=(first, kept, *rest))
    name = plan.migration.name
    folder = entry.file.partition("/")[0].removesuffix(".sql")
    head = ""
    if connection is None:
        head = f"-- Assumed, because no database was read: {'; '.join(assumptions(plan))}.\n"
    return {
        entry.file: head + file_text(script),
        f"{folder}/rollback.sql.txt": head + _rollback_text(name, values),
        f"{folder}/verify.sql.txt": head + _verify_text(plan, shape),
    }


def write_d1_files(
    plan: Plan,
    to: MigrationsFolder,
    connection: sqlite3.Connection | None = None,
    table: str = WRANGLERS_TABLE,
    applied: Sequence[str] = (),
) -> tuple[Path, ...]:
    """Writes the files of `d1_files` below the migrations folder `to`, the migration's the last.

    Args:
        plan: what to migrate.
        to: the folder.
        connection: as for `d1_files`.
        table: wrangler's table of applied migrations.
        applied: what it holds.

    Raises:
        Refused: a file of that name is there and holds something else.
    """
    name = to.place_of(to.free_name(plan.migration.name, applied))
    files = {to.path / n: t for n, t in d1_files(plan, connection, Entry(table, name)).items()}
    for path, text in files.items():
        if path.exists() and path.read_bytes() != text.encode():
            raise Refused(f"The file {path} is there and holds something else; move it away first.")
    for path, text in reversed(files.items()):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, text.encode())
    to.write(name, files[to.path / name])
    return tuple(files)


def _kept(table: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """Names with which the templates keep the old `updated_at` of a table's rows."""
    columns = [f"key_{number}" for number, _ in enumerate(keys, 1)]
    name = quote_name(table)
    pairs = list(zip(keys, columns, strict=True))
    return {
        "kept": quote_name(f"runbook_kept_{table}"),
        "kept_index": quote_name(f"runbook_kept_{table}_key"),
        "key_columns": ", ".join(columns),
        "row_columns": ", ".join(f"{quote_name(key)} AS {column}" for key, column in pairs),
        "same_row": " AND ".join(f"{name}.{quote_name(k)} = kept.{column}" for k, column in pairs),
    }


def _rollback_text(name: str, values: dict[str, Any]) -> str:
    file = sql_file("d1/rollback")
    head = (
        f"-- {' '.join(name.split())}: the way back, all or nothing.\n"
        "--   wrangler d1 execute DATABASE --file (this file)\n"
        f"-- {file.why}\n"
    )
    return head + "\n\n".join(map(spaced, file.statements(**values))) + "\n"


def _verify_text(plan: Plan, shape: Shape) -> str:
    """One SELECT for each invariant and table, each with the number of violating rows."""
    parts = [
        f"-- {' '.join(plan.migration.name.split())}: every count must be 0.\n"
        "--   wrangler d1 execute DATABASE --json --file (this file)\n"
        "-- That no row was lost or gained, the migration itself has checked."
    ]
    for file in sql_files("invariants"):
        if file.name == "rows_lost_or_gained":
            continue
        for subject, query in questions(file, plan, shape):
            parts.append(
                f"-- {file.title}\nSELECT {quote_value(file.name)} AS invariant, "
                f"{quote_value(subject)} AS subject, count(*) AS violations FROM (\n{query}\n);"
            )
    return "\n\n".join(map(spaced, parts)) + "\n"
