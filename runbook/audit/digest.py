"""One SHA-256 for a table, independent of the order of its rows, comparable years later.

Definition, over the tagged cells of a snapshot (see `cells`):

- entry of a cell: the cell; of one of more than 128 bytes, its SHA-256 (32 bytes);
- order of rows: by the cells of the table's declared key if all of it is among the digested
  columns, then by those of the digested columns in their order; of two cells the shorter comes
  first, and of two of the same length the one whose entry is smaller, compared as bytes;
- column: SHA-256 of two SHA-256s: that of the lengths of its cells, each as four bytes with the
  lowest first, and that of its entries, one after the other, both in the order of rows;
- table: SHA-256 of the numbers of columns and rows in decimal, each followed by `;`, then for each
  column its name's length in UTF-8 bytes, `:`, its name, and the 32 bytes of its digest.

Lengths make it injective: no two tables share their input. Equal rows count as often as they
occur. The rowid is not part of it. All the digests of a table are combinations of its columns',
so each column is hashed once; nothing but SHA-256 is needed to compute it anew, which a test does
in plain Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from runbook.audit.arrow_buffers import buffers
from runbook.audit.row_order import Entries, Numbers, RowOrder, order_rows
from runbook.errors import BadInput
from runbook.workers import workers

LONGEST = 128
"""Bytes of a cell that enters as it is."""

_ROWS_AT_ONCE = 262_144
_BYTES_AT_ONCE = 32 << 20
_SMALL = 4 << 20  # bytes of cells that are read at once
_WORKERS = 2

Replacement = tuple[bytes, bytes]
"""A cell, and the placeholder that is hashed in its place."""

_Part = tuple[str, Replacement | None]


@dataclass(frozen=True)
class Digest:
    """A table's digest, those of its columns, and the columns that put its rows in order."""

    table: str
    columns: Mapping[str, str]
    ordered_by: tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """Digests of columns that need not be computed, if these columns put the rows in order."""

    columns: Mapping[str, str]
    ordered_by: tuple[str, ...]


def digest_table(
    parquet: Path,
    columns: Sequence[str],
    *,
    key: Sequence[str] = (),
    replace: Mapping[str, Replacement] | None = None,
) -> str:
    """Return the digest of `columns`, in the order given, as 64 hexadecimal digits.

    `key` is the table's declared key. `replace` maps a column to (cell, placeholder): where the
    cell is exactly the first, the second is hashed, so that a value like the time of the run does
    not count. A placeholder that starts with none of the tags cannot be mistaken for a cell.
    Raises BadInput if a column is not in the file.
    """
    return Digester(parquet, key).digest(columns, replace).table


class Digester:
    """The digests of one file, whose columns are hashed once for all of them."""

    def __init__(self, parquet: Path, key: Sequence[str] = (), known: Known | None = None) -> None:
        self._path, self._key, self._known = parquet, key, known
        self._source = _Source(parquet)
        self._orders: list[RowOrder[_Part]] = []
        self._hashed: dict[tuple[tuple[_Part, ...], _Part], bytes] = {}

    def digest(
        self, columns: Sequence[str], replace: Mapping[str, Replacement] | None = None
    ) -> Digest:
        """The digest of these columns; raises BadInput if one is not in the file."""
        replace = replace or {}
        for name in (*columns, *replace):
            if name not in self._source.names:
                raise BadInput(f"Column {name!r} is not in {self._path}: digest a column that is.")
        order = self._order(columns, replace)
        self._hash(order, [(name, replace.get(name)) for name in columns])
        hashed = {name: self._hashed[order.by, (name, replace.get(name))] for name in columns}
        total = hashlib.sha256(b"%d;%d;" % (len(columns), self._source.rows))
        for name in columns:
            written = name.encode()
            total.update(b"%d:%s%s" % (len(written), written, hashed[name]))
        return Digest(
            total.hexdigest(),
            {name: digest.hex() for name, digest in hashed.items()},
            tuple(name for name, _ in order.by),
        )

    def _order(self, columns: Sequence[str], replace: Mapping[str, Replacement]) -> RowOrder[_Part]:
        """The order of rows; one that was found before does where it asked the same columns."""
        first = self._key if set(self._key) <= set(columns) else ()
        by = tuple((name, replace.get(name)) for name in dict.fromkeys((*first, *columns)))
        for order in self._orders:
            if order.by == (by[: len(order.by)] if order.total else by):
                return order
        order = order_rows(by, self._source.entries, self._source.rows)
        self._orders.append(order)
        return order

    def _hash(self, order: RowOrder[_Part], parts: Sequence[_Part]) -> None:
        """Hashes the columns that are not yet, in this order of rows."""
        known: Mapping[str, str] = {}
        plain = tuple(name for name, replaced in order.by if replaced is None)
        if self._known and self._known.ordered_by == plain and len(plain) == len(order.by):
            known = self._known.columns
        missing = []
        for part in parts:
            name, replaced = part
            if replaced is None and name in known:
                self._hashed[order.by, part] = bytes.fromhex(known[name])
            elif (order.by, part) not in self._hashed:
                missing.append(part)
        with workers(_WORKERS, small=self._source.small or len(missing) < 2) as pool:
            every = [pool.submit(self._source.digest, p, order.positions) for p in missing]
            digests = [each.result() for each in every]
        self._hashed |= {(order.by, p): d for p, d in zip(missing, digests, strict=True)}


class _Source:
    """The columns of a file as entries; a small one is read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with pq.ParquetFile(path) as file:
            self._metadata = file.metadata
            self.names = tuple(file.schema_arrow.names)
            self.rows = int(file.metadata.num_rows)
            groups = range(file.metadata.num_row_groups)
            size = sum(file.metadata.row_group(i).total_byte_size for i in groups)
            self.small = size <= _SMALL
            self._table = file.read(use_threads=False) if self.small else None

    def digest(self, part: _Part, positions: Numbers | None) -> bytes:
        """The digest of one column, its rows taken at these positions."""
        lengths, entries = hashlib.sha256(), hashlib.sha256()
        if positions is None:
            batches = self._batches(*part)
        else:
            batches = self.entries(part).in_order(positions, _ROWS_AT_ONCE)
        for batch in batches:
            lengths.update(batch.lengths.data)
            entries.update(batch.octets.data)
        return hashlib.sha256(lengths.digest() + entries.digest()).digest()

    def entries(self, part: _Part) -> Entries:
        """A whole column."""
        return Entries.joined(self._batches(*part), self.rows, self._octets(part[0]))

    def _octets(self, name: str) -> int:
        """Bytes of a column in the file, which are more than those of its cells."""
        number = self.names.index(name)
        groups = (self._metadata.row_group(i) for i in range(self._metadata.num_row_groups))
        return int(sum(group.column(number).total_uncompressed_size for group in groups))

    def _batches(self, name: str, replaced: Replacement | None) -> Iterator[Entries]:
        read = self._table.column(self.names.index(name)).chunks if self._table else None
        return (_entries(c, replaced) for c in (read or self._read(name)) if len(c))

    def _read(self, name: str) -> Iterator[Any]:
        size = max(1, self._octets(name))
        rows = max(64, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE * self.rows // size))
        with pq.ParquetFile(self._path) as file:  # its own, because several threads read at once
            for batch in file.iter_batches(batch_size=rows, columns=[name], use_threads=False):
                yield batch.column(batch.schema.get_field_index(name))


def _entries(cells: Any, replaced: Replacement | None) -> Entries:
    """The entries of an Arrow array of cells."""
    cells = cells.cast(pa.large_binary())
    if replaced is not None:
        cell, placeholder = (pa.scalar(each, pa.large_binary()) for each in replaced)
        cells = pc.if_else(pc.equal(cells, cell), placeholder, cells)
    offsets, octets = buffers(cells)
    lengths = np.diff(offsets).astype("<u4")
    if len(lengths) and int(lengths.max()) > LONGEST:
        long = pa.array(lengths > LONGEST)
        hashed = (hashlib.sha256(cell).digest() for cell in cells.filter(long).to_pylist())
        shortened = pa.array(hashed, pa.large_binary())
        offsets, octets = buffers(pc.replace_with_mask(cells, long, shortened))
    return Entries(lengths, offsets, octets)
