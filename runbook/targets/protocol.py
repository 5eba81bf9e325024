"""What every database that can be migrated can do.

A target knows how to reach its database, and nothing of stages or hazards.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from runbook.plan.plan import Plan
from runbook.progress import Progress, no_progress
from runbook.run.findings import StepResult
from runbook.run.identity import D1Conditions, Identity, LedgerRow
from runbook.script.migration import Script, Step

R = TypeVar("R")


@dataclass(frozen=True)
class Work(Generic[R]):
    """A script to run, how to prove that it did right, and how to explain a failed statement.

    `prove` compares `main` with the attached backup `before` and returns the result to be kept;
    it raises to have everything rolled back. `explain` names the reason of a failed statement
    while the transaction is still open, None where it does not know. `begin` inspects the database
    before the first step, inside the transaction, and raises where nothing may be done.
    `prove_committed` is `prove` where a target can be compared only after its commit.
    """

    script: Script
    prove: Callable[[sqlite3.Connection, tuple[StepResult, ...]], R]
    explain: Callable[[sqlite3.Connection, Step, sqlite3.Error], Exception | None]
    begin: Callable[[sqlite3.Connection], None] | None = None
    prove_committed: Callable[[sqlite3.Connection, tuple[StepResult, ...]], R] | None = None


Prepare = Callable[[sqlite3.Connection], Work[R]]
"""Inspects the database inside the transaction, before the first step, and makes the work of it."""


@dataclass(frozen=True)
class Applied(Generic[R]):
    """How work was done: its steps, what `prove` returned, and seconds.

    The seconds are those of waiting, proving and holding the write lock.
    """

    script: Script
    steps: tuple[StepResult, ...]
    proven: R
    waited_seconds: float
    gate_seconds: float
    locked_seconds: float


class Target(Protocol):
    """A database that can be migrated."""

    proof_before_commit: bool
    """Whether a transaction stays open while the database is compared with its backup."""

    @property
    def partial(self) -> bool:
        """Whether what was last read is a migration in parts that has not come to every row.

        It looks finished to whoever takes it back, but rows may have no organization yet.
        """
        ...

    @property
    def file(self) -> Path | None:
        """The SQLite file that others may have open, too; None where it is reached otherwise."""
        ...

    def identity(self) -> Identity:
        """Which database this is.

        Raises:
            TargetError: it cannot be reached or is no database.
        """
        ...

    def settled(self, migration: str) -> dict[str, str]:
        """Options that a run keeps from its beginning on, as the target itself chose them.

        Args:
            migration: the plan's name of the migration.
        """
        ...

    def difference(self, known: Identity) -> str:
        """How this database is seen to be another than `known`; an empty text where it is not.

        What cannot be read at this moment is not compared: whoever needs it reports that.
        """
        ...

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A read-only connection to the database as it is now, or to an exact replica of it."""
        ...

    def conditions(self, plan: Plan, trial: sqlite3.Connection | None) -> D1Conditions | None:
        """What the service around the database says of the migration; None for a file.

        Args:
            plan: what is to be migrated.
            trial: an exact replica, for whose shape the script is tried in the service's own
                engine; None where something blocks already.
        """
        ...

    def backup(self, to: Path, progress: Progress = no_progress) -> None:
        """Writes an exact and durable copy of the database as a SQLite file."""
        ...

    def restore_by_hand(self, backup: Path) -> str:
        """How a person puts the whole backup back, as half a sentence."""
        ...

    def committed(self) -> AbstractContextManager[Path]:
        """A SQLite file that holds, while this is open, exactly what the database holds now."""
        ...

    def ledger(self, migration: str) -> LedgerRow | None:
        """The ledger's row of a migration; None where it has not happened."""
        ...

    def unfinished(self, migration: str) -> LedgerRow | None:
        """The row of a migration that was begun in parts and has not come to its end, if any."""
        ...

    def halfway(self, migration: str) -> str:
        """How far a migration came that was begun and has not ended; empty where none was."""
        ...

    def apply(
        self,
        work: Work[R] | Prepare[R],
        backup: Path,
        progress: Progress = no_progress,
        wait: float = 30.0,
    ) -> Applied[R]:
        """Runs the script and commits it if the proof finds nothing; otherwise rolls it back.

        Args:
            work: what to do in one transaction, or what makes it inside that transaction.
            backup: the copy with which the proof compares.
            progress: shown each step.
            wait: seconds to wait for the write lock.

        Raises:
            Refused: the lock was not to be had, or the disk is full; nothing has changed.
            OutcomeUnknown: whether it committed cannot be known from here.
        """
        ...
