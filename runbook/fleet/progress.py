"""How far a fleet is, in a line now and then: databases, rows, rate, time left, failures."""

from __future__ import annotations

import time
from collections.abc import Sequence

from runbook.fleet.records import Outcome
from runbook.terminal import Echo
from runbook.wording import counted, duration, per_second

EVERY = 10.0
"""Seconds between two lines; where nothing has come back, nothing is printed."""


class Meter:
    """Counts what has come back of one part of the work."""

    def __init__(self, what: str, total: int, echo: Echo) -> None:
        self._what = what
        self._total = total
        self._echo = echo
        self._began = self._printed = time.monotonic()
        self._done = 0
        self._rows = 0
        self._failures = 0

    def add(self, outcomes: Sequence[Outcome], *, failures: int) -> None:
        """Counts databases, and prints a line where it is time for one."""
        self._done += len(outcomes)
        self._rows += sum(outcome.rows for outcome in outcomes)
        self._failures = failures
        if outcomes and time.monotonic() - self._printed >= EVERY:
            self._printed = time.monotonic()
            self._echo(self.line())

    def line(self) -> str:
        """How far it is."""
        elapsed = max(time.monotonic() - self._began, 0.001)
        rate = self._done / elapsed
        rows = f", {counted(self._rows, 'row')}" if self._rows else ""
        speed = f", {per_second(rate)} a second" if rate else ""
        left = ""
        if rate and self._done < self._total:
            left = f", about {duration(round((self._total - self._done) / rate))} left"
        return (
            f"  {self._what}: {self._done:,} of {counted(self._total, 'database')}{rows}"
            f"{speed}{left}, {counted(self._failures, 'failure')}"
        )

    def close(self) -> None:
        """Prints how it ended."""
        if self._total:
            self._echo(self.line())
