"""Pandas frames of the maintenance window and of the monitoring, for the notebooks."""

from __future__ import annotations

from collections.abc import Sequence

from runbook.notebook.table import Table, table
from runbook.run.folder import Run
from runbook.run.window_records import MonitorRecord, Observation, WindowStep
from runbook.window.series import describe
from runbook.window.state import window_state
from runbook.window.store import STEPS, read_step
from runbook.wording import duration, when


def step(record: WindowStep) -> Table:
    """What one step of the window did, as evidence."""
    rows = [("state", record.status), *(("details", e) for e in record.details)]
    if record.error:
        rows.append(("failed", record.error))
    return Table(rows, columns=["what", "value"])


def window(run: Run) -> Table:
    """Every step of the window so far."""
    records = [s for name in STEPS if (s := read_step(run.folder, name)) is not None]
    columns = ["line", "step", "state", "at", "seconds", "details"]
    rows = [
        (s.line, s.name.replace("_", " "), s.status, s.at, s.seconds, "; ".join(s.details))
        for s in records
    ]
    return Table(rows, columns=columns)


def state(run: Run) -> Table:
    """In what state database, code and maintenance mode are."""
    known = window_state(run)
    rows = [
        ("database", known.database_says),
        ("code", known.code_says),
        ("maintenance", known.maintenance_says),
    ]
    return Table(rows, columns=["what", "state"])


def monitoring(record: MonitorRecord) -> Table:
    """The sum of the monitoring."""
    rows = [
        ("verdict", record.verdict),
        (
            "watched",
            f"{duration(record.watched_seconds)} from {when(record.start)} to {when(record.until)}",
        ),
        ("observations", record.observations),
        ("observations with a violation", record.violated),
        ("first violation", record.first_violation),
        ("observations without an answer to every question", record.unanswered),
        ("log lines that match", record.log_lines),
        ("unhealthy answers", record.unhealthy),
        ("longest read of the database", duration(record.longest_read)),
    ]
    return Table(rows, columns=["what", "value"])


def latest(series: Sequence[Observation], most: int = 10) -> Table:
    """The latest observations, the newest first; the picture has them all."""
    rows = [
        (
            when(o.at),
            sum(o.without_organization.values()),
            sum(o.violations.values()),
            o.log_lines,
            None if o.health is None else o.health.ok,
            describe(o),
        )
        for o in reversed(series[-most:])
    ]
    columns = ("at", "without organization", "violations", "log lines", "healthy", "summary")
    return table(columns, rows, nothing="Nothing was observed yet.")
