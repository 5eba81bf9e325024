"""The line that says how far a fleet is."""

from __future__ import annotations

import time

import pytest

from runbook.fleet.progress import Meter
from runbook.fleet.records import Outcome


@pytest.mark.parametrize(
    ("total", "done", "seconds", "line"),
    [
        (1, 1, 1.0, "wave 1: 1 of 1 database, 1 row, 1.00 a second, 1 failure"),
        (2_000, 500, 2.0, "500 of 2,000 databases, 500 rows, 250 a second, about 6.00 s left"),
        (3, 1, 50.0, "1 of 3 databases, 1 row, 0.020 a second, about 1 min 40 s left"),
        (3, 0, 1.0, "wave 1: 0 of 3 databases, 1 failure"),
    ],
)
def test_a_line_has_the_rate_as_it_is_written_everywhere(
    total: int, done: int, seconds: float, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    printed: list[str] = []
    meter = Meter("wave 1", total, printed.append)
    now[0] += seconds
    meter.add([Outcome(n, "after", rows=1) for n in range(done)], failures=1)
    meter.close()
    assert line in printed[-1]
