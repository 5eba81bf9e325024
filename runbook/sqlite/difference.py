"""What a comparison found: the same shape whichever witness looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runbook.sqlite.cells import readable

How = Literal["rowid", "key", "rows"]
Change = Literal["added", "removed", "changed"]

_ROW_LENGTH = 1000  # characters of a whole row that are shown


@dataclass(frozen=True)
class RowSample:
    """One example of a difference, in readable values.

    `key` names the row (`id='p-1'`, or `rowid=7` where no key is declared; empty where rows are
    compared as a multiset). A changed cell has its `column` and both values. For an added or
    removed row, `column` is empty and the whole row stands on its side, None on the other.
    """

    change: Change
    key: str
    column: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class TableDifference:
    """How one table differs from what it was; counts are in rows.

    `changed` has the columns that differ, in column order, with the number of rows in which each
    does; `rows_changed` counts rows with at least one. `how` says what paired the rows: the
    rowid, the declared key, or nothing (`rows`: counted as a multiset, where a changed row is one
    removed and one added). `rowids_moved` says that equal rows were found under other rowids,
    which VACUUM does and which is no difference by itself. `counted` has the rows that changed in
    columns where changes are expected, which count as no difference; it is empty where they were
    not asked for, or where nothing pairs the rows. `faultless` says that further
    conditions were seen to be true of no row of the table now; False says nothing.
    """

    table: str
    rows_before: int
    rows_after: int
    added: int
    removed: int
    changed: tuple[tuple[str, int], ...]
    rows_changed: int
    samples: tuple[RowSample, ...]
    how: How
    rowids_moved: bool = False
    counted: tuple[tuple[str, int], ...] = ()
    faultless: bool = False

    @property
    def identical(self) -> bool:
        """Whether no row was added, removed or changed."""
        return not (self.added or self.removed or self.rows_changed)


def name_row(columns: Sequence[str], cells: Sequence[bytes], encoding: str) -> str:
    """Return `id='p-1', part=2` for the cells of a key or of a whole row; cut when very long."""
    pairs = zip(columns, cells, strict=True)
    text = ", ".join(f"{column}={readable(cell, encoding)}" for column, cell in pairs)
    return text if len(text) <= _ROW_LENGTH else text[:_ROW_LENGTH] + "..."
