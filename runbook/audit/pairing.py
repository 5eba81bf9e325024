"""Which row of one snapshot is which row of another, found over columns.

Rows are paired by the declared key, where no key is NULL or there twice; else by the rowid; else
by all the columns that may not change, equal rows one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from runbook.audit.columns import ColumnFile, Positions, combined, unequal
from runbook.sqlite.cells import encode


@dataclass(frozen=True)
class Pairing:
    """Paired positions, and those of rows that are on one side only.

    `before[i]` and `after[i]` are the same row; both are None where row i of the one snapshot is
    row i of the other throughout, which is the rule and the fast way.
    """

    before: Positions | None
    after: Positions | None
    removed: Positions
    added: Positions
    identical: tuple[str, ...] = ()
    """Columns that were compared to pair the rows, and are the same in every row."""

    @property
    def aligned(self) -> bool:
        """Whether both snapshots have the same rows in the same order."""
        return self.before is None


def pair(before: ColumnFile, after: ColumnFile, outside: Sequence[str]) -> Pairing:
    """Pairs the rows of two snapshots of one table; `outside` are columns that may not change."""
    none = np.zeros(0, np.int64)
    for identity in _identities(before, after, outside):
        if _same_order(before, after, identity):
            return Pairing(None, None, none, none, identity)
        old, new = _joined(before, identity), _joined(after, identity)
        last_resort = identity == tuple(outside)
        if not last_resort and not (
            _is_key(before, old, identity) and _is_key(after, new, identity)
        ):
            continue
        if last_resort:
            old, new = _numbered(old, new)
        places = pc.index_in(new, value_set=old)
        paired = places.is_valid().to_numpy(zero_copy_only=False)
        positions = pc.fill_null(places, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        alone = np.ones(len(old), bool)
        alone[positions[paired]] = False
        return Pairing(
            positions[paired],
            np.flatnonzero(paired),
            np.flatnonzero(alone),
            np.flatnonzero(~paired),
        )
    raise AssertionError("the last identity always pairs")


def differing(
    before: ColumnFile, after: ColumnFile, pairing: Pairing, columns: Sequence[str]
) -> Iterator[tuple[str, Positions, Any, Any]]:
    """For each stretch of rows that differ in a column: the column, the positions of these rows
    in `after`, and their cells before and after.
    """
    if not columns:
        return
    if pairing.before is not None and pairing.after is not None:
        for column in columns:
            old = before.read(column).take(pa.array(pairing.before))
            new = after.read(column).take(pa.array(pairing.after))
            at = unequal(old, new)
            if at is not None:
                yield column, pairing.after[at], old.take(pa.array(at)), new.take(pa.array(at))
        return
    start = 0
    columns = [column for column in columns if column not in pairing.identical]
    for old, new in _lockstep(before, after, columns) if columns else ():
        for column in columns:
            if old[column].equals(new[column]):  # the rule; then neither is copied
                continue
            was, now = combined(old[column]), combined(new[column])
            at = unequal(was, now)
            if at is not None:
                yield column, at + start, was.take(pa.array(at)), now.take(pa.array(at))
        start += old.num_rows


def count_differing(before: ColumnFile, after: ColumnFile, pairing: Pairing, column: str) -> int:
    """How many paired rows differ in a column; their cells are not gathered."""
    if pairing.before is not None:
        return sum(len(at) for _, at, _, _ in differing(before, after, pairing, [column]))
    unequal_rows = 0
    for old, new in _lockstep(before, after, [column]):
        at = unequal(combined(old[column]), combined(new[column]))
        unequal_rows += 0 if at is None else len(at)
    return unequal_rows


def _identities(
    before: ColumnFile, after: ColumnFile, outside: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    if before.table.key and before.table.key == after.table.key:
        yield before.table.key
    rowid = before.table.rowid_column
    if rowid is not None and rowid == after.table.rowid_column:
        yield (rowid,)
    yield tuple(outside)


def _lockstep(
    before: ColumnFile, after: ColumnFile, columns: Sequence[str]
) -> Iterator[tuple[Any, Any]]:
    rows = min(before.window_rows(columns), after.window_rows(columns))
    yield from zip(before.windows(columns, rows), after.windows(columns, rows), strict=True)


def _same_order(before: ColumnFile, after: ColumnFile, identity: Sequence[str]) -> bool:
    if before.table.rows != after.table.rows:
        return False
    return all(
        old[column].equals(new[column])
        for old, new in _lockstep(before, after, identity)
        for column in identity
    )


def _joined(file: ColumnFile, identity: Sequence[str]) -> Any:
    """One value for each row; the lengths keep ('ab', 'c') and ('a', 'bc') apart."""
    if len(identity) == 1:
        return file.read(identity[0])
    parts: list[Any] = []
    for column in identity:
        cells = file.read(column)
        lengths = pc.binary_length(cells).cast(pa.large_string()).cast(pa.large_binary())
        parts += [lengths, pa.scalar(b":", pa.large_binary()), cells]
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))


def _is_key(file: ColumnFile, values: Any, identity: Sequence[str]) -> bool:
    """Whether no value is there twice and none has a NULL in it."""
    if pc.count_distinct(values).as_py() != len(values):
        return False
    null = pa.scalar(encode(None, file.encoding), pa.large_binary())
    return identity == (file.table.rowid_column,) or not any(
        pc.any(pc.equal(file.read(column), null)).as_py() for column in identity
    )


def _numbered(old: Any, new: Any) -> tuple[Any, Any]:
    """Equal rows told apart by their number, so that each is paired with one."""
    codes = pa.chunked_array([old, new]).combine_chunks().dictionary_encode().indices.to_numpy()
    numbered = []
    for part in (codes[: len(old)], codes[len(old) :]):
        series = pd.Series(part, dtype="int64")
        numbered.append(pa.array(series * (len(codes) + 1) + series.groupby(series).cumcount()))
    return numbered[0], numbered[1]
