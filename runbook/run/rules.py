"""Which stage may run when: one explicit table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

STAGES = (
    "preflight",
    "rehearse",
    "snapshot",
    "migrate",
    "verify",
    "report",
    "monitor",
    "rollback",
)
"""Every stage in the order of its notebook; the number in file names is the position from 1."""

SNAPSHOT_VALID = timedelta(hours=24)
"""How long a snapshot may be used: after a day something may have been written."""

CLOCK_STEP = timedelta(minutes=5)
"""How far a clock may be set back without a question."""


@dataclass(frozen=True)
class Rule:
    """When a stage may run: `after` these are finished, and not after any of `never_after`.

    A stage of `never_after` that was begun and whose end is unknown bars the way as well.
    """

    after: tuple[str, ...]
    never_after: tuple[str, ...] = ()
    begun: tuple[str, ...] = ()
    """These have begun and may have happened; whether they did, the stage asks the ledger."""


ALLOWED: dict[str, Rule] = {
    # Reading does no harm, but after the migration it would read another database.
    "preflight": Rule(after=(), never_after=("migrate", "rollback")),
    # Works on a copy; needs preflight to know that a copy can be migrated at all.
    "rehearse": Rule(after=("preflight",), never_after=("migrate", "rollback")),
    # The backup must be from before the migration, so never from after it.
    "snapshot": Rule(after=("preflight",), never_after=("migrate", "rollback")),
    # The gate compares with the backup, so there is no migration without a snapshot.
    "migrate": Rule(after=("preflight", "snapshot"), never_after=("rollback",)),
    # There is nothing to verify before the migration, nor after it was taken back.
    "verify": Rule(after=("migrate",), never_after=("rollback",)),
    # A report may be written at any time once something is known, also of a failure.
    "report": Rule(after=()),
    # Watches the migrated database.
    "monitor": Rule(after=("migrate",), never_after=("rollback",)),
    # Takes back what was migrated, once; also where a kill left the migration without a record.
    "rollback": Rule(after=(), begun=("migrate",)),
}


def file_stem(stage: str) -> str:
    """`04_migrate` for `migrate`: the name that record and notebook share."""
    return f"{STAGES.index(stage) + 1:02d}_{stage}"
