"""The databases that can be migrated, behind one protocol.

A target knows how to reach its database and nothing about stages. What it cannot do is a declared
capability, so that the stages and the report never ask of what kind it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runbook.plan import Plan
from runbook.records import Hazard, Identity, LedgerRow, StepTaken
from runbook.script import Script, Step

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is in all."""


def no_progress(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Capabilities:
    """What a target can and cannot do."""

    proof_before_commit: bool
    """Whether a transaction stays open while the database is compared with its backup."""


@dataclass(frozen=True)
class Applied:
    """How a script ran: its steps, and seconds of waiting, proving and holding the write lock."""

    steps: tuple[StepTaken, ...]
    waited_seconds: float
    gate_seconds: float
    locked_seconds: float


Prove = Callable[[sqlite3.Connection, tuple[StepTaken, ...]], None]
"""Compares `main` with the attached backup `before`; raises to have everything rolled back."""

Prepare = Callable[[sqlite3.Connection], Script]
"""Looks inside the transaction, before the first step, and makes the script of what it finds."""

Explain = Callable[[sqlite3.Connection, Step, sqlite3.Error], Exception | None]
"""Names the reason of a failed statement while the transaction is still open; None: not known."""


class Target(Protocol):
    """A database that can be migrated."""

    @property
    def capabilities(self) -> Capabilities:
        """What this target can do."""
        ...

    def identity(self) -> Identity:
        """Which database this is.

        Raises:
            TargetError: it cannot be reached or is no database.
        """
        ...

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A read-only connection to the database as it is now, or to an exact replica of it."""
        ...

    def inspect(
        self, plan: Plan, run_dir: Path
    ) -> tuple[tuple[Hazard, ...], Mapping[str, int | float | str]]:
        """Every hazard, of the database as a whole and of its data and schema, and the advice."""
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

    def apply(
        self,
        script: Script | Prepare,
        backup: Path,
        prove: Prove,
        explain: Explain,
        progress: Progress = no_progress,
        wait: float = 30.0,
    ) -> Applied:
        """Runs the script and commits it if `prove` finds nothing; otherwise rolls it back.

        Args:
            script: the steps to run, in one transaction, or what makes them inside it.
            backup: the copy with which `prove` compares.
            prove: called after the last step and before the commit (see `Capabilities`).
            explain: called when a statement fails.
            progress: told of each step.
            wait: seconds to wait for the write lock.

        Raises:
            Refused: the lock was not to be had, or the disk is full; nothing has changed.
            OutcomeUnknown: whether it committed cannot be known from here.
        """
        ...


def open_target(database: str, options: dict[str, str] | None = None) -> Target:
    """The target that `database` names: `d1:NAME`, or the path of a SQLite file.

    Raises:
        TargetError: there is no such database.
    """
    if database.startswith("d1:"):
        from runbook.targets.d1 import D1Target

        return D1Target(database, options)
    from runbook.targets.sqlite import SqliteTarget

    return SqliteTarget(Path(database))
