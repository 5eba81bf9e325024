"""A Parquet file of cells, which says of itself how they are encoded and which classes occur.

Both stand in the file's key-value metadata, which any reader of Parquet shows. They depend on the
rows alone, so two captures of the same rows remain the same to the byte. Whoever gives a column of
cells a type (integers, say) needs to know that no other storage class occurs in it, and knows it
from here without reading a row.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from runbook.sqlite.cells import CODECS

INVALID = "invalid text"
"""The class of text whose bytes are none in the database's encoding."""

OTHER = "other text"
"""Beside `text`: some text has neither the form of a key nor of a time (in UTF-16: any text)."""

LARGE = "large integer"
"""Beside `integer`: some integer has more than fifteen digits, so a double might not hold it."""

_MOST_DIGITS = 15
_FEW = 4096  # cells
_FEW_BYTES = 1 << 20
_READ_BYTES = 1 << 20
_DIGITS = b"0123456789"
_KEY_BYTES = _DIGITS + b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.:+/-"
_TIME_BYTES = _DIGITS + b"TZ:. +/-"
_LONGEST_KEY, _LONGEST_TIME = 80, 40
_NO_KEY, _NO_TIME, _DIGIT = 1, 2, 4
_MARKS = bytes(
    (byte not in _KEY_BYTES) * _NO_KEY
    | (byte not in _TIME_BYTES) * _NO_TIME
    | (byte in _DIGITS) * _DIGIT
    for byte in range(256)
)
"""What each byte of a text says of it."""

_CLASSES = {"n": "null", "i": "integer", "r": "real", "t": "text", "b": "blob"}

_CELLS = (
    "Every value is a cell: one tag and a body, in the text encoding under runbook.encoding. "
    "n is NULL (nothing follows), i an INTEGER in decimal digits, r a REAL in digits that read "
    "back as the same double (or Inf, -Inf, -0.0), t a TEXT and its own bytes, b a BLOB in "
    "hexadecimal digits. A cell is never null in Parquet's sense: compare it with the cell n."
)


class CellsWriter:
    """Writes Parquet without dictionary and statistics: cells seldom repeat or are filtered by.

    Args:
        to: path or file object.
        schema: of the columns of cells, with or without the rowid in front.
        columns: names of the columns of cells, the last ones of the schema.
        encoding: the database's, as PRAGMA encoding names it.
    """

    def __init__(self, to: Any, schema: Any, columns: Sequence[str], encoding: str) -> None:
        self._encoding = encoding
        self._columns = tuple(columns)
        self._first = len(schema) - len(columns)
        self._classes: list[set[str]] = [set() for _ in columns]
        self._writer = pq.ParquetWriter(
            to,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            write_statistics=False,
        )

    def __enter__(self) -> CellsWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                classes = {n: sorted(c) for n, c in zip(self._columns, self._classes, strict=True)}
                self._writer.add_key_value_metadata(
                    {
                        "runbook.cells": _CELLS,
                        "runbook.encoding": self._encoding,
                        "runbook.classes": json.dumps(classes),
                    }
                )
        finally:
            self._writer.close()

    def write_batch(self, batch: Any) -> None:
        """Writes an Arrow batch of the schema."""
        for number, known in enumerate(self._classes):
            known |= _classes_of(batch.column(self._first + number), self._encoding, known)
        self._writer.write_batch(batch)


def read_classes(file: Path, columns: Sequence[str], encoding: str) -> dict[str, tuple[str, ...]]:
    """Column to the storage classes in it, from the file's metadata.

    A file of an earlier release, which has none, is read through once.
    """
    metadata: Mapping[bytes, bytes] = pq.read_metadata(file).metadata or {}
    with contextlib.suppress(KeyError, ValueError, AttributeError):
        known = json.loads(metadata[b"runbook.classes"])
        if sorted(known) == sorted(columns):
            return {name: tuple(map(str, classes)) for name, classes in known.items()}
    gathered: dict[str, set[str]] = {name: set() for name in columns}
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(columns=list(columns)) if columns else ():
            for name in columns:
                gathered[name] |= _classes_of(batch.column(name), encoding, gathered[name])
    return {name: tuple(sorted(classes)) for name, classes in gathered.items()}


def same_columns(one: Path, other: Path) -> set[str]:
    """The columns that two files hold in the same bytes, hence the same cells in the same order.

    Bytes may differ where cells do not: of such a column nothing is known.
    """
    with one.open("rb") as first, other.open("rb") as second:
        files = (first, second)
        metadata = [pq.read_metadata(file) for file in files]
        columns = [
            {data.schema.column(number).name: number for number in range(data.num_columns)}
            for data in metadata
        ]
        return {
            name
            for name in columns[0].keys() & columns[1].keys()
            if _same_chunks(
                [_chunks(data, names[name]) for data, names in zip(metadata, columns, strict=True)],
                files,
            )
        }


@dataclass(frozen=True)
class _Chunk:
    """Where a stretch of a column stands in its file, and how it is to be read."""

    start: int
    bytes: int
    values: int
    form: tuple[str, ...]


def _chunks(metadata: Any, column: int) -> list[_Chunk]:
    chunks = []
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(column)
        start = chunk.data_page_offset
        if chunk.has_dictionary_page:
            start = min(start, chunk.dictionary_page_offset)
        form = (chunk.physical_type, chunk.compression, *chunk.encodings)
        chunks.append(_Chunk(start, chunk.total_compressed_size, chunk.num_values, form))
    return chunks


def _same_chunks(sides: Sequence[Sequence[_Chunk]], files: Sequence[BinaryIO]) -> bool:
    one, other = ([(c.bytes, c.values, c.form) for c in chunks] for chunks in sides)
    return one == other and all(
        _same_bytes([(file, chunk.start) for file, chunk in zip(files, pair, strict=True)], size)
        for pair, (size, _, _) in zip(zip(*sides, strict=True), one, strict=True)
    )


def _same_bytes(places: Sequence[tuple[BinaryIO, int]], size: int) -> bool:
    for file, start in places:
        file.seek(start)
    while size:
        first, second = (file.read(min(size, _READ_BYTES)) for file, _ in places)
        if first != second or not first:
            return False
        size -= len(first)
    return True


def _classes_of(cells: Any, encoding: str, known: set[str]) -> set[str]:
    """The classes of an array of cells, read from its buffers: no cell becomes an object.

    What is `known` of the column already need not be asked again.
    """
    if not len(cells):
        return set()
    wide = pa.types.is_large_binary(cells.type)
    _, offsets_buffer, data_buffer = cells.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64 if wide else np.int32)
    offsets = offsets[cells.offset : cells.offset + len(cells) + 1]
    data = np.frombuffer(data_buffer, np.uint8)
    # In UTF-16be the tag is the second byte of the first character.
    tags = data[offsets[:-1] + (encoding == "UTF-16be")]
    present = (
        set(tags.tobytes())
        if len(tags) < _FEW
        else np.flatnonzero(np.bincount(tags, minlength=256))
    )
    classes = {_CLASSES.get(chr(tag), "unknown") for tag in present}
    if "integer" in classes:
        width = 1 if encoding == "UTF-8" else 2
        lengths = np.diff(offsets)[tags == ord("i")]
        if lengths.max() > (1 + _MOST_DIGITS) * width:
            classes.add(LARGE)
    if "text" in classes:
        stretch = data[offsets[0] : offsets[-1]]
        plain = encoding == "UTF-8" and OTHER not in known
        plain = plain and _are_plain(stretch, offsets - offsets[0], tags == ord("t"))
        if not plain:  # what is plain is valid
            classes.add(OTHER)
            if INVALID not in known and not _is_valid(stretch, offsets, encoding):
                classes.add(INVALID)
    return classes


def _are_plain(data: Any, offsets: Any, texts: Any) -> bool:
    """Whether each of these texts, cells of UTF-8, has the form of a key or a time."""
    lengths = np.diff(offsets)
    alike = bool((lengths == lengths[0]).all())
    if alike:
        square = data.reshape(len(lengths), -1)
        if (square[0] == square[-1]).all() and (square == square[0]).all():  # one cell, repeated
            data, offsets, texts, lengths = square[0], offsets[:2], texts[:1], lengths[:1]
    marks = np.frombuffer(data.tobytes().translate(_MARKS), np.uint8)
    if alike and texts.all() and 2 <= lengths[0] <= 1 + _LONGEST_TIME:  # times need not be united
        bodies = marks.reshape(len(lengths), -1)[:, 1:]
        if (bodies[:, 0] & _DIGIT).all() and not (bodies & _NO_TIME).any():
            return True
    # A cell has a tag, so no piece is empty; and the tag is a letter, as keys have them.
    united = np.bitwise_or.reduceat(marks, offsets[:-1])
    is_key = (united & (_NO_KEY | _DIGIT) == _DIGIT) & (lengths <= 1 + _LONGEST_KEY)
    rest = np.flatnonzero(texts & ~is_key)
    if not len(rest):
        return True
    lengths, starts, ends = lengths[rest], offsets[rest] + 1, offsets[rest + 1]
    if lengths.min() < 2 or lengths.max() > 1 + _LONGEST_TIME:
        return False
    first = data[starts]
    if first.min() < ord("0") or first.max() > ord("9"):
        return False
    # Each text and what lies between it and the next, of which every second is a text.
    pieces = np.column_stack([starts, ends]).ravel()
    united = np.bitwise_or.reduceat(marks, pieces[:-1] if ends[-1] == len(marks) else pieces)
    return not (united[::2] & _NO_TIME).any()


def _is_ascii(data: Any) -> bool:
    if len(data) < _FEW_BYTES:
        return bool(data.tobytes().isascii())
    return bool(data.max() < 0x80)


def _is_valid(data: Any, offsets: Any, encoding: str) -> bool:
    """Whether all text is valid, all cells taken as one: each begins with a whole character."""
    if encoding == "UTF-8" and _is_ascii(data):
        return True
    if encoding != "UTF-8" and (np.diff(offsets) % 2).any():
        return False  # half a character at the end
    try:
        data.tobytes().decode(CODECS[encoding])
    except UnicodeDecodeError:
        return False
    return True
