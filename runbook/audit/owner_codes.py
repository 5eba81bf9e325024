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
            for window in file.windows([name], rows if rows < WINDOW_ROWS else 4 * rows):
                pending.append(pool.submit(fill, start, window))
                start += window.num_rows
                if len(pending) > _THREADS:
                    pending.pop(0).result()
            for each in pending:
                each.result()
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
        at = resource.organization
        organizations = self.organizations[self.organizations["id"] >= 0].set_index("id")
        place = organizations.index.get_indexer(
            pd.Index(at)
        )  # -1 for NULL and for what does not exist
        owners = organizations["owner"].to_numpy()
        belongs_to = resource.belongs_to
        of_another = (place >= 0) & (np.append(owners, UNKNOWN)[place] != belongs_to)
        personal = organizations.index[organizations["personal"]]
        readers = self.memberships[self.memberships["organization"].isin(personal)]
        # Each row is read once by each reader of its organization; right is the one it belongs to.
        reads = readers["organization"].value_counts()
        known = readers[readers["user"] >= 0]
        pairs = _pairs(known["organization"].to_numpy(), known["user"].to_numpy())
        right = pd.Series(pairs).value_counts()
        read = _counted(reads, at)
        rightly = np.where(at >= 0, _counted(right, _pairs(at, belongs_to)), 0)
        return {
            "resources_without_organization": int((at == NULL).sum()),
            "resources_of_missing_organization": int(((at != NULL) & (place < 0)).sum()),
            "resources_of_another_owner": int(of_another.sum()),
            "queries_disagree": int((read == 0).sum()) + int((read - rightly).sum()),
        }


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
