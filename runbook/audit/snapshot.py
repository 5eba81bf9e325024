"""A capture: every table as exact Parquet, with digests, in one folder that describes itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb

from runbook.audit.digest import digest_table
from runbook.audit.duckdb_session import open_duckdb
from runbook.audit.parquet import Snapshot, write_snapshot
from runbook.errors import RunFolderError
from runbook.files import read_sealed, sha256, write_sealed
from runbook.plan import timestamps
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.progress import Progress, no_progress
from runbook.run.findings import TableDigest
from runbook.run.json_form import from_json, to_json
from runbook.script.footprint import outside_columns
from runbook.script.migration import LEDGER

PLACEHOLDER = b"<the run's timestamp>"
"""Starts with no cell's tag, so no value can be mistaken for it."""


def capture(
    database: Path,
    folder: Path,
    *,
    immutable: bool = False,
    progress: Progress = no_progress,
) -> Snapshot:
    """Writes the tables of a SQLite file into `folder`, with `snapshot.json` last.

    Raises:
        TargetError: the database cannot be read.
    """
    snapshot = write_snapshot(database, folder, progress=progress, immutable=immutable)
    write_sealed(folder / "snapshot.json", to_json(snapshot))
    return snapshot


def read_capture(folder: Path) -> Snapshot:
    """The description of a capture.

    Raises:
        RunFolderError: it is missing or damaged.
    """
    return from_json(Snapshot, read_sealed(folder / "snapshot.json"))


def check_capture(folder: Path) -> None:
    """Looks at every Parquet file of a capture before something is concluded from it.

    Raises:
        RunFolderError: a file is missing or is not as it was written.
    """
    for table in read_capture(folder).tables:
        path = folder / table.file
        if not path.is_file() or sha256(path) != table.sha256:
            what = "not as it was written (its checksum differs)" if path.is_file() else "missing"
            raise RunFolderError(
                f'The snapshot file {path} of the table "{table.name}" is {what}; put the original '
                "back."
            )


def digests(
    snapshot: Snapshot,
    folder: Path,
    plan: Plan,
    shape: Shape,
    applied_at: str | None = None,
    *,
    known: Mapping[str, TableDigest] | None = None,
) -> tuple[TableDigest, ...]:
    """The digests of every table of a capture.

    `applied_at` is the run's timestamp, replaced by a placeholder in the digest `timeless`.
    `known` has digests that need not be computed again (see `unchanged_digests`).
    """
    known = known or {}
    with open_duckdb(folder) as connection:
        return tuple(
            known.get(table.name)
            or _digest(snapshot, folder, table.name, plan, shape, applied_at, connection)
            for table in snapshot.tables
        )


def unchanged_digests(
    before: Snapshot, digests_before: Iterable[TableDigest], after: Snapshot
) -> dict[str, TableDigest]:
    """Digests of before, by table, that are those of now: the file is the same to the byte.

    A file with the same SHA-256 holds the same rows, so it has the same digests. Only tables
    without the run's timestamp are among them, since that is in no file from before.
    """
    old = {table.name: table for table in before.tables}
    same = {
        table.name
        for table in after.tables
        if table.name in old
        and (table.sha256, table.columns) == (old[table.name].sha256, old[table.name].columns)
        and before.encoding == after.encoding
    }
    return {d.table: d for d in digests_before if d.table in same}


def _digest(
    snapshot: Snapshot,
    folder: Path,
    name: str,
    plan: Plan,
    shape: Shape,
    applied_at: str | None,
    connection: duckdb.DuckDBPyConnection,
) -> TableDigest:
    table = next(t for t in snapshot.tables if t.name == name)
    path = folder / table.file
    everything = digest_table(path, table.columns, connection=connection)
    outside = outside_columns(plan, name, table.columns)
    replace = _timestamps(snapshot, name, plan, shape, applied_at) if applied_at else {}
    return TableDigest(
        table=name,
        rows=table.rows,
        all_columns=everything,
        outside=everything
        if outside == table.columns
        else digest_table(path, outside, connection=connection),
        timeless=digest_table(path, table.columns, replace=replace, connection=connection)
        if replace
        else everything,
    )


def _timestamps(
    snapshot: Snapshot, name: str, plan: Plan, shape: Shape, applied_at: str
) -> Mapping[str, tuple[bytes, bytes]]:
    """The columns of a table that hold the run's timestamp, with its cell and the placeholder."""
    codec = snapshot.encoding.lower().replace("16le", "-16-le").replace("16be", "-16-be")

    def cell(format_name: str) -> tuple[bytes, bytes]:
        value = timestamps.write(format_name, applied_at)
        tag = "i" if isinstance(value, int) else "t"
        return f"{tag}{value}".encode(codec), PLACEHOLDER

    folded = name.casefold()
    if folded == "organizations":
        return dict.fromkeys(("created_at", "updated_at"), cell(timestamps.SPECIFIED))
    if folded == LEDGER:
        return {"applied_at": (f"t{applied_at}".encode(codec), PLACEHOLDER)}
    if folded == "organization_memberships":
        columns = ("accepted_at", "created_at", "updated_at")
        return dict.fromkeys(columns, cell(timestamps.SPECIFIED))
    for resource in plan.resources:
        if resource.table.casefold() == folded and resource.updated_at:
            return {resource.updated_at: cell(shape.format_of(resource))}
    return {}
