"""What a comparison found: the same shape whichever witness looked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbook.sqlite.fields import Row

How = Literal["rowid", "key", "rows"]
Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class RowSample:
    """One example of a difference.

    `key` names the row (by its key, or by its rowid where no key is declared; empty where rows are
    compared as a multiset). A changed cell has its `column` and both values. For an added or
    removed row, `column` is empty and the whole row stands on its side, None on the other.
    """

    change: Change
    key: Row
    column: str
    before: Row | None
    after: Row | None


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
