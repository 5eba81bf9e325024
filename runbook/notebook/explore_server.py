"""A second DuckDB that sees the views of the first and nothing else.

Masking inside a view protects nothing from whoever may read the file under it, or may write over
it. So the files belong to one DuckDB, and people get another, which has no access to any file and
whose settings are locked: each of its tables streams what a view of the first returns, only the
columns that a query needs, already masked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from runbook.audit.duckdb_session import open_duckdb
from runbook.notebook.explore_questions import questions
from runbook.notebook.explore_views import NUMBER, Snapshots, View, views
from runbook.sqlite.cells import CODECS
from runbook.sqlite.quoting import quote_name

_ROWS_AT_ONCE = 122_880  # a row group of DuckDB
_MEMORY = "3GB"
_FEW = 8  # one row in as many
_ROW = "__row"
"""The first column, which people do not see: who only counts rows asks for it, for nothing."""

_ARROW: Any = "arrow"  # a function of whole columns
_TYPES = {
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BLOB": pa.binary(),
    "WORD": pa.dictionary(pa.uint8(), pa.string()),
}


@dataclass(frozen=True)
class _Scan:
    """What DuckDB takes for a scanner of Arrow's.

    Arrow's own reads ahead in a thread that outlives the scan; where a query ends early (LIMIT),
    that thread comes upon what is no longer there, and the process dies of it.
    """

    reader: Any

    def to_reader(self) -> Any:
        """The batches of the scan."""
        return self.reader


def _filtered(reader: Any, condition: Any, wanted: list[str]) -> Any:
    """The reader's rows that satisfy the condition, and of its columns those that are wanted."""

    def batches() -> Iterator[Any]:
        for batch in reader:
            rows = pa.Table.from_batches([batch]).filter(condition)
            yield from rows.select(wanted).to_batches()

    schema = pa.schema([reader.schema.field(name) for name in wanted])
    return pa.RecordBatchReader.from_batches(schema, batches())


class Served(ds.InMemoryDataset):  # type: ignore[misc]
    """A view of the inner DuckDB as an Arrow dataset, the form in which the outer one scans it."""

    inner: duckdb.DuckDBPyConnection
    view: View

    @classmethod
    def of(cls, inner: duckdb.DuckDBPyConnection, view: View) -> Served:
        """The dataset of a view; nothing of it is read or even planned yet."""
        fields = [pa.field(_ROW, pa.int64())]
        fields += [pa.field(name, _TYPES[type_]) for name, type_ in view.fields]
        served = cls(pa.Table.from_batches([], schema=pa.schema(fields)))
        served.inner, served.view = inner, view
        return served

    def scanner(self, columns: list[str] | None = None, filter: Any = None, **_: Any) -> Any:
        """What DuckDB calls for each scan: the columns it wants, and a condition on the rows."""
        wanted = list(self.schema.names if columns is None else columns)
        if filter is None:
            return _Scan(self._read(wanted))
        asked = self._columns_of(filter)
        # Where the condition is about all columns that are decoded, once through is enough.
        if self.view.numbered and asked and not set(wanted) <= {*asked, _ROW}:
            numbers = self._numbers_where(filter, asked)
            if numbers is not None:
                return _Scan(self._read(wanted, numbers))
        reader = self._read([*wanted, *(name for name in asked if name not in wanted)])
        return _Scan(_filtered(reader, filter, wanted))

    def _read(self, names: Sequence[str], numbers: Any = None) -> Any:
        """A reader of these columns, of all rows or of those with these numbers."""
        cells = ", ".join(f"0::BIGINT AS {_ROW}" if n == _ROW else quote_name(n) for n in names)
        # Each scan has a cursor of its own: a query may scan a view twice at the same time.
        cursor = self.inner.cursor()
        query = f"SELECT {cells} FROM ({self.view.sql})"
        if numbers is not None:
            cursor.register("kept", numbers)
            query += f" WHERE {NUMBER} IN (SELECT {NUMBER} FROM temp.kept)"
        return cursor.sql(query).to_arrow_reader(_ROWS_AT_ONCE)

    def _numbers_where(self, condition: Any, asked: Sequence[str]) -> Any:
        """Numbers of the rows that satisfy the condition; None where they are not few.

        For few rows it saves decoding all other columns, and masking takes longest.
        """
        kept, all_rows = [], 0
        with self._read([*asked, NUMBER]) as reader:
            for batch in reader:
                all_rows += batch.num_rows
                kept.append(pa.Table.from_batches([batch]).filter(condition).select([NUMBER]))
                if sum(table.num_rows for table in kept) > all_rows // _FEW:
                    return None
        return pa.concat_tables(kept) if kept else None

    def _columns_of(self, condition: Any) -> tuple[str, ...]:
        """The columns without which the condition has no meaning."""
        names = []
        for name, _ in self.view.fields:
            rest = pa.schema([field for field in self.schema if field.name != name])
            try:
                pa.Table.from_batches([], schema=rest).filter(condition)
            except pa.ArrowInvalid:
                names.append(name)
        return tuple(names)


@contextlib.contextmanager
def serving(
    snapshots: Snapshots,
    spill: Path,
    prepare: Callable[[duckdb.DuckDBPyConnection], object] = lambda outer: None,
) -> Iterator[tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection]]:
    """Two connections to the DuckDB for people, over another one that alone reads files.

    `spill` is a folder for what does not fit into memory; `prepare` may add views of its own.
    """
    encoding = snapshots.before.encoding
    with contextlib.ExitStack() as stack:
        inner = stack.enter_context(open_duckdb(spill, alone=True))
        if encoding != "UTF-8":
            _provide_utf8(inner, encoding)
        outer = stack.enter_context(_open_outer(spill))
        other = stack.enter_context(contextlib.closing(outer.cursor()))
        for schema in ("before", *(("after", "changes") if snapshots.after else ())):
            outer.execute(f"CREATE SCHEMA {schema}").fetchall()
        for number, view in enumerate((*views(snapshots), *questions(snapshots))):
            name = f"__snapshot_{number}"
            _serve(inner, (outer, other), view, name)
            for connection in (outer, other):
                stack.callback(_unregister, connection, name)
        prepare(outer)
        _lock(outer)
        yield outer, other


def _unregister(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Takes a dataset back, where nobody has closed the connection already."""
    with contextlib.suppress(duckdb.Error):
        connection.unregister(name)


def _serve(
    inner: duckdb.DuckDBPyConnection,
    outers: tuple[duckdb.DuckDBPyConnection, ...],
    view: View,
    name: str,
) -> None:
    """Makes what the inner DuckDB reads a table of the outer one, on each connection to it."""
    served = Served.of(inner, view)
    for connection in outers:  # each has names of its own for what it is handed
        connection.register(name, served)
    columns = ", ".join(
        f"{quote_name(cell)} AS {quote_name(column)}"
        for cell, column in zip(served.schema.names[1:], view.columns, strict=True)
    )
    order = f" ORDER BY {view.order}" if view.order else ""
    outers[0].execute(
        f"CREATE VIEW {view.schema}.{quote_name(view.name)} AS"
        f" SELECT {columns} FROM temp.{name}{order}"
    ).fetchall()


@contextlib.contextmanager
def _open_outer(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory that spills into `spill`; `lock` it once it is set up."""
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "false",
            "memory_limit": _MEMORY,
            "threads": os.cpu_count() or 1,
            "temp_directory": str(spill),
            "python_enable_replacements": "false",  # a table's name is never a variable of ours
        }
    )
    with contextlib.closing(connection):
        connection.execute("SET enable_progress_bar = false").fetchall()
        yield connection


def _lock(connection: duckdb.DuckDBPyConnection) -> None:
    """From here on the connection reaches no file, and nobody can change that."""
    connection.execute("SET enable_external_access = false").fetchall()
    connection.execute("SET lock_configuration = true").fetchall()


def _provide_utf8(inner: duckdb.DuckDBPyConnection, encoding: str) -> None:
    """Defines `runbook_utf8`, which turns cells of a UTF-16 database into cells of UTF-8."""
    codec = CODECS[encoding]

    def narrow(cells: Any) -> Any:
        return pa.array([_narrowed(cell, codec) for cell in cells.to_pylist()], pa.binary())

    inner.create_function("runbook_utf8", narrow, ["BLOB"], "BLOB", type=_ARROW)


def _narrowed(cell: bytes | None, codec: str) -> bytes | None:
    if cell is None:
        return None
    try:
        return cell.decode(codec).encode()
    except UnicodeDecodeError:
        return b"t\xff"  # no text: its bytes are shown from the cell itself
