"""A capture: every table as exact Parquet, with digests, in one folder that describes itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runbook.audit.cells_file import same_columns
from runbook.audit.digest import Digester, Known, Replacement
from runbook.audit.parquet import Snapshot, SnapshotTable, write_snapshot
from runbook.audit.real_cell import encode_value
from runbook.errors import RunFolderError, TargetError
from runbook.files import sha256, write_sealed
from runbook.plan import timestamps
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.progress import Progress, no_progress
from runbook.run.findings import TableDigest
from runbook.run.json_form import read_record, to_json
from runbook.script.footprint import outside_columns
from runbook.script.migration import LEDGER
from runbook.sqlite.cells import encode
from runbook.sqlite.quoting import fold_name

PLACEHOLDER = b"<the run's timestamp>"
"""Starts with no cell's tag, so no value can be mistaken for it."""


@dataclass(frozen=True)
class Capture:
    """A captured database: the folder of Parquet files, and what describes them."""

    folder: Path
    snapshot: Snapshot

    @property
    def encoding(self) -> str:
        """The encoding of the database's text, as PRAGMA encoding names it."""
        return self.snapshot.encoding

    @property
    def tables(self) -> tuple[SnapshotTable, ...]:
        """Every table, by name."""
        return self.snapshot.tables

    def table(self, name: str) -> SnapshotTable:
        """One table; raises TargetError if there is none of this name."""
        return self.snapshot.table(name)

    def path(self, table: SnapshotTable) -> Path:
        """The Parquet file of one table."""
        return self.folder / table.file

    def check_encoding(self, other: Capture) -> None:
        """Raises TargetError if the other database stores text in another encoding."""
        if self.encoding != other.encoding:
            raise TargetError(
                f"The database's text was {self.encoding} and is {other.encoding}: "
                "compare it with a snapshot of the same database."
            )


def capture(
    database: Path,
    folder: Path,
    *,
    immutable: bool = False,
    progress: Progress = no_progress,
) -> Capture:
    """Writes the tables of a SQLite file into `folder`, with `snapshot.json` last.

    Raises:
        TargetError: the database cannot be read.
    """
    snapshot = write_snapshot(database, folder, progress=progress, immutable=immutable)
    write_sealed(folder / "snapshot.json", to_json(snapshot))
    return Capture(folder, snapshot)


def read_capture(folder: Path) -> Capture:
    """The capture in a folder.

    Raises:
        RunFolderError: its description is missing or damaged.
    """
    return Capture(folder, read_record(folder / "snapshot.json", Snapshot))


def check_capture(folder: Path) -> Capture:
    """Reads every Parquet file of a capture before something is concluded from it.

    Raises:
        RunFolderError: a file is missing or is not as it was written.
    """
    captured = read_capture(folder)
    for table in captured.tables:
        path = captured.path(table)
        if not path.is_file() or sha256(path) != table.sha256:
            what = "not as it was written (its checksum differs)" if path.is_file() else "missing"
            raise RunFolderError(
                f'The snapshot file {path} of the table "{table.name}" is {what}; put the original '
                "back."
            )
    return captured


@dataclass(frozen=True)
class Unchanged:
    """Digests that need not be computed again, by table: of whole tables, and of columns."""

    tables: Mapping[str, TableDigest] = field(default_factory=dict)
    columns: Mapping[str, Known] = field(default_factory=dict)


# Many parameters because who watches is no part of what is asked.
def digests(
    captured: Capture,
    plan: Plan,
    shape: Shape,
    applied_at: str | None = None,
    *,
    unchanged: Unchanged | None = None,
    progress: Progress = no_progress,
) -> tuple[TableDigest, ...]:
    """The digests of every table of a capture.

    `applied_at` is the run's timestamp, replaced by a placeholder in the digest `timeless`.
    `unchanged` has what need not be computed again (see `find_unchanged`). `progress` is shown the
    rows of all tables that are digested.
    """
    done, total = 0, sum(table.rows for table in captured.tables)
    unchanged = unchanged or Unchanged()
    digested = []
    for table in captured.tables:
        cells = (
            _timestamps(table.name, plan, shape, applied_at, captured.encoding)
            if applied_at
            else {}
        )
        progress("Digests", done, total, "rows")
        done += table.rows
        outside = outside_columns(plan, shape, table.name, table.columns)
        known = unchanged.columns.get(table.name)
        digested.append(
            unchanged.tables.get(table.name)
            or _digest(Digester(captured.path(table), table.key, known), table, outside, cells)
        )
    return tuple(digested)


def find_unchanged(
    before: Capture, digests_before: Iterable[TableDigest], after: Capture
) -> Unchanged:
    """Digests of before that are those of now, because the files say the same to the byte.

    A file with the same SHA-256 holds the same rows, so it has the same digests. Only tables
    without the run's timestamp are among them, since that is in no file from before. Where a file
    differs, columns whose bytes in it are the same hold the same cells in the same order; so their
    digests are the same as well, if the columns that put the rows in order are among them.
    """
    if before.encoding != after.encoding:
        return Unchanged()
    old = {table.name: table for table in before.tables}
    digested = {digest.table: digest for digest in digests_before}
    tables, columns = {}, {}
    for table in after.tables:
        was, digest = old.get(table.name), digested.get(table.name)
        if was is None or digest is None:
            continue
        if table.same_as(was):
            tables[table.name] = digest
            continue
        same = same_columns(before.path(was), after.path(table))
        if digest.columns and same.issuperset(digest.ordered_by):
            known = {name: d for name, d in digest.columns.items() if name in same}
            columns[table.name] = Known(known, digest.ordered_by)
    return Unchanged(tables, columns)


def _digest(
    digester: Digester,
    table: SnapshotTable,
    outside: tuple[str, ...],
    replace: Mapping[str, Replacement],
) -> TableDigest:
    everything = digester.digest(table.columns)
    return TableDigest(
        table=table.name,
        rows=table.rows,
        all_columns=everything.table,
        outside=digester.digest(outside).table,
        timeless=digester.digest(table.columns, replace).table,
        columns=everything.columns,
        ordered_by=everything.ordered_by,
    )


def _timestamps(
    table: str, plan: Plan, shape: Shape, applied_at: str, encoding: str
) -> Mapping[str, Replacement]:
    """The columns of a table that hold the run's timestamp, with its cell and the placeholder."""

    def cell(format_name: str) -> Replacement:
        return encode_value(timestamps.write(format_name, applied_at), encoding), PLACEHOLDER

    folded = fold_name(table)
    if folded == "organizations":
        return dict.fromkeys(("created_at", "updated_at"), cell(timestamps.SPECIFIED))
    if folded == LEDGER:
        return {"applied_at": (encode(applied_at, encoding), PLACEHOLDER)}
    if folded == "organization_memberships":
        columns = ("accepted_at", "created_at", "updated_at")
        return dict.fromkeys(columns, cell(timestamps.SPECIFIED))
    for resource in plan.resources:
        if fold_name(resource.table) == folded and resource.updated_at:
            return {resource.updated_at: cell(shape.format_of(resource))}
    return {}
