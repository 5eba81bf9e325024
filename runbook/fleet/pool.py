"""Where orders are carried out: behind one protocol, so that the coordinator knows no Dask."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runbook.errors import RunbookError
from runbook.fleet.records import Order, Outcome
from runbook.fleet.work import work

PER_WORKER = 3
"""Orders that a worker has in hand: one at work, and the next ones, so that it never waits."""


class PoolLost(RunbookError):
    """Nobody is there any more who could carry out an order."""


@dataclass(frozen=True)
class Arrival:
    """An order that has come back; without an outcome it was lost, and `reason` says how."""

    order: Order
    outcome: Outcome | None
    reason: str = ""


class Pool(Protocol):
    """Carries out orders, in whatever order, and perhaps more than once."""

    def room(self) -> int:
        """How many more orders it takes now."""
        ...

    def submit(self, order: Order) -> None:
        """Takes an order."""
        ...

    def arrivals(self, seconds: float) -> Sequence[Arrival]:
        """What has come back, after at most so many seconds.

        Raises:
            PoolLost: nothing will come back any more.
        """
        ...

    def open_orders(self) -> Sequence[Order]:
        """The orders that have not come back."""
        ...


class Here:
    """Carries orders out in this very process, one after the other."""

    def __init__(self, carry_out: Callable[[Order], Outcome] = work, depth: int = 1) -> None:
        self._waiting: deque[Order] = deque()
        self._carry_out = carry_out
        self._depth = depth

    def room(self) -> int:
        """How many more orders it takes now."""
        return self._depth - len(self._waiting)

    def submit(self, order: Order) -> None:
        """Takes an order."""
        self._waiting.append(order)

    def arrivals(self, seconds: float) -> Sequence[Arrival]:
        """Carries out what waits."""
        done = []
        while self._waiting:
            order = self._waiting.popleft()
            done.append(Arrival(order, self._carry_out(order)))
        return done

    def open_orders(self) -> Sequence[Order]:
        """The orders that have not come back."""
        return tuple(self._waiting)
