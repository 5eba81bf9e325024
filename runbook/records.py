"""What the stages find, as frozen dataclasses, and their form as JSON.

Everything that a report, a status line or a later stage needs stands in these records; nothing
else is passed from stage to stage. Rendering is a view of them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import cattrs

from runbook.errors import RunFolderError
from runbook.shape import Shape

T = TypeVar("T")

Level = Literal["block", "warn", "note"]
Witness = Literal["gate", "sqlite", "duckdb", "pandas"]
Change = Literal["appears", "added", "removed", "changed", "disappears", "identical"]


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
class StepTaken:
    """One step of the migration as it ran; `rows` written by its INSERTs and UPDATEs."""

    name: str
    title: str
    rows: int
    seconds: float


@dataclass(frozen=True)
class FootprintLine:
    """One line of the footprint: what may change, how many rows were predicted and seen.

    `seen` maps each witness to its count; `allowed` is False for a line that no rule foresees.
    """

    table: str
    change: Change
    column: str
    rule: str
    predicted: int | None
    allowed: bool = True
    seen: Mapping[str, int] = field(default_factory=dict)


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
class InvariantSeen:
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


@dataclass(frozen=True)
class Identity:
    """Which database it is: `kind` is `sqlite` or `d1`; `place` a path or an account's name."""

    kind: str
    name: str
    place: str
    bytes: int = 0
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LedgerRow:
    """The row that the migration leaves in the target, in its own transaction."""

    migration: str
    run: str
    checksum: str
    applied_at: str


@dataclass(frozen=True)
class Backup:
    """The restorable copy: `file` is relative to the run folder, `tables` is what was compared."""

    file: str
    bytes: int
    sha256: str
    seconds: float
    tables_compared: int
    restored_equal: bool


@dataclass(frozen=True)
class PreflightRecord:
    """Result of `01_preflight`."""

    hazards: tuple[Hazard, ...]
    footprint: tuple[FootprintLine, ...]
    advice: Mapping[str, int | float | str]

    @property
    def blocked(self) -> bool:
        """Whether a hazard of level `block` was found."""
        return any(h.level == "block" for h in self.hazards)


@dataclass(frozen=True)
class SnapshotRecord:
    """Result of `03_snapshot`."""

    backup: Backup
    tables: int
    rows: int
    digests: tuple[TableDigest, ...]
    target_state: str
    """What the target's file said of itself when the backup was taken (see the target)."""
    shape: Shape | None = None
    """The database's shape as the backup holds it; None in a record that does not say."""
    footprint: tuple[FootprintLine, ...] = ()
    """What may change, and in how many rows, predicted from the backup."""


@dataclass(frozen=True)
class Confirmation:
    """Who agreed that the database is changed, when and how, and to which warnings."""

    by: str
    at: str
    how: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MigrateRecord:
    """Result of `04_migrate`; `committed` False means that everything was rolled back."""

    committed: bool
    ledger: LedgerRow | None
    steps: tuple[StepTaken, ...]
    footprint: tuple[FootprintLine, ...]
    findings: tuple[Finding, ...]
    invariants: tuple[InvariantSeen, ...]
    waited_seconds: float
    gate_seconds: float
    locked_seconds: float
    proof: Literal["before commit", "after commit"] = "before commit"
    proven_after_commit: tuple[str, ...] = ()
    """Tables that the plan moved behind the commit; verify compares them."""
    confirmation: Confirmation | None = None
    note: str = ""
    """One sentence where the run did not go straight, for example that it was resumed."""


@dataclass(frozen=True)
class VerifyRecord:
    """Result of `05_verify`."""

    verdict: Literal["pass", "fail"]
    invariants: tuple[InvariantSeen, ...]
    footprint: tuple[FootprintLine, ...]
    findings: tuple[Finding, ...]
    digests: tuple[TableDigest, ...]
    rows_before: Mapping[str, int]
    rows_after: Mapping[str, int]
    organization_sizes: Mapping[str, int] = field(default_factory=dict)
    """Rows in an organization (as text, banded for many) to number of organizations."""


@dataclass(frozen=True)
class RehearseRecord:
    """Result of `02_rehearse`: the whole migration and the way back, on a copy."""

    steps: tuple[StepTaken, ...]
    footprint: tuple[FootprintLine, ...]
    digests: tuple[TableDigest, ...]
    rolled_back_equal: bool
    locked_seconds: float
    seconds: float
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class ReportRecord:
    """Result of `06_report`."""

    verdict: Literal["pass", "fail"]
    report: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class TableSince:
    """What happened to one table since the backup; counts are in rows.

    `edited`, `inserted` and `deleted` are what people and programs wrote; they stay as they are.
    In a resource, `restored` rows get their `updated_at` back; of the `edited` ones, `moved` differ
    in nothing but their organization, and `undated` still carry the migration's own instant, which
    they keep, because an edit in that very second cannot be told from one that left it alone.
    """

    table: str
    rows: int
    edited: int = 0
    inserted: int = 0
    deleted: int = 0
    restored: int = 0
    moved: int = 0
    undated: int = 0

    @property
    def written(self) -> int:
        """Rows edited, inserted or deleted since."""
        return self.edited + self.inserted + self.deleted


@dataclass(frozen=True)
class Assessment:
    """What a rollback would restore, keep and discard, counted beforehand in rows.

    `resources` are the tables of the plan; `others` all other tables with later writes, which a
    rollback does not touch and a full restore of the backup would lose. `..._since` are
    organizations and memberships that the migration did not make, or not as they are now.
    """

    resources: tuple[TableSince, ...]
    others: tuple[TableSince, ...]
    organizations: int
    memberships: int
    organizations_since: int
    memberships_since: int
    objects_kept: tuple[str, ...] = ()
    """Tables, indexes, views and triggers that came, went or changed since; they stay so."""
    objects_discarded: tuple[str, ...] = ()
    """What was added since to the two tables that go: indexes, triggers, columns."""
    obstacles: tuple[str, ...] = ()
    """What stands in the way, each with what to do about it."""

    @property
    def restored(self) -> int:
        """Rows whose `updated_at` is given back."""
        return sum(t.restored for t in self.resources)

    @property
    def kept(self) -> int:
        """Rows of the resources that stay as users wrote them, or stay deleted."""
        return sum(t.written for t in self.resources)

    @property
    def discarded(self) -> int:
        """Organizations and memberships that only the exported files will hold."""
        return self.organizations_since + self.memberships_since

    @property
    def lost_by_restore(self) -> int:
        """Later writes that a full restore of the backup file would lose."""
        return self.kept + sum(t.written for t in self.others) + self.discarded


@dataclass(frozen=True)
class RollbackRecord:
    """Result of `08_rollback`; counts are in rows.

    `how` is `rollback`, or `restore` where the whole backup file was put back.
    """

    done: bool
    restored: int
    kept: int
    discarded: int
    findings: tuple[Finding, ...]
    steps: tuple[StepTaken, ...]
    locked_seconds: float
    exported: tuple[str, ...] = ()
    how: Literal["rollback", "restore"] = "rollback"
    assessment: Assessment | None = None
    waited_seconds: float = 0.0
    proof_seconds: float = 0.0
    proof: Literal["before commit", "after commit"] = "before commit"
    confirmation: Confirmation | None = None
    note: str = ""
    """One sentence where it did not go straight, for example that it was resumed."""


@dataclass(frozen=True)
class Answer:
    """One answer of a web address; `status` is 0 where none came, and `note` says why.

    `at` is in seconds since the first question of its series.
    """

    at: float
    status: int
    well: bool
    note: str = ""


@dataclass(frozen=True)
class WindowStep:
    """One step of the maintenance window: the file `window/NN_<name>.json`.

    `line` is the line of the checklist that it belongs to. `not done` means that it could not be
    tried, `not configured` that the plan says nothing about it; neither stops the window.
    """

    name: str
    line: int
    status: Literal["started", "done", "failed", "not done", "not configured"]
    at: str
    by: str = ""
    seconds: float = 0.0
    exit_status: int | None = None
    output: str = ""
    answers: tuple[Answer, ...] = ()
    evidence: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Tick:
    """A line of the checklist that a person vouches for: the file `window/tick_<line>.json`."""

    line: int
    by: str
    at: str
    note: str = ""


@dataclass(frozen=True)
class ScanSeen:
    """What `runbook scan` counted in the application's source: the file `window/scan.json`."""

    path: str
    at: str
    files: int
    not_read: int
    certain: int
    likely: int


@dataclass(frozen=True)
class LogPosition:
    """How far a log file was read: `head` is the SHA-256 of its first `head_bytes` bytes."""

    path: str
    inode: int
    offset: int
    head: str = ""
    head_bytes: int = 0


@dataclass(frozen=True)
class Look:
    """One look of the monitoring: a line of `monitor.jsonl`.

    `violations` are rows by invariant, with their keys in `samples`; `unanswered` names what could
    not be asked, and why. `longest_read` is the longest read of the database, in seconds.
    """

    at: str
    seconds: float
    violations: Mapping[str, int] = field(default_factory=dict)
    unanswered: Mapping[str, str] = field(default_factory=dict)
    without_organization: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[str, ...] = ()
    log_lines: int = 0
    log_samples: tuple[str, ...] = ()
    health: Answer | None = None
    longest_read: float = 0.0
    every: float = 0.0
    logs: tuple[LogPosition, ...] = ()

    @property
    def violated(self) -> bool:
        """Whether an invariant was violated, or a row is without an organization."""
        return any(self.violations.values()) or any(self.without_organization.values())

    @property
    def well(self) -> bool:
        """Whether nothing at all was amiss in this look."""
        return not (self.violated or self.log_lines or (self.health and not self.health.well))


@dataclass(frozen=True)
class MonitorRecord:
    """Result of `07_monitor`, summed up over the whole series.

    `watched_seconds` leaves out the gaps in which nobody watched.
    """

    verdict: Literal["pass", "fail"]
    since: str
    until: str
    watched_seconds: float
    planned_seconds: float
    looks: int
    looks_violated: int
    looks_unanswered: int
    looks_unwell: int
    log_lines: int
    first_violation: str = ""
    longest_read: float = 0.0
    ended: Literal["", "in time", "at a violation", "by a rollback"] = ""


@functools.cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    # These unions hold plain JSON values, which need no conversion.
    converter.register_structure_hook(int | float | str, lambda value, _: value)
    return converter


def to_json(record: object) -> dict[str, Any]:
    """A record as plain dictionaries, lists, texts and numbers."""
    data: dict[str, Any] = _converter().unstructure(record)
    return data


def from_json(cls: type[T], data: object) -> T:
    """The record of class `cls` from what `to_json` made.

    Raises:
        RunFolderError: the data is not such a record (damaged, or of another version).
    """
    try:
        return _converter().structure(data, cls)
    except Exception as error:  # cattrs raises exception groups of many kinds
        raise RunFolderError(
            f"A {cls.__name__} in the run folder cannot be read; it is damaged or was written by "
            "another version, so run that stage again or start a new run folder."
        ) from error
