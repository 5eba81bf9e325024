"""Pandas frames of the maintenance window and of the monitoring, for the notebooks."""

from __future__ import annotations

from collections.abc import Iterable

from runbook.notebook.table import Table
from runbook.run.folder import Run
from runbook.run.window_records import Look, MonitorRecord, WindowStep
from runbook.window.series import describe, read_series
from runbook.window.state import window_state
from runbook.window.store import STEPS, read_step
from runbook.wording import duration, when


def step(found: WindowStep) -> Table:
    """What one step of the window did, as evidence."""
    rows = [("state", found.status), *(("evidence", e) for e in found.evidence)]
    if found.error:
        rows.append(("failed", found.error))
    return Table(rows, columns=["what", "value"])


def window(run: Run) -> Table:
    """Every step of the window so far."""
    seen = [s for name in STEPS if (s := read_step(run.folder, name)) is not None]
    columns = ["line", "step", "state", "at", "seconds", "evidence"]
    rows = [
        (s.line, s.name.replace("_", " "), s.status, s.at, s.seconds, "; ".join(s.evidence))
        for s in seen
    ]
    return Table(rows, columns=columns)


def state(run: Run) -> Table:
    """In what state database, code and maintenance mode are."""
    found = window_state(run)
    rows = [
        ("database", found.database_says),
        ("code", found.code_says),
        ("maintenance", found.maintenance_says),
    ]
    return Table(rows, columns=["what", "state"])


def monitoring(record: MonitorRecord) -> Table:
    """The sum of the monitoring."""
    rows = [
        ("verdict", record.verdict),
        (
            "watched",
            f"{duration(record.watched_seconds)} from {when(record.since)} to {when(record.until)}",
        ),
        ("looks", record.looks),
        ("looks with a violation", record.looks_violated),
        ("first violation", record.first_violation),
        ("looks without an answer to every question", record.looks_unanswered),
        ("log lines that match", record.log_lines),
        ("unhealthy answers", record.looks_unwell),
        ("longest read of the database, seconds", f"{record.longest_read:.3f}"),
    ]
    return Table(rows, columns=["what", "value"])


def looks(run: Run) -> Table:
    """The series, one row for each look."""
    return _looks(read_series(run.folder))


def _looks(series: Iterable[Look]) -> Table:
    columns = ["at", "without organization", "violations", "log lines", "health", "said"]
    rows = [
        (
            look.at,
            sum(look.without_organization.values()),
            sum(look.violations.values()),
            look.log_lines,
            None if look.health is None else look.health.well,
            describe(look),
        )
        for look in series
    ]
    return Table(rows, columns=columns)
