"""What goes over the wire, to a worker and back: small, frozen, and nothing of the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

State = Literal[
    "untouched", "running", "ready", "before", "after", "failed", "unknown", "taken back"
]
"""Where a database is, by its ledger and the records of its run:

untouched: no run was begun. running: handed to a worker, and not heard of since. ready: as before,
and nothing stands in the way so far. before: as before, because it was refused. after: migrated,
with a verdict of pass. failed: migrated, but not with such a verdict. unknown: a person must check.
taken back: migrated once, and proven to be as before.
"""

FAILURES: tuple[State, ...] = ("before", "failed", "unknown")
"""The states that count against `--max-failures`."""

Work = Literal["run", "rollback"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do with one database.

    Attributes:
        number: the database's number in the fleet, from 1.
        database: whole path of a file, or `d1:NAME`.
        run_dir: whole path of its run folder.
        plan: whole path of the plan; empty for the specification's schema.
        plan_digest: digest of the plan that the fleet was begun with.
        version: of the runbook; a worker with another one does nothing.
        work: there or back.
        until: the last stage.
        leave_out: stages that are not run.
        how: how the change was confirmed, for the record.
        operator: who does it.
        ticket: what it is done for.
        options: how a D1 database is reached.
        discard_organizations: a rollback goes on although organizations were added since.
    """

    number: int
    database: str
    run_dir: str
    plan: str
    plan_digest: str
    version: str
    work: Work = "run"
    until: str = "report"
    leave_out: tuple[str, ...] = ()
    how: str = "fleet"
    operator: str = ""
    ticket: str = ""
    options: dict[str, str] = field(default_factory=dict)
    discard_organizations: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a database is after an order, as its ledger and records show.

    Attributes:
        number: the database's number in the fleet.
        state: see `State`.
        stage: the stage that stopped it; empty where none did.
        error: why, in one sentence.
        seconds: how long the order took.
        cpu: processor seconds that it took.
        rows: rows of the database, as the snapshot counted them.
        bytes: size of the database.
        digest: SHA-256 of the run's `audit.json`; empty where there is none.
        worker: process that did it, as host and number.
        misfit: the process is not one that may do it, and has done nothing.
    """

    number: int
    state: State
    stage: str = ""
    error: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    rows: int = 0
    bytes: int = 0
    digest: str = ""
    worker: str = ""
    misfit: bool = False
