"""What preflight says of the size of a D1 database, and of the way in which it is migrated."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from runbook.hazards import d1
from runbook.hazards.d1 import probe_d1
from runbook.plan.read import parse_plan
from runbook.run.identity import D1Conditions


def found(*, remote: bool = True, chunk_rows: int = 0, seconds: float = 1.0) -> dict[str, int]:
    facts = D1Conditions(
        name="0005.sql",
        applied=(),
        pending=(),
        unnoted=(),
        renumbered=False,
        in_the_way=False,
        transaction_words=False,
        refused=None,
        seconds=seconds,
        remote=remote,
        chunk_rows=chunk_rows,
    )
    with contextlib.closing(sqlite3.connect(":memory:")) as replica:
        replica.executescript(
            "CREATE TABLE users (id TEXT PRIMARY KEY);"
            "CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT);"
            "INSERT INTO projects VALUES ('a', 'u'), ('b', 'u'), ('c', 'u')"
        )
        return {each.code: each.count for each in probe_d1(facts, replica, parse_plan(""))}


def test_a_small_database_is_no_hazard() -> None:
    assert found() == {}


def test_many_rows_or_a_slow_trial_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(seconds=11) == {"d1_large": 3}
    assert found(seconds=11, remote=False) == {}  # nobody ends a local query
    monkeypatch.setattr(d1, "LARGE_ROWS", 2)
    assert found() == {"d1_large": 3}


def test_chunks_are_the_answer_and_named_themselves() -> None:
    assert found(seconds=11, chunk_rows=5000) == {"d1_in_chunks": 5000}
