"""Users who must be covered, counted over codes as plain Python counts them, keys or none."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbook.audit.owner_codes import NULL, UNKNOWN, CodedTables

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
