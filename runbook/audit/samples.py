"""Sample rows of a query, typed and exact whatever their values hold."""

from __future__ import annotations

import sqlite3

from runbook.run.findings import Sample
from runbook.sqlite.fields import query_rows

SAMPLES = 10
"""How many offending rows are kept for people to see."""


def sample_rows(
    connection: sqlite3.Connection, query: str, limit: int = SAMPLES, *, keys: int = 1
) -> tuple[Sample, ...]:
    """The first rows of `query`: its first `keys` columns name the row, the others describe it."""
    return tuple(
        Sample(
            key=row[:keys],
            column=row[keys].column if len(row) == keys + 1 else "",
            after=row[keys:] or None,
        )
        for row in query_rows(connection, query, limit=limit)
    )
