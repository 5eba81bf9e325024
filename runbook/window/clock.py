"""How long the window was meant to last, and how long it did."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from runbook.run.records import MigrateRecord, RehearseRecord
from runbook.run.window_records import WindowStep


@dataclass(frozen=True)
class Clock:
    """Lengths in seconds; None where it is not known.

    `planned_seconds` is what the rehearsal took: backup, migration, verification and the way back,
    so it is a length that a failed window should not exceed either.
    """

    planned_seconds: float | None = None
    real_seconds: float | None = None
    planned_locked_seconds: float | None = None
    locked_seconds: float | None = None


def window_clock(
    steps: Mapping[str, WindowStep],
    rehearsed: RehearseRecord | None,
    migrated: MigrateRecord | None,
) -> Clock:
    """The clock of a window; its real length is from shutting the application to opening it."""
    on, off = steps.get("maintenance_on"), steps.get("maintenance_off")
    real = None
    if on is not None and off is not None and on.status == off.status == "done":
        with contextlib.suppress(ValueError, TypeError):  # a record that somebody wrote by hand
            began, ended = datetime.fromisoformat(on.at), datetime.fromisoformat(off.at)
            real = (ended - began).total_seconds() + off.seconds
    return Clock(
        planned_seconds=rehearsed.seconds if rehearsed else None,
        real_seconds=real if real is not None and real >= 0 else None,
        planned_locked_seconds=rehearsed.locked_seconds if rehearsed else None,
        locked_seconds=migrated.locked_seconds if migrated else None,
    )
