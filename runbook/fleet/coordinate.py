"""The fleet in order: preflight of all, one question, canaries, waves, and where it ends.

The coordinator knows what is to be done next, and nothing of how. Where a database is it learns
from the outcome of an order, which was read from the ledger, or it reads the ledger itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from runbook.errors import NotConfirmed, RunbookError
from runbook.fleet.direct import execute_directly
from runbook.fleet.pool import Arrival, Pool, PoolLost
from runbook.fleet.progress import Meter
from runbook.fleet.records import FAILURES, Order, Outcome, State, Work
from runbook.fleet.shares import ALL, NONE, Share, fewer_of
from runbook.fleet.stop import Stop
from runbook.fleet.store import Fleet, Member
from runbook.fleet.work import observe, perform
from runbook.stages.confirm import Ask
from runbook.terminal import Echo
from runbook.wording import counted, listed

MOST_LOSSES = 3
"""How often a database's worker may be lost before the database is left alone."""

WAIT_SECONDS = 0.5

UNTIL = ("preflight", "rehearse", "snapshot", "report")
"""Where a fleet may end: before anything is changed, or with the verdict."""

_GOES_ON: tuple[State, ...] = ("untouched", "running", "ready", "before", "failed", "unknown")


@dataclass(frozen=True)
class Choices:
    """How a fleet is run.

    Attributes:
        canaries: databases that are migrated first, as notebooks and with a rehearsal.
        waves: how far each wave goes, in databases.
        most_failures: how many databases may fail before no more are begun.
        until: the last stage.
        rehearse_all: every database is rehearsed, not only the canaries.
        notebooks: canaries are migrated as notebooks, and databases that failed get theirs.
        yes: change the databases without asking.
        ask: asks the person at the terminal; None where there is none.
        echo: prints a line.
    """

    canaries: int = 1
    waves: tuple[Share, ...] = (ALL,)
    most_failures: Share = NONE
    until: str = "report"
    rehearse_all: bool = False
    notebooks: bool = True
    yes: bool = False
    ask: Ask | None = None
    echo: Echo = print


@dataclass(frozen=True)
class Ended:
    """How a call ended.

    `stopped` says why it begins no more databases, "" where there were no more; `failures` is the
    number of databases that did not come where this call should have brought them.
    """

    stopped: str = ""
    failures: int = 0


class Coordinator:
    """One call of `runbook fleet run` or `runbook fleet rollback`."""

    def __init__(
        self,
        fleet: Fleet,
        choices: Choices,
        orders: Callable[[Member, Work], Order],
        stop: Stop,
    ) -> None:
        """A coordinator of `fleet`; `orders` makes an order, `stop` is asked between two."""
        self._fleet = fleet
        self._choices = choices
        self._order = orders
        self._stop = stop
        self._total = sum(fleet.counts().values())
        self._failed: set[int] = set()
        self._losses: Counter[int] = Counter()

    def has_work(self) -> bool:
        """Whether there is a database that has not come to its end."""
        return any(m.state in _GOES_ON for m in self._fleet.members())

    def run(self, pool: Pool) -> Ended:
        """Brings every database as far as it should go.

        Raises:
            NotConfirmed: the change was not agreed to; nothing was changed.
            PoolLost: no worker is left to do the work.
        """
        members = list(self._fleet.members())
        self._failed = {m.number for m in members if m.state == "before" and not m.attempts}
        self._preflight(pool, members)
        if self._stop.reason or self._choices.until == "preflight":
            return self._ended(self._stop.reason)
        self._check_failures()
        if self._stop.reason:
            return self._ended(f"{self._stop.reason}, so nothing was changed")
        if self._choices.until == "report":
            self._confirm([m for m in self._todo() if m.state != "after"])
        self._canaries()
        if self._choices.until != "rehearse" or self._choices.rehearse_all:
            self._waves(pool)
        return self._ended(self._stop.reason)

    def roll_back(self, pool: Pool, chosen: Sequence[Member]) -> Ended:
        """Takes the migration of the chosen databases back."""
        self._confirm(chosen)
        orders = [self._order(member, "rollback") for member in chosen]
        self._spread(pool, orders, "rollback", None)
        return self._ended(self._stop.reason)

    def _ended(self, reason: str) -> Ended:
        return Ended(reason, len(self._failed))

    # -- the parts ---------------------------------------------------------------------------

    def _preflight(self, pool: Pool, members: Sequence[Member]) -> None:
        """Every database that nothing is known of is inspected, whatever the others say."""
        wanted = [
            dataclasses.replace(
                self._order(member, "run"), until="preflight", leave_out=("rehearse", "report")
            )
            for member in members
            if _is_untried(member) and member.number not in self._failed
        ]
        self._spread(pool, wanted, "preflight", None, whatever=True)

    def _confirm(self, members: Sequence[Member]) -> None:
        name, ask = self._fleet.about.name, self._choices.ask
        if self._choices.yes or not members:
            return
        typed = ""
        if ask is not None:
            with contextlib.suppress(EOFError):
                what = f"{counted(len(members), 'database')} of the fleet {name}"
                typed = ask(f"\nThis changes {what}. Type its name to go on: ").strip()
        if typed != name:
            reason = f'"{typed}" was typed' if typed else "there was no terminal to ask on"
            raise NotConfirmed(
                f"The databases of the fleet {name} were not changed, because {reason}; type its "
                "name when asked, or pass --yes."
            )

    def _todo(self) -> list[Member]:
        return [
            member
            for member in self._fleet.members()
            if member.state in ("ready", "running", "failed", "unknown", "after")
            and member.number not in self._failed
        ]

    def _canaries(self) -> None:
        """The first databases, one after the other, as notebooks; one that fails stops all."""
        members = self._todo()
        past = [m for m in members if m.state == "after"]
        begun = [m for m in members if m.wave == 0 and m.state != "after"]
        fresh = [m for m in members if m.state == "ready" and m.wave != 0]
        missing = self._choices.canaries - len(past) - len(begun)
        for member in begun + fresh[: max(0, missing)]:
            if self._stop.asked:
                return
            self._choices.echo(f"  canary {member.name}")
            order = dataclasses.replace(self._order(member, "run"), leave_out=())
            self._fleet.begin([member.number], 0)
            outcome = perform(order, None if self._choices.notebooks else execute_directly)
            self._fleet.settle([outcome])
            if outcome.state in FAILURES:
                self._failed.add(member.number)
                self._stop.because(f"the canary {member.name} failed ({outcome.error})")
                return

    def _waves(self, pool: Pool) -> None:
        total = len(self._todo())
        through: set[int] = set()
        for number, share in enumerate(self._choices.waves, 1):
            members = self._todo()
            rest = [m for m in members if m.state != "after" and m.number not in through]
            room = share.of(total) - (len(members) - len(rest))
            if room <= 0 or not rest or self._stop.reason:
                continue
            wave = [self._order(member, "run") for member in rest[:room]]
            self._spread(pool, wave, f"wave {number}", number)
            through |= {order.number for order in wave}

    def _check_failures(self) -> None:
        allowed = fewer_of(self._choices.most_failures, self._total)
        if len(self._failed) > allowed and not self._stop.reason:
            self._stop.because(
                f"{counted(len(self._failed), 'database')} failed, and --max-failures allows "
                f"{allowed:,}"
            )

    # -- spreading ---------------------------------------------------------------------------

    def _spread(
        self,
        pool: Pool,
        orders: Sequence[Order],
        what: str,
        wave: int | None,
        *,
        whatever: bool = False,
    ) -> None:
        """Has orders carried out; no more are begun once a stop is asked for.

        `whatever`: also where more fail than may.
        """
        waiting = deque(orders)
        meter = Meter(what, len(orders), self._choices.echo)
        while True:
            if waiting and not self._stop.reason:
                self._hand_out(pool, waiting, wave)
            if not pool.open_orders() and (not waiting or self._stop.reason):
                break
            try:
                arrivals = pool.arrivals(WAIT_SECONDS)
            except PoolLost:
                self._after_the_pool(pool.open_orders())
                raise
            again, outcomes = self._sort(arrivals)
            waiting.extendleft(again)
            self._fleet.settle(outcomes)
            meter.add(outcomes, failures=len(self._failed))
            if not whatever:
                self._check_failures()
        meter.close()

    def _hand_out(self, pool: Pool, waiting: deque[Order], wave: int | None) -> None:
        batch = [waiting.popleft() for _ in range(min(pool.room(), len(waiting)))]
        if batch:
            self._fleet.begin([order.number for order in batch], wave)
        for order in batch:
            pool.submit(order)

    def _sort(self, arrivals: Iterable[Arrival]) -> tuple[list[Order], list[Outcome]]:
        """What is to be done again, and what has become of the rest."""
        again: list[Order] = []
        outcomes: list[Outcome] = []
        for arrival in arrivals:
            outcome = arrival.outcome
            if outcome is None or outcome.misfit:
                outcome = self._after_loss(arrival)
            if outcome is None:
                again.append(arrival.order)
                continue
            outcomes.append(outcome)
            if _is_failure(arrival.order, outcome):
                self._failed.add(outcome.number)
        return again, outcomes

    def _after_loss(self, arrival: Arrival) -> Outcome | None:
        """Where a database is whose worker was lost; None: it is to be tried again.

        Dask's word is not taken: the order may have been carried out.
        """
        order = arrival.order
        reason = arrival.outcome.error if arrival.outcome else arrival.reason
        outcome = observe(order)
        if outcome.state == ("after" if order.work == "run" else "taken back"):
            return outcome
        self._losses[order.number] += 1
        if self._losses[order.number] < MOST_LOSSES and not self._stop.reason:
            return None
        times = counted(self._losses[order.number], "time")
        problem = RunbookError(
            f"Its worker was lost {times} ({reason}); call the same command again, which asks its "
            "ledger and goes on."
        )
        return observe(order, problem)

    def _after_the_pool(self, orders: Iterable[Order]) -> None:
        """Notes what the ledgers say of the orders that no worker will report on any more."""
        outcomes = [observe(order) for order in orders]
        self._fleet.settle([o for o in outcomes if o.state in ("after", "taken back")])


def _is_untried(member: Member) -> bool:
    """Whether nothing more than preflight was begun; all others the migration itself looks at."""
    return member.state in ("untouched", "before") or (
        member.state == "running" and member.wave < 0
    )


def _is_failure(order: Order, outcome: Outcome) -> bool:
    if order.work == "rollback":
        return outcome.state != "taken back"
    return outcome.state in FAILURES


def describe(fleet: Fleet, ended: Ended) -> Iterator[str]:
    """How the fleet stands, in lines: first the counts, then the databases that need a person."""
    members = list(fleet.members())
    if ended.stopped:
        yield f"Stopped: {ended.stopped}."
    for state in ("after", "taken back", "ready", "untouched", "running", *FAILURES):
        names = [m.name for m in members if m.state == state]
        if names:
            yield f"  {state:<10} {len(names):>7,}  {listed(names, 3)}"
    for member in [m for m in members if m.error][:20]:
        yield f"  {member.name}: {member.error}"
