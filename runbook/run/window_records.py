"""What the steps of the maintenance window and the monitoring leave, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from runbook.run.findings import Sample


@dataclass(frozen=True)
class Answer:
    """One answer of a URL; `status` is 0 where none came, and `note` says why.

    `at` is in seconds since the first question of its series.
    """

    at: float
    status: int
    ok: bool
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
    details: tuple[str, ...] = ()
    error: str = ""
    proven_at: str = ""
    """When maintenance mode was last shown to be on, where the step is about that."""


@dataclass(frozen=True)
class Tick:
    """A line of the checklist that a person vouches for: the file `window/tick_<line>.json`.

    Further ticks of the line are `tick_<line>_2.json` and so on: none replaces another.
    """

    line: int
    by: str
    at: str
    note: str = ""


@dataclass(frozen=True)
class ScanCounts:
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


NO_FILE = "database file"
"""What is not answered where the file is missing, or is no database that can be read."""


@dataclass(frozen=True)
class Observation:
    """One observation of the monitoring: a line of `monitor.jsonl`.

    `violations` are rows by invariant, with their keys in `samples`; `unanswered` names what could
    not be asked, and why. `longest_read` is the longest read of the database, in seconds.
    """

    at: str
    seconds: float
    violations: Mapping[str, int] = field(default_factory=dict)
    unanswered: Mapping[str, str] = field(default_factory=dict)
    without_organization: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
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
    def blind(self) -> bool:
        """Whether there was no database to ask, not for a moment's lock."""
        return NO_FILE in self.unanswered

    @property
    def ok(self) -> bool:
        """Whether nothing at all was amiss in this observation."""
        unhealthy = self.health is not None and not self.health.ok
        return not (self.violated or self.blind or self.log_lines or unhealthy)


@dataclass(frozen=True)
class MonitorRecord:
    """Result of `07_monitor`, summed up over the whole series.

    `watched_seconds` leaves out the gaps in which nothing watched. Of the `observations`, so many
    were `violated`, left a question `unanswered`, or had an `unhealthy` answer.
    """

    verdict: Literal["pass", "fail"]
    start: str
    until: str
    watched_seconds: float
    planned_seconds: float
    observations: int
    violated: int
    unanswered: int
    unhealthy: int
    log_lines: int
    first_violation: str = ""
    longest_read: float = 0.0
    ended: Literal["", "in time", "at a violation", "by a rollback"] = ""
