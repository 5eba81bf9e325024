"""Probes for a D1 database. What wrangler knows is given to them; they only read the replica."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from runbook.hazards.sighting import Sighting
from runbook.plan.plan import Plan
from runbook.run.identity import D1Conditions
from runbook.sqlite.quoting import quote_name
from runbook.sqlite.tables import read_tables, stored_tables
from runbook.wording import duration

LARGE_ROWS = 1_000_000
"""Rows of one resource table above which one statement may take more than Cloudflare allows."""

LARGE_SECONDS = 10.0
"""Seconds for the whole migration in the engine here: a third of what Cloudflare allows."""

_SAFE = 2**53


def probe_d1(
    conditions: D1Conditions, replica: sqlite3.Connection, plan: Plan
) -> Iterator[Sighting]:
    """Hazards of the migrations folder, of the script in D1, and of the data in D1."""
    for code, files in (
        ("d1_pending_migrations", conditions.pending),
        ("d1_migrations_not_noted", conditions.unnoted),
    ):
        if files:
            yield Sighting(code, "migrations", len(files), files[:10])
    if conditions.renumbered:
        yield Sighting("d1_file_number", conditions.name)
    if conditions.in_the_way:
        yield Sighting("d1_file_in_the_way", conditions.name)
    if conditions.name in conditions.applied:
        yield Sighting("d1_already_applied", conditions.name)
    if conditions.transaction_words:
        yield Sighting("d1_transaction_words", conditions.name)
    if conditions.carriage_returns:
        yield Sighting("d1_carriage_returns", conditions.name)
    if conditions.refused is not None:
        yield Sighting(
            "d1_script_refused", conditions.name, detail=f"It says: {conditions.refused}."
        )
    tables = read_tables(replica)
    virtual = tuple(table.name for table in tables if table.kind == "virtual")
    if virtual:
        yield Sighting("d1_virtual_tables", ", ".join(virtual), len(virtual))
    for table in stored_tables(tables):
        if table.kind == "table":
            yield from _big_integers(replica, table.name, table.column_names)
    if conditions.own_wrangler not in ("", conditions.wrangler):
        versions = f"used {conditions.wrangler}, the application's {conditions.own_wrangler}"
        yield Sighting("d1_other_wrangler", versions)
    if conditions.chunk_rows:
        yield Sighting("d1_in_chunks", conditions.name, conditions.chunk_rows)
    elif conditions.remote:
        yield from _large(replica, plan, conditions.seconds)


def _big_integers(
    replica: sqlite3.Connection, table: str, columns: tuple[str, ...]
) -> Iterator[Sighting]:
    """One scan for all columns of a table."""
    counts = ", ".join(
        f"total(typeof({c}) = 'integer' AND ({c} > {_SAFE} OR {c} < -{_SAFE}))"
        for c in map(quote_name, columns)
    )
    totals = replica.execute(f"SELECT {counts} FROM {quote_name(table)}").fetchone()
    for column, count in zip(columns, totals, strict=True):
        if count:
            yield Sighting("d1_big_integers", f"{table}.{column}", int(count))


def _large(replica: sqlite3.Connection, plan: Plan, seconds: float) -> Iterator[Sighting]:
    for resource in plan.resources:
        query = f"SELECT count(*) FROM {quote_name(resource.table)}"
        try:
            (rows,) = replica.execute(query).fetchone()
        except sqlite3.OperationalError:
            continue  # a missing table is a hazard of its own
        if rows > LARGE_ROWS or seconds > LARGE_SECONDS:
            detail = (
                f"On a copy in the same engine the whole migration took {duration(seconds)} here."
            )
            yield Sighting("d1_large", resource.table, rows, detail=detail)
