"""Columns of tagged cells as Arrow arrays: read from Parquet, taken apart and put together.

For the witness that computes without a database. Everything works on whole columns; no row is
ever a Python object. A cell and its parts are in the database's encoding throughout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from runbook.audit.arrow_buffers import buffers
from runbook.audit.parquet import SnapshotTable
from runbook.audit.snapshot import Capture
from runbook.errors import TargetError
from runbook.sqlite.cells import CODECS, encode
from runbook.sqlite.fields import Field, Row, read_row
from runbook.sqlite.quoting import same_name

Positions = npt.NDArray[np.signedinteger[Any]]
Truths = npt.NDArray[np.bool_]

_WINDOW_BYTES = 16 << 20  # of cells that are in memory at once, for each of two tables
WINDOW_ROWS = 1 << 17
"""Rows of narrow columns that are in memory at once, which is two row groups of a capture."""

_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint16)


@dataclass(frozen=True)
class ColumnFile:
    """One table of a snapshot, read by column."""

    table: SnapshotTable
    path: Path
    encoding: str

    @classmethod
    def of(cls, captured: Capture, name: str) -> ColumnFile:
        """The file of the table `name`; raises TargetError if the capture has none."""
        table = captured.table(name)
        return cls(table, captured.path(table), captured.encoding)

    def has(self, column: str) -> bool:
        """Whether the table has this column, compared as SQLite compares names."""
        return any(same_name(name, column) for name in self.table.columns)

    def named(self, column: str) -> str:
        """The column's name as the file spells it; raises TargetError if there is none."""
        for name in self.table.columns:
            if same_name(name, column):
                return name
        raise TargetError(
            f"The table {self.table.name!r} has no column {column!r} in its snapshot: "
            "check the plan, and whether the column was dropped."
        )

    @property
    def label(self) -> tuple[str, ...]:
        """The columns by which a reader knows a row; all of them where there is no key."""
        rowid = self.table.rowid_column
        return self.table.key or ((rowid,) if rowid else self.table.columns)

    def read(self, column: str) -> Any:
        """The whole column as one array."""
        name = self.named(column) if column != self.table.rowid_column else column
        with pq.ParquetFile(self.path) as file:  # `read_table` makes a data set of it first
            return combined(file.read(columns=[name])[name])

    def window_rows(self, columns: Sequence[str]) -> int:
        """How many rows of these columns may be in memory at once."""
        if not self.table.rows:
            return WINDOW_ROWS
        metadata = pq.read_metadata(self.path)
        wanted, size = set(columns), 0
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(number)
                if chunk.path_in_schema in wanted:
                    size += chunk.total_uncompressed_size
        return max(1024, min(WINDOW_ROWS, _WINDOW_BYTES * self.table.rows // max(1, size)))

    def windows(self, columns: Sequence[str], rows: int | None = None) -> Iterator[Any]:
        """Tables of `rows` rows each but for the last, in the file's order."""
        rows = rows or self.window_rows(columns)
        waiting: list[Any] = []
        count = 0
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=rows, columns=list(columns)):
                waiting.append(batch)
                count += batch.num_rows
                while count >= rows:
                    table = pa.Table.from_batches(waiting)
                    yield table.slice(0, rows)
                    waiting = table.slice(rows).to_batches()
                    count -= rows
        if count:
            yield pa.Table.from_batches(waiting)

    def names_of(self, positions: Sequence[int]) -> list[Row]:
        """How a reader knows the rows at these positions: their key, or else their rowid."""
        rowid = self.table.rowid_column
        if rowid is not None and self.label == (rowid,):
            rowids = self.rows_at([rowid], positions)
            return [(Field("rowid", "integer", str(value.as_py())),) for (value,) in rowids]
        return [
            read_row(self.label, [cell.as_py() for cell in row], self.encoding)
            for row in self.rows_at(self.label, positions)
        ]

    def rows_at(self, columns: Sequence[str], positions: Sequence[int]) -> list[list[Any]]:
        """The cells of some few rows, as Arrow scalars."""
        rows: dict[int, list[Any]] = {}
        start = 0
        with pq.ParquetFile(self.path) as file:
            for group in range(file.metadata.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                inside = [p for p in positions if start <= p < end]
                if inside:
                    table = file.read_row_group(group, columns=list(columns))
                    for p in inside:
                        rows[p] = [table[name][p - start] for name in columns]
                start = end
        return [rows[p] for p in positions]


def combined(column: Any) -> Any:
    """A chunked column as one array, with offsets that do not overflow at 2 GB."""
    if pa.types.is_binary(column.type):
        column = column.cast(pa.large_binary())
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return pa.concat_arrays(chunks) if chunks else pa.array([], column.type)


def unequal(one: Any, other: Any) -> Positions | None:
    """Where two columns of the same length differ, None where they do not."""
    if one.equals(other):
        return None
    different = pc.fill_null(pc.not_equal(one, other), True)
    return np.flatnonzero(different.to_numpy(zero_copy_only=False))


@dataclass(frozen=True)
class Alphabet:
    """Takes cells apart and puts them together, in one encoding of text."""

    encoding: str

    @property
    def _width(self) -> int:
        return 1 if self.encoding == "UTF-8" else 2

    @property
    def _unit(self) -> Any:
        return {"UTF-8": np.uint8, "UTF-16le": "<u2", "UTF-16be": ">u2"}[self.encoding]

    def cell(self, value: str | int | bytes | None) -> Any:
        """One cell as a scalar."""
        return pa.scalar(encode(value, self.encoding), pa.large_binary())

    def text(self, characters: str) -> Any:
        """Characters without a tag."""
        return pa.scalar(characters.encode(CODECS[self.encoding]), pa.large_binary())

    def tagged(self, cells: Any, letter: str) -> Any:
        """Which cells have this tag, as a boolean array."""
        return pc.starts_with(cells, pattern=letter.encode(CODECS[self.encoding]))

    def body(self, cells: Any) -> Any:
        """What follows the tag."""
        offsets, data = buffers(cells)
        # A null takes no bytes and has no tag.
        starts = np.minimum(offsets[:-1] + self._width, offsets[1:])
        return _cut(data, starts, offsets[1:], cells)

    def join(self, *parts: Any) -> Any:
        """Arrays and scalars one after the other, row by row; null where one is null."""
        return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))

    def hexadecimal(self, bodies: Any) -> Any:
        """The bytes in lower-case hexadecimal digits."""
        offsets, data = buffers(bodies)
        return self._characters(offsets * 2, _HEX[data].view(np.uint8), bodies)

    def lower(self, digits: Any) -> Any:
        """ASCII characters in lower case."""
        return pc.ascii_lower(digits.cast(pa.large_string())).cast(pa.large_binary())

    def whole(self, digits: Any) -> Any:
        """Decimal digits as 64-bit integers."""
        if self._width == 2:
            offsets, data = buffers(digits)
            narrow = data.view(self._unit).astype(np.uint8)
            digits = _array(offsets // 2, narrow, digits)
        return digits.cast(pa.large_string()).cast(pa.int64())

    def ascii(self, characters: Any) -> Any:
        """An array of ASCII strings in the database's encoding."""
        column = characters.cast(pa.large_string()).cast(pa.large_binary())
        offsets, data = buffers(column)
        return self._characters(offsets, data, column)

    def before_at(self, cells: Any) -> tuple[Truths, Any]:
        """Which text cells have something before an @, and for each cell what that is."""
        offsets, data = buffers(cells)
        starts, ends = offsets[:-1] // self._width + 1, offsets[1:] // self._width
        ats = np.flatnonzero(data.view(self._unit) == ord("@"))
        after = np.searchsorted(ats, starts)
        first = np.append(ats, np.iinfo(np.int64).max)[after]
        has_at = (first > starts) & (first < ends)
        stops = np.where(has_at, first, starts) * self._width
        return has_at, _cut(data, starts * self._width, stops, None)

    def _characters(self, offsets: Positions, data: Any, like: Any) -> Any:
        if self._width == 2:
            offsets, data = offsets * 2, data.astype(self._unit).view(np.uint8)
        return _array(offsets, data, like)


def _cut(data: Any, starts: Positions, stops: Positions, like: Any) -> Any:
    """The bytes between each start and its stop, as an array; the stretches do not overlap."""
    marks = np.zeros(len(data) + 1, np.int8)
    some = stops > starts  # so that no two have the same start, or the same stop
    marks[starts[some]] += 1
    marks[stops[some]] -= 1
    kept = data[np.cumsum(marks[:-1], dtype=np.int8).astype(bool)]
    return _array(np.append(0, np.cumsum(stops - starts)), kept, like)


def _array(offsets: Positions, data: Any, like: Any) -> Any:
    """A large_binary array of these bytes; null where `like` is."""
    array = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        len(offsets) - 1,
        [
            None,
            pa.py_buffer(np.ascontiguousarray(offsets)),
            pa.py_buffer(np.ascontiguousarray(data)),
        ],
    )
    if like is None or not like.null_count:
        return array
    return pc.if_else(pc.is_valid(like), array, pa.scalar(None, pa.large_binary()))
