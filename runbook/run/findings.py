"""What was found, as frozen dataclasses: hazards, findings, invariants, steps, digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from runbook.plan.plan import Level

Witness = Literal["gate", "sqlite", "duckdb", "pandas"]


@dataclass(frozen=True)
class Sample:
    """One offending cell or row in readable form: `before` and `after` as SQL-like values."""

    key: str
    column: str = ""
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class Hazard:
    """One thing that preflight found, and what to do about it.

    `count` is in rows or objects; `samples` are readable keys, at most ten; `remedy` is exact: an
    SQL statement or a setting of the plan.
    """

    code: str
    level: Level
    title: str
    subject: str
    count: int
    samples: tuple[str, ...]
    meaning: str
    remedy: str
    accepted_by: str = ""
    accepted_at: str = ""


@dataclass(frozen=True)
class StepResult:
    """One step of the migration as it ran; `rows` written by its INSERTs and UPDATEs."""

    name: str
    title: str
    rows: int
    seconds: float


@dataclass(frozen=True)
class Finding:
    """A difference outside the footprint, a broken rule, or a violated invariant."""

    witness: Witness
    table: str
    column: str
    change: str
    rows: int
    message: str
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True)
class InvariantResult:
    """One invariant and the number of violating rows that each witness found."""

    name: str
    title: str
    why: str
    violations: Mapping[str, int]

    @property
    def holds(self) -> bool:
        """Whether every witness found no violating row."""
        return not any(self.violations.values())


@dataclass(frozen=True)
class TableDigest:
    """SHA-256 of a table's rows, independent of their order.

    `all_columns` covers every column, `outside` those outside the footprint, and `timeless` every
    column with the run's own timestamp replaced by a placeholder, so that a rehearsal's can be
    compared with the real one's.
    """

    table: str
    rows: int
    all_columns: str
    outside: str
    timeless: str = ""
