"""The rows of a table in the order of their cells, found over columns.

Of two cells the shorter comes first, and of two of the same length the one whose entry is smaller.
Cells are compared eight bytes at a time, and only those of rows that are still alike, so that a
column whose cells are nearly all different is asked for a few of its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Numbers = npt.NDArray[Any]
Column = TypeVar("Column")

_WORD = 8


@dataclass(frozen=True)
class Entries:
    """A column: the length of each cell, and each cell's entry.

    `offsets` has a number more than there are rows; entry i is `octets[offsets[i]:offsets[i + 1]]`.
    """

    lengths: Numbers
    offsets: Numbers
    octets: Numbers

    @classmethod
    def joined(cls, parts: Iterable[Entries], rows: int, room: int) -> Entries:
        """Stretches of a column of so many rows as one; their octets need about so much room.

        Each stretch is let go once it is copied, so that no column is in memory twice.
        """
        lengths, offsets = np.empty(rows, "<u4"), np.zeros(rows + 1, np.int64)
        octets = np.empty(room, np.uint8)
        row = at = 0
        for part in parts:
            end, last = row + len(part.lengths), at + len(part.octets)
            if last > len(octets):
                octets = np.concatenate([octets[:at], np.empty(last, np.uint8)])
            lengths[row:end], octets[at:last] = part.lengths, part.octets
            offsets[row + 1 : end + 1] = part.offsets[1:] + at
            row, at = end, last
        return cls(lengths, offsets, octets[:at])

    def in_order(self, positions: Numbers, rows: int) -> Iterator[Entries]:
        """Its rows at these positions, so many at a time."""
        buffers = [None, pa.py_buffer(self.offsets), pa.py_buffer(self.octets)]
        column = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(self.lengths), buffers)
        for start in range(0, len(positions), rows):
            at = positions[start : start + rows]
            _, offsets, octets = column.take(pa.array(at)).buffers()
            yield Entries(
                self.lengths[at],
                np.frombuffer(offsets, np.int64)[: len(at) + 1],
                np.frombuffer(octets, np.uint8) if octets is not None else self.octets[:0],
            )

    def shared(self, at: Numbers) -> int:
        """How many bytes at the beginning are the same in all entries at these positions."""
        starts = self.offsets[at]
        shortest = int((self.offsets[at + 1] - starts).min())
        number = 0
        while number < shortest:
            octets = self.octets[starts + number]
            if (octets != octets[0]).any():
                break
            number += 1
        return number

    @cached_property
    def _width(self) -> int:
        """The bytes of every entry, 0 where they differ or where there are none."""
        rows = len(self.lengths)
        width = len(self.octets) // rows if rows else 0
        return width if (np.diff(self.offsets) == width).all() else 0

    def word(self, first: int, at: Numbers) -> Numbers:
        """Eight bytes of the entries at these positions as integers; zeros follow an entry's end.

        `first` is the number of the first byte, which weighs most, so the integers are in the order
        of the bytes.
        """
        if self._width:  # nearly all keys: one stretch of each row, without a look for its end
            square = self.octets.reshape(-1, self._width)
            some = square[:, first : first + _WORD]
            padded = np.zeros((len(at), _WORD), np.uint8)
            padded[:, : some.shape[1]] = some[at]
            return padded.view(">u8")[:, 0].astype(np.uint64)
        starts = self.offsets[at] + first
        ends = self.offsets[at + 1]
        last = max(0, len(self.octets) - 1)
        words = np.zeros(len(at), np.uint64)
        for byte in range(_WORD):
            place = starts + byte
            digit = np.where(place < ends, self.octets[np.minimum(place, last)], 0)
            words = (words << np.uint64(8)) | digit.astype(np.uint64)
        return words


@dataclass(frozen=True)
class RowOrder(Generic[Column]):
    """`positions` of the rows in order, None where they are in it already.

    `by` are the columns that had to be asked, `total` whether they tell all rows apart.
    """

    positions: Numbers | None
    by: tuple[Column, ...]
    total: bool


def order_rows(
    columns: Sequence[Column], read: Callable[[Column], Entries], rows: int
) -> RowOrder[Column]:
    """The order of `rows` rows by these columns, of which each is read only if it is needed."""
    ordering = _Ordering(rows)
    asked = 0
    for column in columns:
        if not len(ordering.tied):
            break
        ordering.refine(read(column))
        asked += 1
    total = not len(ordering.tied)
    in_order = bool((ordering.positions[1:] > ordering.positions[:-1]).all())
    return RowOrder(None if in_order else ordering.positions, tuple(columns[:asked]), total)


class _Ordering:
    """Rows as far as they are in order; those in `tied` places are alike in all that was asked."""

    def __init__(self, rows: int) -> None:
        kind = np.int32 if rows < 2**31 else np.int64
        self.positions: Numbers = np.arange(rows, dtype=kind)
        self.tied: Numbers = np.arange(rows if rows > 1 else 0, dtype=kind)
        self.groups: Numbers = np.zeros(len(self.tied), kind)

    def refine(self, column: Entries) -> None:
        """Puts rows that were alike in the order of one more column."""
        self._by(column.lengths[self._rows])
        first = column.shared(self._rows) if len(self.tied) else 0
        while len(self.tied):
            rows = self._rows
            if first >= int((column.offsets[rows + 1] - column.offsets[rows]).max()):
                break
            self._by(column.word(first, rows))
            first += _WORD

    @property
    def _rows(self) -> Numbers:
        return self.positions[self.tied]

    def _by(self, values: Numbers) -> None:
        """Orders the tied rows by a number of each, and finds those that are alike in it too."""
        if not len(values) or (values == values[0]).all():
            return
        rows = self._rows
        if self.groups[0] == self.groups[-1]:  # all are alike so far: groups are in order
            order = np.argsort(values)
        else:
            order = np.lexsort((values, self.groups))
        self.positions[self.tied] = rows[order]
        values = values[order]
        new = (values[1:] != values[:-1]) | (self.groups[1:] != self.groups[:-1])
        begins = np.concatenate(([True], new))
        alone = begins & np.concatenate((new, [True]))
        self.groups = np.cumsum(begins, dtype=self.groups.dtype)[~alone]
        self.tied = self.tied[~alone]
