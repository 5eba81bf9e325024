"""Many mutants of every kind, counted: which guard sees which, and whether any gets through."""

from __future__ import annotations

import collections
import itertools
import multiprocessing
import os
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.mutants.ask import GUARDS, Guard, Outcome, Stillborn, ask
from tests.support.mutants.bases import BASES, Base
from tests.support.mutants.generate import mutants
from tests.support.mutants.original import KINDS, Kind
from tests.support.mutants.prepared import hurried, prepare

WEIGHTS: dict[Kind, int] = {
    "SQL": 24,
    "data before the gate": 28,
    "data after the commit": 28,
    "header": 8,
    "schema": 12,
}
"""Per cent of all mutants."""


KEPT: Path | None = Path(os.environ["RUNBOOK_MUTANTS"]) if "RUNBOOK_MUTANTS" in os.environ else None
"""Where the outcomes of batches are kept, so that a run can be gone on with."""

_EACH = 10
"""Every tenth mutant before the commit is committed all the same, and all witnesses are asked."""


@dataclass(frozen=True)
class Batch:
    """The mutants of one base and kind."""

    base: str
    kind: Kind
    number: int
    seed: int


@dataclass
class Tally:
    """One line of the matrix."""

    faults: int = 0
    caught: int = 0
    unchanged: int = 0
    allowed: int = 0
    asked: collections.Counter[Guard] = field(default_factory=collections.Counter)
    saw: collections.Counter[Guard] = field(default_factory=collections.Counter)

    def add(self, outcome: Outcome) -> None:
        """Counts one mutant."""
        self.unchanged += outcome.is_a == "no change"
        self.allowed += outcome.is_a == "allowed"
        if outcome.is_a == "fault":
            self.faults += 1
            self.caught += outcome.caught
            self.asked.update(outcome.saw.keys())
            self.saw.update(guard for guard, saw in outcome.saw.items() if saw)

    @property
    def mutants(self) -> int:
        """All of them."""
        return self.faults + self.unchanged + self.allowed


def batches(number: int, seed: int, bases: Iterable[Base] = BASES) -> Iterator[Batch]:
    """The given number of mutants, spread over bases and kinds; none has fewer than one."""
    names = [base.name for base in bases]
    for place, (name, kind) in enumerate(itertools.product(names, KINDS)):
        share = max(1, round(number * WEIGHTS[kind] / 100 / len(names)))
        yield Batch(name, kind, share, seed * 1000 + place)


def run_batch(batch: Batch) -> list[Outcome]:
    """Makes the mutants of one batch and asks all guards."""
    kept = None if KEPT is None else KEPT / f"{batch.seed}-{batch.number}.pickle"
    if kept is not None and kept.exists():
        outcomes: list[Outcome] = pickle.loads(kept.read_bytes())
        return outcomes
    outcomes = _run_batch(batch)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps(outcomes))
    return outcomes


def _run_batch(batch: Batch) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="mutants-", dir=_memory()) as folder, hurried():
        return list(_outcomes(batch, Path(folder)))


def _outcomes(batch: Batch, folder: Path) -> Iterator[Outcome]:
    base = next(each for each in BASES if each.name == batch.base)
    prepared = prepare(base, folder, batch.seed)
    steps = len(prepared.original.script.steps)
    # Several seeds find the same mutant; in a batch each is there once.
    distinct = set()
    for mutant in mutants(prepared.original, batch.kind, steps):
        if len(distinct) == batch.number:
            return
        if mutant in distinct:
            continue
        try:
            yield ask(prepared, mutant, all_guards=len(distinct) % _EACH == 0)
        except Stillborn:
            continue
        distinct.add(mutant)


def run(
    wanted: Iterable[Batch],
    workers: int = 1,
    progress: Callable[[Batch, list[Outcome]], None] = lambda batch, outcomes: None,
) -> list[Outcome]:
    """All batches, in processes of their own where there are several workers."""
    wanted = list(wanted)
    outcomes: list[Outcome] = []
    if workers == 1:
        for batch in wanted:
            outcomes += (done := run_batch(batch))
            progress(batch, done)
        return outcomes
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for batch, done in zip(wanted, pool.map(run_batch, wanted), strict=True):
            outcomes += done
            progress(batch, done)
    return outcomes


def tally(outcomes: Iterable[Outcome]) -> dict[Kind, dict[str, Tally]]:
    """By kind and group of mutants, in their order."""
    lines: dict[Kind, dict[str, Tally]] = {kind: {} for kind in KINDS}
    for outcome in sorted(outcomes, key=lambda o: o.mutant.name):
        group = outcome.mutant.name.split(":")[0]
        lines[outcome.mutant.kind].setdefault(group, Tally()).add(outcome)
    return lines


def total(lines: Iterable[Tally]) -> Tally:
    """Several lines as one."""
    whole = Tally()
    for line in lines:
        for name in ("faults", "caught", "unchanged", "allowed"):
            setattr(whole, name, getattr(whole, name) + getattr(line, name))
        whole.asked += line.asked
        whole.saw += line.saw
    return whole


def cells(line: Tally) -> list[str]:
    """One line as text: caught of faults, then of what each guard was asked, how much it saw."""
    by_guard = [
        f"{line.saw[guard]:,} of {line.asked[guard]:,}" if line.asked[guard] else "-"
        for guard in GUARDS
    ]
    return [
        f"{line.mutants:,}",
        f"{line.unchanged + line.allowed:,}",
        f"**{line.caught:,} of {line.faults:,}**",
        *by_guard,
    ]


def _memory() -> str | None:
    """A folder in memory, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
