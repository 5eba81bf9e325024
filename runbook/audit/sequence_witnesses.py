"""The counters of AUTOINCREMENT as DuckDB and pandas read them in two captures."""

from __future__ import annotations

from collections.abc import Iterator

from runbook.audit.columns import ColumnFile
from runbook.audit.duckdb_session import open_duckdb, read_parquet
from runbook.audit.findings import SEQUENCES
from runbook.audit.parquet import SnapshotTable
from runbook.audit.sequences import moving, sequence_findings
from runbook.audit.snapshot import Capture
from runbook.plan.plan import Plan
from runbook.run.findings import Finding
from runbook.sqlite.cells import decode
from runbook.sqlite.quoting import quote_name, same_name

Rows = list[tuple[object, object]]


def duckdb_sequences(plan: Plan, before: Capture, after: Capture) -> Iterator[Finding]:
    """What DuckDB finds, with SQL over the Parquet files; nothing where no counter may move."""
    if not moving(plan):
        return
    with open_duckdb(after.folder) as connection:

        def rows(capture: Capture) -> Rows:
            table = _table(capture, SEQUENCES)
            if table is None:
                return []
            name, seq = (quote_name(column) for column in table.columns)
            file = read_parquet(capture.path(table))
            cells = connection.execute(f"SELECT {name}, {seq} FROM {file}").fetchall()
            return [(decode(n, capture.encoding), decode(s, capture.encoding)) for n, s in cells]

        def largest(name: str) -> int | None:
            table = _table(after, name)
            if table is None or table.rowid_column is None:
                return None
            file, rowid = read_parquet(after.path(table)), quote_name(table.rowid_column)
            row = connection.execute(f"SELECT max({rowid}) FROM {file}").fetchone()
            return row[0] if row else None

        yield from sequence_findings(plan, rows(before), rows(after), largest, "duckdb")


def pandas_sequences(plan: Plan, before: Capture, after: Capture) -> Iterator[Finding]:
    """What pandas finds, with no SQL; nothing where no counter may move."""
    if not moving(plan):
        return

    def rows(capture: Capture) -> Rows:
        table = _table(capture, SEQUENCES)
        if table is None:
            return []
        file = ColumnFile.of(capture, SEQUENCES)
        columns = [file.read(column).to_pylist() for column in table.columns]
        return [
            (decode(n, capture.encoding), decode(s, capture.encoding))
            for n, s in zip(*columns, strict=True)
        ]

    def largest(name: str) -> int | None:
        table = _table(after, name)
        if table is None or table.rowid_column is None:
            return None
        return max(
            ColumnFile.of(after, table.name).read(table.rowid_column).to_pylist(), default=None
        )

    yield from sequence_findings(plan, rows(before), rows(after), largest, "pandas")


def _table(capture: Capture, name: str) -> SnapshotTable | None:
    return next((t for t in capture.tables if same_name(t.name, name)), None)
