"""The invariants, counted by pandas over small integers in place of keys and ids.

Names and counts are those of `sql/invariants`; nothing else is shared. Two values are the same if
and only if their codes are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from runbook.audit.columns import WINDOW_ROWS, ColumnFile, Positions, combined
from runbook.workers import workers

NULL, UNKNOWN = -2, -1

_FEW_ROWS = 20_000
_THREADS = min(3, os.cpu_count() or 1)  # Arrow looks cells up in one thread each time


class Codes:
    """Cells as the positions of equal cells in `values`; NULL and unknown cells are below zero."""

    def __init__(self, values: Any, null: Any) -> None:
        self.values, self._null = values, null

    @classmethod
    def of_all(cls, columns: Iterable[Any], null: Any) -> Codes:
        """Codes for every value that is in one of the columns."""
        return cls(pc.unique(pa.chunked_array(list(columns), pa.large_binary())), null)

    def of(self, cells: Any) -> Positions:
        """The codes of these cells."""
        known = pc.fill_null(pc.index_in(cells, value_set=self.values), UNKNOWN)
        codes = pc.if_else(pc.equal(cells, self._null), pa.scalar(NULL, pa.int32()), known)
        positions: Positions = codes.to_numpy(zero_copy_only=False)
        return positions

    def of_column(
        self, file: ColumnFile, column: str, change: Callable[[Any], Any] = lambda cells: cells
    ) -> Positions:
        """The codes of a column, read piece by piece; `change` is applied to the cells first."""
        name = file.named(column)
        codes = np.empty(file.table.rows, np.int32)

        def fill(start: int, window: Any) -> None:
            codes[start : start + window.num_rows] = self.of(change(combined(window[name])))

        start = 0
        pending: list[Future[None]] = []
        with workers(_THREADS, small=file.table.rows < _FEW_ROWS) as pool:
            # Arrow makes a table of all values anew for each look-up: few large ones are quicker.
            rows = file.window_rows([name])
            for window in file.windows([name], rows if rows < WINDOW_ROWS else 8 * rows):
                pending.append(pool.submit(fill, start, window))
                start += window.num_rows
                if len(pending) > _THREADS:
                    pending.pop(0).result()
            for each in pending:
                each.result()
        return codes

    def of_expected(self, file: ColumnFile, column: str, expected: Positions) -> Positions:
        """The codes of a column, of which most should be those in `expected`, row by row.

        A cell that is the value of its expected code has that code, which no look-up in all values
        needs to find; only the others are looked up.
        """
        name = file.named(column)
        codes = np.array(expected, np.int32)
        start = 0
        for window in file.windows([name]):
            cells = combined(window[name])
            at = expected[start : start + len(cells)]
            values = self.values.take(pa.array(at, mask=at < 0))
            same = pc.fill_null(pc.equal(cells, values), False).to_numpy(zero_copy_only=False)
            others = np.flatnonzero(~same)
            if len(others):
                codes[start + others] = self.of(cells.take(pa.array(others)))
            start += len(cells)
        return codes

    def recoded(self, codes: Positions, others: Codes) -> Positions | None:
        """What `others` made of a column, in these codes; None where it knew not every cell."""
        if (codes == UNKNOWN).any():
            return None
        own = np.append(self.of(others.values), [NULL, UNKNOWN]).astype(np.int32)
        recoded: Positions = own[np.where(codes == NULL, len(own) - 2, codes)]
        return recoded


@dataclass(frozen=True)
class CodedResource:
    """The rows of a resource: the codes of the organization and of whom the row belongs to."""

    organization: Positions
    belongs_to: Positions


@dataclass(frozen=True)
class CodedTables:
    """The migrated database in codes: keys share one set of them, organizations' ids another.

    `organizations` has `id`, `owner` and `personal`; `memberships` has `organization`, `user` and
    `is_owner`.
    """

    users: Positions
    organizations: pd.DataFrame
    memberships: pd.DataFrame

    def violations(self, owners: Iterable[Positions] | None) -> dict[str, int]:
        """Violating rows of the invariants that are not about resources.

        `owners` are the owners of resources; None where every user must be covered.
        """
        organizations, memberships = self.organizations, self.memberships
        members = memberships[(memberships["organization"] >= 0) & (memberships["user"] >= 0)]
        own = organizations.merge(
            members, how="left", left_on=["id", "owner"], right_on=["organization", "user"]
        )
        without_role = own["user"].notna() & (own["is_owner"] != True)  # noqa: E712 (NaN occurs)
        personal = organizations.loc[organizations["personal"], "owner"]
        users = pd.Series(self.users)
        uncovered = (users < 0) | ~users.isin(members["user"])
        if owners is not None:
            # One place at least, which users without a key look into; none of them is covered.
            covered = np.zeros(max(1, int(users.max()) + 1 if len(users) else 0), bool)
            for codes in owners:
                covered[codes[(codes >= 0) & (codes < len(covered))]] = True
            uncovered &= (users >= 0) & covered[users.clip(lower=0)]
        return {
            "organizations_without_owner_membership": int(own["user"].isna().sum()),
            "owner_memberships_without_owner_role": int(without_role.sum()),
            "references_to_nothing": _missing(organizations["owner"], users)
            + _missing(memberships["user"], users)
            + _missing(memberships["organization"], organizations["id"]),
            "users_with_several_personal_organizations": int((personal.value_counts() > 1).sum()),
            "users_without_organization": int(uncovered.sum()),
        }

    def resource_violations(self, resource: CodedResource) -> dict[str, int]:
        """Violating rows of the invariants about one resource."""
        at, belongs_to = resource.organization, resource.belongs_to
        inside = np.flatnonzero(at >= 0)  # the rows whose organization is there, or a member's
        place, owner = at[inside], belongs_to[inside]
        organizations = self.organizations[self.organizations["id"] >= 0]
        ids = organizations["id"].to_numpy()
        personal = organizations.loc[organizations["personal"], "id"]
        readers = self.memberships[self.memberships["organization"].isin(personal)]
        size = 1 + max(
            (int(c.max()) for c in (place, ids, readers["organization"]) if len(c)), default=0
        )
        owners, exists = np.full(size, UNKNOWN, np.int32), np.zeros(size, bool)
        owners[ids], exists[ids] = organizations["owner"], True
        of_another = exists[place] & (owners[place] != owner)
        # Each row is read once by each reader of its organization; right is the one it belongs to.
        reads = np.bincount(readers["organization"], minlength=size)
        read = reads[place]
        rightly = _rightly(readers, reads, place, owner)
        return {
            "resources_without_organization": int((at == NULL).sum()),
            "resources_of_missing_organization": int((at == UNKNOWN).sum())
            + int((~exists[place]).sum()),
            "resources_of_another_owner": int(of_another.sum()),
            "queries_disagree": len(at)
            - len(place)
            + int((read == 0).sum())
            + int(read.sum() - rightly.sum()),
        }


def _rightly(
    readers: pd.DataFrame, reads: Positions, place: Positions, owner: Positions
) -> Positions:
    """How often each row is read by whom it belongs to, in the organizations of these codes."""
    known = readers[readers["user"] >= 0]
    if reads.max() <= 1:  # one reader at most, which is the rule, needs no look-up of pairs
        reader = np.full(len(reads), NULL, np.int32)
        reader[known["organization"]] = known["user"]
        alone: Positions = ((reader[place] == owner) & (owner >= 0)).astype(np.int64)
        return alone
    pairs = _pairs(known["organization"].to_numpy(), known["user"].to_numpy())
    return _counted(pd.Series(pairs).value_counts(), _pairs(place, owner))


def _missing(references: pd.Series[int], targets: pd.Series[int]) -> int:
    return int(((references < 0) | ~references.isin(targets)).sum())


def _pairs(organizations: Positions, users: Positions) -> Positions:
    """Two codes in one number; codes are less than 2**31, and not less than -2."""
    return (organizations.astype(np.int64) << 32) + (users - NULL)


def _counted(counts: pd.Series[int], values: Positions) -> Positions:
    """How often each value was counted."""
    numbers = np.append(counts.to_numpy(dtype=np.int64), 0)
    times: Positions = numbers[counts.index.get_indexer(pd.Index(values))]
    return times
