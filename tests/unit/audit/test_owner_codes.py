"""Users who must be covered, counted over codes as plain Python counts them, keys or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbook.audit.owner_codes import NULL, UNKNOWN, CodedResource, CodedTables, Codes

CODES = st.lists(st.sampled_from([NULL, UNKNOWN, 0, 1, 2, 3]), max_size=6)


def tables(users: list[int], members: list[int]) -> CodedTables:
    """Users, and a membership in organization 0 for each member."""
    return CodedTables(
        users=np.array(users, np.int32),
        organizations=pd.DataFrame({"id": [0], "owner": [0], "personal": [True]}),
        memberships=pd.DataFrame({"organization": [0] * len(members), "user": members}).assign(
            is_owner=True
        ),
    )


@settings(max_examples=30)
@given(users=CODES, members=CODES, owners=CODES)
@example(users=[NULL, NULL], members=[], owners=[0])  # every key was emptied after the commit
@example(users=[], members=[], owners=[0])
def test_owners_among_the_users_must_be_members(
    users: list[int], members: list[int], owners: list[int]
) -> None:
    coded = tables(users, members)
    counted = coded.violations([np.array(owners, np.int32)])["users_without_organization"]
    joined = {m for m in members if m >= 0}
    assert counted == sum(u >= 0 and u in owners and u not in joined for u in users)


@settings(max_examples=30)
@given(users=CODES, members=CODES)
def test_every_user_must_be_a_member_where_all_must(users: list[int], members: list[int]) -> None:
    counted = tables(users, members).violations(None)["users_without_organization"]
    joined = {m for m in members if m >= 0}
    assert counted == sum(u < 0 or u not in joined for u in users)


@dataclass(frozen=True)
class Column:
    """A file of one column, read three rows at a time."""

    cells: Sequence[bytes]

    def named(self, column: str) -> str:
        return column

    def windows(self, columns: Sequence[str]) -> Iterator[Any]:
        for start in range(0, len(self.cells), 3):
            yield pa.table({columns[0]: pa.array(self.cells[start : start + 3], pa.binary())})


VALUES = [b"torg-a", b"torg-b", b"torg-c"]
CELL = st.sampled_from([*VALUES, b"torg-ghost", b"n"])


@settings(max_examples=60)
@given(rows=st.lists(st.tuples(CELL, st.integers(NULL, 2)), max_size=8))
@example(rows=[(b"torg-b", 1), (b"torg-b", 0), (b"n", 2), (b"torg-ghost", 0), (b"torg-a", NULL)])
def test_codes_are_those_of_the_cells_whatever_is_expected(rows: list[tuple[bytes, int]]) -> None:
    codes = Codes(pa.array(VALUES, pa.large_binary()), pa.scalar(b"n", pa.large_binary()))
    cells, expected = [cell for cell, _ in rows], np.array([code for _, code in rows], np.int64)
    coded = codes.of_expected(Column(cells), "organization_id", expected)  # type: ignore[arg-type]
    known = {**{value: code for code, value in enumerate(VALUES)}, b"n": NULL}
    assert coded.tolist() == [known.get(cell, UNKNOWN) for cell in cells]


@settings(max_examples=60)
@given(
    rows=st.lists(st.tuples(st.integers(NULL, 3), st.integers(NULL, 3)), max_size=5),
    members=st.lists(st.tuples(st.integers(UNKNOWN, 3), st.integers(NULL, 3)), max_size=5),
    personal=st.tuples(st.booleans(), st.booleans()),
)
@example(rows=[(0, 0), (1, 0)], members=[(0, 0), (0, 1), (1, 1)], personal=(True, True))
def test_rows_of_resources_are_counted_one_by_one(
    rows: list[tuple[int, int]], members: list[tuple[int, int]], personal: tuple[bool, bool]
) -> None:
    """Organizations 0 and 1 belong to users 0 and 1; 2 and 3 are only named by memberships."""
    coded = CodedTables(
        users=np.arange(4, dtype=np.int32),
        organizations=pd.DataFrame({"id": [0, 1], "owner": [0, 1], "personal": personal}),
        memberships=pd.DataFrame(members, columns=["organization", "user"], dtype=np.int32).assign(
            is_owner=True
        ),
    )
    place, owner = (np.array([row[i] for row in rows], np.int32) for i in (0, 1))
    readers = [
        [user for organization, user in members if organization == at and personal[at]]
        if at in (0, 1)
        else []
        for at, _ in rows
    ]
    disagree = sum(
        sum(user < 0 or user != whose for user in read) or not read
        for read, (_, whose) in zip(readers, rows, strict=True)
    )
    assert coded.resource_violations(CodedResource(place, owner)) == {
        "resources_without_organization": sum(at == NULL for at, _ in rows),
        "resources_of_missing_organization": sum(at == UNKNOWN or at > 1 for at, _ in rows),
        "resources_of_another_owner": sum(at in (0, 1) and at != owner for at, owner in rows),
        "queries_disagree": disagree,
    }
