"""One migration to be done or taken back, as both acts take it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runbook.plan.plan import Plan
from runbook.progress import Progress, no_progress
from runbook.targets.protocol import Target


@dataclass(frozen=True)
class Job:
    """Which database, by which plan, in which run, proven against which backup.

    `run` is the name that the ledger has; `progress` is shown each step; `wait` is how many seconds
    to wait for the write lock.
    """

    target: Target
    plan: Plan
    run: str
    backup: Path
    progress: Progress = no_progress
    wait: float = 30.0
