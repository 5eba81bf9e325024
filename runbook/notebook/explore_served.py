"""A second DuckDB that sees the views of the first and nothing else.

Masking inside a view protects nothing from whoever may read the file under it, or may write over
it. So the files belong to one DuckDB, and people get another, which has no access to any file and
whose settings are locked: each of its tables streams what a view of the first returns, only the
columns that a query needs, already masked.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from runbook.audit.duckdb_session import open_duckdb
from runbook.notebook.explore_views import Snapshots, View, views
from runbook.sqlite.cells import CODECS
from runbook.sqlite.quoting import quote_name

_ROWS_AT_ONCE = 122_880  # a row group of DuckDB
_MEMORY = "3GB"
_SPECIAL: Any = "special"  # which is called with NULL, too
_numbers = itertools.count()
_ROW = "__row"
"""The first column, which people do not see: who only counts rows asks for it, for nothing."""

_ARROW: Any = "arrow"  # a function of whole columns
_TYPES = {
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BLOB": pa.binary(),
}


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
            return ds.Scanner.from_batches(self._read(wanted))
        asked = self._columns_of(filter)
        render = self.view.render_kept
        # Where the condition is about all columns that are decoded, Arrow itself is quicker.
        if render is None or not asked or set(wanted) <= {*asked, _ROW}:
            wanted_too = [name for name in asked if name not in wanted]
            reader = self._read([*wanted, *wanted_too])
            return ds.Scanner.from_batches(reader, columns=wanted, filter=filter)
        query = render(self._keeping(filter, asked), asked)
        return ds.Scanner.from_batches(self._read(wanted, query))

    def _read(self, names: list[str], query: str = "") -> Any:
        cells = ", ".join(f"0::BIGINT AS {_ROW}" if n == _ROW else quote_name(n) for n in names)
        # Each scan has a cursor of its own: a query may scan a view twice at the same time.
        relation = self.inner.cursor().sql(f"SELECT {cells} FROM ({query or self.view.sql})")
        return relation.to_arrow_reader(_ROWS_AT_ONCE)

    def _keeping(self, condition: Any, names: tuple[str, ...]) -> str:
        """A function that keeps the rows of an Arrow condition before other columns are decoded."""
        types = dict(self.view.fields)

        def keep(*cells: Any) -> Any:
            table = pa.table(dict(zip(names, cells, strict=True)))
            kept = ds.dataset(table).scanner(columns={"kept": condition}).to_table()["kept"]
            return kept.fill_null(False).combine_chunks()

        # DuckDB counts the parameters in the signature.
        place = inspect.Parameter.POSITIONAL_ONLY
        signature = inspect.Signature([inspect.Parameter(name, place) for name in names])
        keep.__signature__ = signature  # type: ignore[attr-defined]
        function = f"runbook_keep_{next(_numbers)}"
        self.inner.create_function(
            function,
            keep,
            [types[name] for name in names],
            "BOOLEAN",
            type=_ARROW,
            null_handling=_SPECIAL,
        )
        return function

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
        inner = stack.enter_context(open_duckdb(spill))
        if encoding != "UTF-8":
            _provide_utf8(inner, encoding)
        outer = stack.enter_context(_open_outer(spill))
        other = stack.enter_context(contextlib.closing(outer.cursor()))
        for schema in ("before", *(("after", "changes") if snapshots.after else ())):
            outer.execute(f"CREATE SCHEMA {schema}").fetchall()
        for number, view in enumerate(views(snapshots)):
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
    outers[0].execute(
        f"CREATE VIEW {view.schema}.{quote_name(view.name)} AS SELECT {columns} FROM temp.{name}"
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
