"""What the stages report, as frozen dataclasses: hazards, findings, invariants, steps, digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from runbook.plan.plan import Level
from runbook.sqlite.fields import Row, render_row, render_value, words

Witness = Literal["gate", "sqlite", "duckdb", "pandas"]
WITNESSES: tuple[Witness, ...] = get_args(Witness)
"""Whoever compares and counts: the gate before the commit, the others after it."""

WITNESS_NAMES: dict[str, str] = {"sqlite": "SQLite", "duckdb": "DuckDB", "pandas": "pandas"}
"""The witnesses after the commit, as they are written."""


@dataclass(frozen=True)
class Sample:
    """One offending value or row, typed; whoever shows it masks and renders it.

    `key` names the row; `place` says first where it is, if that is not said elsewhere. Of a single
    value the `column` is named, and `before` and `after` hold that field alone; else they hold
    the row, or some columns of it. None: there was or is nothing.
    """

    key: Row
    column: str = ""
    before: Row | None = None
    after: Row | None = None
    place: str = ""


@dataclass(frozen=True)
class RenderedSample:
    """A sample as text, for people: each value as SQL writes it."""

    key: str
    column: str
    before: str | None
    after: str | None


def render_sample(sample: Sample) -> RenderedSample:
    """The sample as text; a single value stands without its column, which has its own place."""

    def side(row: Row | None) -> str | None:
        if row is None:
            return None
        return render_value(row[0]) if sample.column else render_row(row)

    key = f"{sample.place} {render_row(sample.key)}".strip()
    return RenderedSample(key, sample.column, side(sample.before), side(sample.after))


def sample_line(sample: Sample) -> str:
    """The sample in one line: `id='u-1'`, or `owner_id='u-9': rows=3`."""
    shown = render_sample(sample)
    sides = [side for side in (shown.before, shown.after) if side is not None]
    return f"{shown.key}: {' -> '.join(sides)}" if sides else shown.key


def words_sample(text: str) -> Sample:
    """A sample that is no data: the name of a schema object, a file, a process."""
    return Sample((words(text),))


def schema_sample(name: str, before: str | None, after: str | None) -> Sample:
    """An object of the schema with its SQL before and after."""
    old, new = ((None if sql is None else (words(sql, "sql"),)) for sql in (before, after))
    return Sample((words(name),), "sql", old, new)


@dataclass(frozen=True)
class Hazard:
    """One thing that preflight found, and what to do about it.

    `count` is in rows or objects; `samples` are at most ten rows or objects; `remedy` is exact: an
    SQL statement or a setting of the plan.
    """

    code: str
    level: Level
    title: str
    subject: str
    count: int
    samples: tuple[Sample, ...]
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
    """A difference outside the footprint, a broken rule, or a violated invariant.

    `message` says what is wrong; `drift` that something other than the migration wrote it, about
    which another thing is to be done before the commit than after it (`finding_sentence`).
    """

    witness: Witness
    table: str
    column: str
    change: str
    rows: int
    message: str
    samples: tuple[Sample, ...] = ()
    drift: bool = False


_DRIFT = "it is not part of the migration, so "
_BEFORE = (
    "the database was written to after the snapshot; make sure that nothing writes to it, take a "
    "new snapshot and run again"
)
_AFTER = (
    "something else has written to the database; find out what, then correct it or take the "
    "migration back"
)


def drift_advice(*, committed: bool) -> str:
    """What is to be done about a write of something other than the migration."""
    return _DRIFT + (_AFTER if committed else _BEFORE)


def finding_sentence(finding: Finding, *, committed: bool) -> str:
    """What is wrong, and what to do about it at this moment: before the commit, or after it."""
    if not finding.drift:
        return finding.message
    return f"{finding.message}; {drift_advice(committed=committed)}"


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
    compared with the real one's. `columns` has the digest of each column, of which `all_columns` is
    made, and `ordered_by` the columns that put the rows in order.
    """

    table: str
    rows: int
    all_columns: str
    outside: str
    timeless: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    ordered_by: tuple[str, ...] = ()
