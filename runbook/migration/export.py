"""Organizations and memberships as files, before a rollback takes them out of the database.

Each table is written twice: as Parquet in the tagged cells of the snapshots, which loses nothing,
and as CSV for people and spreadsheets (NULL is an empty field, a BLOB is its hexadecimal digits).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from runbook.audit.assignments import Assignments
from runbook.audit.cells_file import CellsWriter
from runbook.audit.parquet import cells_schema, file_word
from runbook.errors import Refused
from runbook.files import rename_durably, sync_folder
from runbook.script.migration import NEW_TABLES
from runbook.sqlite.cells import cell_sql, decode, provide_functions
from runbook.sqlite.quoting import fold_name, quote_name
from runbook.sqlite.tables import read_tables

_ROWS_AT_ONCE = 20_000
_END = 2**31 - 1  # further than any cell


def export_organizations(
    connection: sqlite3.Connection, folder: Path, assignments: Iterable[Assignments] = ()
) -> tuple[Path, ...]:
    """Writes what a rollback discards into `folder`, durably.

    `organizations` and `organization_memberships` of `main` as a whole, if they are there, and of
    each resource the rows that users assigned to an organization. Older exports are replaced.

    Raises:
        Refused: the folder cannot be written.
    """
    provide_functions(connection)
    written: list[Path] = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in folder.glob("assignments-*"):
            stale.unlink()
        for export in (*_new_tables(connection), *_assigned(assignments)):
            written += _export(connection, export, folder)
        sync_folder(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise Refused(
            f"Organizations and memberships cannot be exported to {folder} ({error.strerror}); "
            "make room or make the folder writable, and try again; nothing was changed."
        ) from error
    return tuple(written)


@dataclass(frozen=True)
class _Export:
    """A query whose rows go into the files of this name; `rowid` is read beside its columns."""

    name: str
    columns: tuple[str, ...]
    query: str
    rowid: str | None = None


def _new_tables(connection: sqlite3.Connection) -> Iterator[_Export]:
    for table in read_tables(connection):
        if table.kind == "table" and fold_name(table.name) in NEW_TABLES:
            query = f"SELECT {{}} FROM main.{quote_name(table.name)}"
            yield _Export(table.name, table.column_names, query, table.rowid)


def _assigned(assignments: Iterable[Assignments]) -> Iterator[_Export]:
    for number, each in enumerate(assignments, 1):
        if each.rows:
            name = f"assignments-{number:04d}-{file_word(each.table)}"
            yield _Export(name, each.columns, f"SELECT {{}} FROM ({each.query})")


def _export(connection: sqlite3.Connection, export: _Export, folder: Path) -> Iterator[Path]:
    names = export.columns
    parquet, text = (folder / f"{export.name}.{suffix}" for suffix in ("parquet", "csv"))
    parts = [path.with_name(f".{path.name}.part") for path in (parquet, text)]
    exact = cells_schema(names, with_rowid=export.rowid is not None)
    readable = pa.schema([pa.field(name, pa.string()) for name in names])
    (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    try:
        with (
            CellsWriter(parts[0], exact, names, encoding) as writer,
            pyarrow.csv.CSVWriter(parts[1], readable) as lines,
        ):
            for arrays in _batches(connection, export):
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=exact))
                texts = [_texts(a, encoding) for a in arrays[-len(names) :]]
                lines.write_batch(pa.RecordBatch.from_arrays(texts, schema=readable))
        for part, path in zip(parts, (parquet, text), strict=True):
            rename_durably(part, path)
            yield path
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _batches(connection: sqlite3.Connection, export: _Export) -> Iterator[list[pa.Array]]:
    """Some rows at a time, in the order of the table: the rowid if there is one, and the cells."""
    rowid = [] if export.rowid is None else [quote_name(export.rowid)]
    cells = [cell_sql(quote_name(name)) for name in export.columns]
    types = [pa.int64() for _ in rowid] + [pa.binary() for _ in cells]
    cursor = connection.execute(export.query.replace("{}", ", ".join([*rowid, *cells]), 1))
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        columns = zip(*rows, strict=True)
        yield [pa.array(c, t) for c, t in zip(columns, types, strict=True)]


def _texts(cells: pa.Array, encoding: str) -> pa.Array:
    """The cells without their tags, as text; NULL stays NULL."""
    if encoding == "UTF-8":
        # In UTF-8 the tag is one byte, so all cells are cut at once.
        values = pc.if_else(pc.equal(cells, b"n"), None, pc.binary_slice(cells, 1, _END))
        with contextlib.suppress(pa.ArrowInvalid):  # text that is not valid UTF-8
            return values.cast(pa.string())
    return pa.array([_text(cell, encoding) for cell in cells.to_pylist()], pa.string())


def _text(cell: bytes, encoding: str) -> str | None:
    value = decode(cell, encoding)
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex().upper()
    return str(value).encode("utf-8", "backslashreplace").decode()
