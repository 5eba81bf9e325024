"""Sample rows of a query in readable form, exact whatever their values hold."""

from __future__ import annotations

import sqlite3

from runbook.run.findings import Sample
from runbook.sqlite.cells import cell_sql, provide_atan2, readable
from runbook.sqlite.quoting import quote_name

SAMPLES = 10
"""How many offending rows are kept for people to look at."""


def sample_rows(
    connection: sqlite3.Connection, query: str, limit: int = SAMPLES
) -> tuple[Sample, ...]:
    """The first rows of `query`: its first column names the row, the others show what is there."""
    provide_atan2(connection)
    names = [d[0] for d in connection.execute(f"SELECT * FROM ({query}) LIMIT 0").description]
    cells = ", ".join(cell_sql(quote_name(name)) for name in names)
    (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    rows = connection.execute(f"SELECT {cells} FROM ({query}) LIMIT {limit}")
    return tuple(
        Sample(
            key=readable(row[0], encoding),
            column=", ".join(names[1:]),
            after=", ".join(readable(cell, encoding) for cell in row[1:]) or None,
        )
        for row in rows
    )
