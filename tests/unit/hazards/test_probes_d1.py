"""What preflight says of the size of a D1 database, and of the way in which it is migrated."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from typing import Any

import pytest

from runbook.hazards import d1
from runbook.hazards.d1 import probe_d1
from runbook.plan.read import parse_plan
from runbook.run.identity import D1Conditions

CONDITIONS = D1Conditions(
    name="0005.sql",
    applied=(),
    pending=(),
    unnoted=(),
    renumbered=False,
    in_the_way=False,
    transaction_words=False,
    carriage_returns=False,
    refused=None,
    seconds=1.0,
    remote=True,
    chunk_rows=0,
)


def found(**changes: Any) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(":memory:")) as replica:
        replica.executescript(
            "CREATE TABLE users (id TEXT PRIMARY KEY);"
            "CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT);"
            "INSERT INTO projects VALUES ('a', 'u'), ('b', 'u'), ('c', 'u')"
        )
        conditions = dataclasses.replace(CONDITIONS, **changes)
        return {each.code: each.count for each in probe_d1(conditions, replica, parse_plan(""))}


@pytest.mark.parametrize(
    ("changes", "code", "count"),
    [
        ({"pending": ("a.sql", "b.sql")}, "d1_pending_migrations", 2),
        ({"unnoted": ("a.sql",)}, "d1_migrations_not_noted", 1),
        ({"renumbered": True}, "d1_file_number", 1),
        ({"in_the_way": True}, "d1_file_in_the_way", 1),
        ({"applied": ("0005.sql",)}, "d1_already_applied", 1),
        ({"transaction_words": True}, "d1_transaction_words", 1),
        ({"carriage_returns": True}, "d1_carriage_returns", 1),
        ({"refused": "no"}, "d1_script_refused", 1),
        ({"wrangler": "4.86.0", "own_wrangler": "3.9.0"}, "d1_other_wrangler", 1),
    ],
)
def test_each_condition_is_a_hazard(changes: dict[str, Any], code: str, count: int) -> None:
    assert found(**changes) == {code: count}
    assert found(wrangler="4.86.0", own_wrangler="4.86.0") == {}


def test_a_small_database_is_no_hazard() -> None:
    assert found() == {}


def test_many_rows_or_a_slow_trial_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(seconds=11) == {"d1_large": 3}
    assert found(seconds=11, remote=False) == {}  # nobody ends a local query
    monkeypatch.setattr(d1, "LARGE_ROWS", 2)
    assert found() == {"d1_large": 3}


def test_chunks_are_the_answer_and_named_themselves() -> None:
    assert found(seconds=11, chunk_rows=5000) == {"d1_in_chunks": 5000}
