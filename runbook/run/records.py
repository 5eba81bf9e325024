"""What the stages find, as frozen dataclasses.

Everything that a report, a status line or a later stage needs stands in these records; nothing
else is passed from stage to stage. Rendering is a view of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from runbook.plan.shape import Shape
from runbook.run.findings import (
    Finding,
    Hazard,
    InvariantResult,
    Sample,
    StepResult,
    TableDigest,
)
from runbook.run.identity import LedgerRow
from runbook.script.footprint import FootprintLine
from runbook.sqlite.header import Header


@dataclass(frozen=True)
class Backup:
    """The restorable copy: `file` is relative to the run folder, `tables` is what was compared."""

    file: str
    bytes: int
    sha256: str
    seconds: float
    tables_compared: int
    restored_equal: bool
    checked_by: str = "quick_check"
    """How the restored file was checked: `integrity_check`, or its pages and `indexes counted`."""


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
    shape: Shape | None = None
    """The database's shape as the backup holds it; None in a record that does not say."""
    footprint: tuple[FootprintLine, ...] = ()
    """What may change, and in how many rows, predicted from the backup."""
    header: Header | None = None
    """What the header of the backup says; None in a record that does not say."""
    target_state: str = ""
    """Always empty; here so that records that hold it can still be read."""


@dataclass(frozen=True)
class Confirmation:
    """Who agreed that the database is changed, when and how, and to which warnings."""

    by: str
    at: str
    how: str
    warnings: tuple[str, ...] = ()
    reason: str = ""
    """Why a migration is taken back, as given; empty where none was given."""


@dataclass(frozen=True)
class MigrateRecord:
    """Result of `04_migrate`; `committed` False means that everything was rolled back."""

    committed: bool
    ledger: LedgerRow | None
    steps: tuple[StepResult, ...]
    footprint: tuple[FootprintLine, ...]
    findings: tuple[Finding, ...]
    invariants: tuple[InvariantResult, ...]
    waited_seconds: float
    gate_seconds: float
    locked_seconds: float
    proof: Literal["before commit", "after commit"] = "before commit"
    proven_after_commit: tuple[str, ...] = ()
    """Tables that the plan moved behind the commit; verify compares them."""
    views_left_out: tuple[str, ...] = ()
    """Views of which not every row was compared before the commit, each with the reason."""
    confirmation: Confirmation | None = None
    note: str = ""
    """One sentence where the run did not go straight, for example that it was resumed."""


@dataclass(frozen=True)
class VerifyRecord:
    """Result of `05_verify`."""

    verdict: Literal["pass", "fail"]
    invariants: tuple[InvariantResult, ...]
    footprint: tuple[FootprintLine, ...]
    findings: tuple[Finding, ...]
    digests: tuple[TableDigest, ...]
    rows_before: Mapping[str, int]
    rows_after: Mapping[str, int]
    organization_sizes: Mapping[str, int] = field(default_factory=dict)
    """Rows in an organization (as text, banded for many) to number of organizations."""
    header: Header | None = None
    """What the header of the file says; None in a record that does not say."""
    bytes_after: int = 0
    """Size of the migrated database, its WAL included; 0 in a record that does not say."""


@dataclass(frozen=True)
class RehearseRecord:
    """Result of `02_rehearse`: the whole migration and the way back, on a copy."""

    steps: tuple[StepResult, ...]
    footprint: tuple[FootprintLine, ...]
    digests: tuple[TableDigest, ...]
    rolled_back_equal: bool
    locked_seconds: float
    seconds: float
    bytes_before: int
    bytes_after: int
    kept_writes: Mapping[str, int] = field(default_factory=dict)
    """Rows that triggers added, as the plan lets them, and that the way back keeps, by table."""
    views_left_out: tuple[str, ...] = ()
    """Views of which not every row was compared, each with the reason."""
    script: str = ""
    """SHA-256 of the SQL that ran, as the ledger has it; empty in a record that does not say."""


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
    samples: tuple[Sample, ...] = ()
    """Keys of the first rows that were written, `place` saying which became of each."""

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
    assignments: int = 0
    """Rows of the resources that users put into another organization than the rule gives."""
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
        """Organizations, memberships and assignments that only the exported files will hold."""
        return self.organizations_since + self.memberships_since + self.assignments

    @property
    def lost_by_restore(self) -> int:
        """Later writes that a full restore of the backup file would lose."""
        others = sum(t.written for t in self.others)
        return self.kept + others + self.organizations_since + self.memberships_since


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
    steps: tuple[StepResult, ...]
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
