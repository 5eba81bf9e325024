"""Probes for a D1 database. What wrangler knows is given to them; they only read the replica."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from runbook.audit.tables import read_tables, stored_tables
from runbook.hazards.found import Found
from runbook.names import quote_name
from runbook.plan import Plan

LARGE_ROWS = 1_000_000
"""Rows of one resource table above which one statement may take more than Cloudflare allows."""

LARGE_SECONDS = 10.0
"""Seconds for the whole migration in the engine here: a third of what Cloudflare allows."""

_SAFE = 2**53


@dataclass(frozen=True)
class D1Facts:
    """What was asked of wrangler and of the folder."""

    name: str
    """File name of the migration."""
    applied: tuple[str, ...]
    files: tuple[str, ...]
    in_the_way: bool
    transaction_words: bool
    refused: str | None
    seconds: float
    """How long the migration took on a copy in the same engine; 0 where it was not tried."""
    remote: bool
    chunk_rows: int
    """Rows of one chunk; 0 where the migration is one unit."""


def probe_d1(facts: D1Facts, replica: sqlite3.Connection, plan: Plan) -> Iterator[Found]:
    """Hazards of the migrations folder, of the script in D1, and of the data in D1."""
    pending = tuple(f for f in facts.files if f not in facts.applied and f != facts.name)
    if pending:
        yield Found("d1_pending_migrations", "migrations", len(pending), pending[:10])
    if facts.in_the_way:
        yield Found("d1_file_in_the_way", facts.name)
    if facts.name in facts.applied:
        yield Found("d1_already_applied", facts.name)
    if facts.transaction_words:
        yield Found("d1_transaction_words", facts.name)
    if facts.refused is not None:
        yield Found("d1_script_refused", facts.name, detail=f"It says: {facts.refused}.")
    tables = read_tables(replica)
    virtual = tuple(table.name for table in tables if table.kind == "virtual")
    if virtual:
        yield Found("d1_virtual_tables", ", ".join(virtual), len(virtual))
    for table in stored_tables(tables):
        if table.kind == "table":
            yield from _big_integers(replica, table.name, table.column_names)
    if facts.chunk_rows:
        yield Found("d1_in_chunks", facts.name, facts.chunk_rows)
    elif facts.remote:
        yield from _large(replica, plan, facts.seconds)


def _big_integers(
    replica: sqlite3.Connection, table: str, columns: tuple[str, ...]
) -> Iterator[Found]:
    """One scan for all columns of a table."""
    counts = ", ".join(
        f"total(typeof({c}) = 'integer' AND ({c} > {_SAFE} OR {c} < -{_SAFE}))"
        for c in map(quote_name, columns)
    )
    found = replica.execute(f"SELECT {counts} FROM {quote_name(table)}").fetchone()
    for column, count in zip(columns, found, strict=True):
        if count:
            yield Found("d1_big_integers", f"{table}.{column}", int(count))


def _large(replica: sqlite3.Connection, plan: Plan, seconds: float) -> Iterator[Found]:
    for resource in plan.resources:
        query = f"SELECT count(*) FROM {quote_name(resource.table)}"
        try:
            (rows,) = replica.execute(query).fetchone()
        except sqlite3.OperationalError:
            continue  # a missing table is a hazard of its own
        if rows > LARGE_ROWS or seconds > LARGE_SECONDS:
            detail = f"On a copy in the same engine the whole migration took {seconds:.0f} s here."
            yield Found("d1_large", resource.table, rows, detail=detail)
