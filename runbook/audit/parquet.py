"""Exact Parquet of every table of a SQLite file: encoded by SQLite, so nothing is converted.

Each stored table becomes one file. Every column is binary and holds tagged cells (see `cells`);
where the rowid can be read it is the first column, a 64-bit integer under a name that no column
has (`rowid_column`). Typed routes are faster by nothing and lose values in silence.

All tables are read in one state of the database, even while others write to it: every reading
connection opens its read transaction between two looks at `PRAGMA data_version` that agree, so
nothing was committed in between. Afterwards each keeps its own snapshot (WAL) or holds writers
off (rollback journal).

The driver brings its own copy of SQLite. POSIX locks belong to a process, and closing a file
drops all of them, so no connection of Python's `sqlite3` to the same file may be open in this
process meanwhile.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adbc_driver_sqlite.dbapi as adbc
import pyarrow as pa

from runbook.audit.cells_file import CellsWriter
from runbook.audit.readers import ATTEMPTS, BUSY_MILLISECONDS, Readers, scalar, uri_of
from runbook.errors import TargetError
from runbook.files import sha256, sync_file, sync_folder
from runbook.progress import Progress, no_progress
from runbook.sqlite.cells import captured_cell_sql
from runbook.sqlite.quoting import quote_name, same_name
from runbook.sqlite.tables import Table, read_tables, stored_tables
from runbook.wording import counted
from runbook.workers import workers

_BATCH_ROWS = 65_536
_MOST_COLUMNS = 2000
_BATCH_BYTES = 16 << 20  # of encoded cells; wide rows make smaller batches
_FEW_BYTES = _BATCH_BYTES >> 2  # of a database: cells seldom take four times what SQLite takes


@dataclass(frozen=True)
class SnapshotTable:
    """One table's file: its name, rows, columns, declared key, size in bytes and checksum."""

    name: str
    file: str
    rows: int
    columns: tuple[str, ...]
    rowid: bool
    key: tuple[str, ...]
    bytes: int
    sha256: str

    @property
    def rowid_column(self) -> str | None:
        """Name of the file's first column if it holds the rowid."""
        return rowid_column(self.columns) if self.rowid else None

    def same_as(self, other: SnapshotTable) -> bool:
        """Whether the other's file is this one to the byte, and so holds the same rows."""
        of_file = (self.sha256, self.bytes, self.rows, self.columns, self.rowid, self.key)
        return of_file == (
            other.sha256,
            other.bytes,
            other.rows,
            other.columns,
            other.rowid,
            other.key,
        )


@dataclass(frozen=True)
class Snapshot:
    """All stored tables of a database, sorted by name, and the encoding of its text."""

    encoding: str
    tables: tuple[SnapshotTable, ...]

    def table(self, name: str) -> SnapshotTable:
        """Return the table of this name, compared as SQLite compares names.

        Raises TargetError if there is none.
        """
        for table in self.tables:
            if same_name(table.name, name):
                return table
        raise TargetError(
            f"The snapshot has no table {name!r}: take it from the database that the plan means."
        )


def rowid_column(columns: Sequence[str]) -> str:
    """Return `__rowid__`, with further underscores in front until no column has that name."""
    taken = {column.lower() for column in columns}
    name = "__rowid__"
    while name in taken:
        name = "_" + name
    return name


def exact_schema(table: Table) -> pa.Schema:
    """The Parquet schema of a table's cells, with its rowid first if it has one."""
    return cells_schema(table.column_names, with_rowid=table.rowid is not None)


def cells_schema(names: tuple[str, ...], *, with_rowid: bool) -> pa.Schema:
    """The Parquet schema of columns of cells, with the rowid first if it is wanted."""
    fields = [pa.field(name, pa.binary(), nullable=False) for name in names]
    if with_rowid:
        fields.insert(0, pa.field(rowid_column(names), pa.int64(), nullable=False))
    return pa.schema(fields)


def file_word(table: str) -> str:
    """What can stand of a table's name in the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", table.lower()).strip("-")[:40] or "table"


def write_snapshot(
    database: Path, folder: Path, *, progress: Progress = no_progress, immutable: bool = False
) -> Snapshot:
    """Write every stored table of the SQLite file `database` into `folder`.

    `progress` is shown the rows written of each table. `immutable` reads a file that nobody
    can change, such as a backup on read-only storage, without locks and without its WAL. Files
    appear whole or not at all. Raises TargetError if the database cannot be read, or if a table
    yields other than the number of rows that SQLite counts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as stack:
            for attempt in range(ATTEMPTS):
                encoding, version, tables = _read_schema(database, immutable)
                readers = stack.enter_context(Readers(database, immutable))
                if readers.schema_version() == version:
                    break
                if attempt == ATTEMPTS - 1:
                    raise TargetError(
                        f"The schema of {database} keeps changing: stop its writers and try again."
                    )
                stack.pop_all().close()
            source = _Source(readers, encoding, few=readers.bytes() < _FEW_BYTES)
            written = [
                _write_table(source, number, table, folder, progress)
                for number, table in enumerate(tables, start=1)
            ]
            sync_folder(folder)
    except (sqlite3.Error, adbc.Error) as error:
        raise TargetError(
            f"The database {database} cannot be read ({str(error)[:300]}): check the file and its "
            "writers."
        ) from error
    return Snapshot(encoding, tuple(written))


def _read_schema(database: Path, immutable: bool) -> tuple[str, int, tuple[Table, ...]]:
    connection = sqlite3.connect(uri_of(database, immutable), uri=True, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        connection.execute("BEGIN")
        (encoding,) = connection.execute("PRAGMA encoding").fetchone()
        (version,) = connection.execute("PRAGMA schema_version").fetchone()
        return encoding, version, stored_tables(read_tables(connection))


@dataclass(frozen=True)
class _Source:
    """A database that is read, and whether each of its tables is few bytes."""

    readers: Readers
    encoding: str
    few: bool


def _write_table(
    source: _Source, number: int, table: Table, folder: Path, progress: Progress
) -> SnapshotTable:
    file = folder / f"{number:04d}-{file_word(table.name)}.parquet"
    schema = exact_schema(table)
    with source.readers.one() as connection:
        expected = _count(connection, table)
        batch_rows = _BATCH_ROWS if source.few else _batch_rows(connection, table)
        bounds = _bounds(connection, table, batch_rows, expected)
    rows = 0
    part = folder / f".{file.name}.part"
    try:
        with (
            _sink(part, source) as sink,
            CellsWriter(sink, schema, table.column_names, source.encoding) as writer,
        ):
            for batch in _batches(source, table, bounds, batch_rows):
                if batch.num_rows:
                    writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
                    rows += batch.num_rows
                    progress(f"Snapshot of {table.name}", rows, expected, "rows")
        if rows != expected:
            raise TargetError(
                f"Table {table.name!r} yielded {counted(rows, 'row')} where SQLite "
                f"counts {expected:,}: run PRAGMA integrity_check on the database."
            )
        sync_file(part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return SnapshotTable(
        name=table.name,
        file=file.name,
        rows=rows,
        columns=table.column_names,
        rowid=table.rowid is not None,
        key=table.key,
        bytes=file.stat().st_size,
        sha256=sha256(file),
    )


@contextlib.contextmanager
def _sink(part: Path, source: _Source) -> Iterator[Any]:
    """What a table's file is written to; few bytes are gathered, and written in one go."""
    if not source.few:
        with part.open("wb") as file:
            yield file
        return
    gathered = pa.BufferOutputStream()
    yield gathered
    part.write_bytes(gathered.getvalue())


def _count(connection: Any, table: Table) -> int:
    count = f"SELECT count(*) FROM {quote_name(table.name)}"
    try:
        return scalar(connection, count)
    except adbc.Error as error:
        # An index whose collation exists only in the application cannot be used for counting.
        if "no such collation" not in str(error):
            raise
        return scalar(connection, f"{count} NOT INDEXED")


def _batch_rows(connection: Any, table: Table) -> int:
    """Rows that take about _BATCH_BYTES, judged by the first hundred.

    A power of two, because each batch is written as a whole: then a column that did not change is
    nearly always the same to the byte also where another column was added.
    """
    # A column each: a sum of 2,000 is too deep for SQLite. The lengths are taken inside, so that
    # no column with a collation of the application leaves the subquery.
    columns = [quote_name(column) for column in table.column_names]
    lengths = [f"ifnull(length(CAST({c} AS BLOB)), 0) AS c{i}" for i, c in enumerate(columns)]
    averages = [f"avg(c{i}) * 2 + 8" for i in range(len(columns))]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(averages) or '8'} FROM"
            f" (SELECT {', '.join(lengths) or '1'} FROM {quote_name(table.name)} LIMIT 100)"
        )
        row = cursor.fetchone()
    width = int(sum(value or 0 for value in row))
    rows = max(64, min(_BATCH_ROWS, _BATCH_BYTES // max(1, width)))
    return rows if rows == _BATCH_ROWS else 1 << (rows.bit_length() - 1)


def _bounds(connection: Any, table: Table, batch_rows: int, rows: int) -> list[int]:
    """Return the last rowid of every batch but the last; [] to read the table in one go."""
    if table.rowid is None or rows <= batch_rows:
        return []
    rowid = quote_name(table.rowid)
    bounds: list[int] = []
    while (len(bounds) + 1) * batch_rows < rows:
        after = f"WHERE {rowid} > {bounds[-1]}" if bounds else ""
        bounds.append(
            scalar(
                connection,
                f"SELECT {rowid} FROM {quote_name(table.name)} {after}"
                f" ORDER BY {rowid} LIMIT 1 OFFSET {batch_rows - 1}",
            )
        )
    return bounds


def _batches(source: _Source, table: Table, bounds: list[int], batch_rows: int) -> Iterator[Any]:
    """Yield the table's batches in rowid order, read ahead by as many threads as readers."""
    readers = source.readers
    names = map(quote_name, table.column_names)
    cells = [f"{captured_cell_sql(name)} AS c{i}" for i, name in enumerate(names)]
    select = f"FROM {quote_name(table.name)}"
    if table.rowid is None:
        yield from _stream(source, f"SELECT {', '.join(cells)} {select}", batch_rows)
        return
    rowid = quote_name(table.rowid)
    # SQLite gives at most 2,000 columns at once, and a table may have as many without its rowid.
    columns = [f"{rowid} AS r", *cells]
    groups = [columns[i : i + _MOST_COLUMNS] for i in range(0, len(columns), _MOST_COLUMNS)]
    ranges: list[str] = []
    for i in range(len(bounds) + 1):
        limits = [f"{rowid} > {bounds[i - 1]}"] if i else []
        limits += [f"{rowid} <= {bounds[i]}"] if i < len(bounds) else []
        ranges.append(f"WHERE {' AND '.join(limits)}" if limits else "")

    def read(limits: str) -> list[Any]:
        parts = []
        with readers.one() as connection:
            for group in groups:
                sql = f"SELECT {', '.join(group)} {select} {limits} ORDER BY {rowid}"
                with _query(connection, sql, batch_rows) as batches:
                    parts.append(list(batches))
        return [
            pa.RecordBatch.from_arrays(
                [column for batch in together for column in batch.columns],
                names=[name for batch in together for name in batch.schema.names],
            )
            for together in zip(*parts, strict=True)
        ]

    with workers(readers.count, small=not bounds) as pool:
        pending: list[Future[list[Any]]] = []
        try:
            for each in ranges:
                pending.append(pool.submit(read, each))
                if len(pending) > readers.count:
                    yield from pending.pop(0).result()
            while pending:
                yield from pending.pop(0).result()
        finally:
            for future in pending:
                future.cancel()


def _stream(source: _Source, sql: str, batch_rows: int) -> Iterator[Any]:
    """Yield batches of one statement, reading the next one while the last is being written."""
    with (
        workers(1, small=source.few) as pool,
        source.readers.one() as connection,
        _query(connection, sql, batch_rows) as batches,
    ):
        iterator = iter(batches)
        ahead: Future[Any] = pool.submit(next, iterator, None)
        while (batch := ahead.result()) is not None:
            ahead = pool.submit(next, iterator, None)
            yield batch


@contextlib.contextmanager
def _query(connection: Any, sql: str, batch_rows: int) -> Iterator[Any]:
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": batch_rows})
        cursor.execute(sql)
        with cursor.fetch_record_batch() as reader:
            yield reader
