"""Which counters may move when triggers fire, and to what."""

from __future__ import annotations

import pytest

from runbook.audit.sequences import Rows, sequence_findings
from runbook.plan.plan import Plan, Triggers

FIRE = Plan(triggers=Triggers("fire", ("Log", "fresh")))
LARGEST = {"log": 9, "fresh": 3}


def messages(before: Rows, after: Rows, plan: Plan = FIRE) -> list[str]:
    found = sequence_findings(plan, before, after, lambda t: LARGEST.get(t.casefold()), "gate")
    return [finding.message for finding in found]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("log", 5), ("other", 7)], [("log", 9), ("other", 7)]),
        ([("log", 12)], [("log", 12)]),
        ([], [("fresh", 3)]),
        ([("other", None), ("other", 1)], [("other", 1), ("other", None)]),
    ],
)
def test_right_counters(before: Rows, after: Rows) -> None:
    assert messages(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ([("other", 7)], [("other", 0)], "other"),
        ([("other", 7)], [], "other"),
        ([], [("other", 7)], "other"),
        ([("other", 7)], [("other", "7")], "other"),
        ([("other", 7)], [("other", 7), ("other", 7)], "other"),
        ([("log", 5)], [("log", 10)], "log"),
        ([("log", 12)], [("log", 9)], "log"),
        ([("log", 5)], [("log", 9), ("log", 9)], "log"),
        ([("log", 5)], [], "log"),
        ([("log", 5)], [("log", 9.0)], "log"),
    ],
)
def test_wrong_counters_are_named(before: Rows, after: Rows, named: str) -> None:
    (message,) = messages(before, after)
    assert f'"{named}"' in message


def test_none_may_move_where_triggers_do_not_fire() -> None:
    assert messages([("log", 5)], [("log", 9)], Plan(triggers=Triggers("suspend", ("log",))))
