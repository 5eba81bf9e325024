"""The series of looks: `monitor.jsonl` in the run folder, one line for each, and its sum."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from runbook.errors import RunFolderError
from runbook.files import append_line
from runbook.run.json_form import from_json, to_json
from runbook.run.window_records import Look, MonitorRecord

FILE = "monitor.jsonl"

GAP = 2.5
"""Intervals after which the time between two looks counts as not watched."""


def append(folder: Path, look: Look) -> None:
    """Adds a look durably; a line that was cut off by a crash is ended first."""
    try:
        append_line(folder / FILE, json.dumps(to_json(look), ensure_ascii=False).encode())
    except OSError as error:
        raise RunFolderError(
            f"The series {folder / FILE} cannot be written ({error.strerror}); make room, and "
            "start the monitoring again; it goes on where it stopped."
        ) from error


def read_series(folder: Path) -> tuple[Look, ...]:
    """The looks so far; lines that a crash cut off are left out."""
    path = folder / FILE
    if not path.exists():
        return ()
    looks = []
    for line in path.read_bytes().splitlines():
        try:
            looks.append(from_json(Look, json.loads(line)))
        except (ValueError, RunFolderError):
            continue
    return tuple(looks)


def sum_up(
    series: Sequence[Look],
    planned_seconds: float,
    ended: Literal["", "in time", "at a violation", "by a rollback"] = "",
) -> MonitorRecord:
    """The whole series in one record; there must be at least one look."""
    violated = [look for look in series if look.violated]
    return MonitorRecord(
        # A question that was never answered is no evidence that all is well.
        verdict="pass" if all(look.well for look in series) and _answered(series) else "fail",
        since=series[0].at,
        until=series[-1].at,
        watched_seconds=round(_watched(series), 3),
        planned_seconds=planned_seconds,
        looks=len(series),
        looks_violated=len(violated),
        looks_unanswered=sum(bool(look.unanswered) for look in series),
        looks_unwell=sum(look.health is not None and not look.health.well for look in series),
        log_lines=sum(look.log_lines for look in series),
        first_violation=f"{violated[0].at}: {describe(violated[0])}" if violated else "",
        longest_read=max(look.longest_read for look in series),
        ended=ended,
    )


def describe(look: Look) -> str:
    """What was amiss in a look, or that nothing was, in one line."""
    said = [
        f"{table}: {rows:,} rows without organization"
        for table, rows in look.without_organization.items()
        if rows
    ]
    said += [f"{name} violated by {rows:,} rows" for name, rows in look.violations.items() if rows]
    if look.log_lines:
        said.append(f"{look.log_lines:,} new log lines match")
    if look.health is not None and not look.health.well:
        said.append(f"health: {look.health.note}")
    if not said:
        said.append("well")
    if look.unanswered:
        unanswered = (f"{question} ({why})" for question, why in look.unanswered.items())
        said.append(f"not answered: {', '.join(unanswered)}")
    return "; ".join(said)


def _answered(series: Sequence[Look]) -> bool:
    return any(look.without_organization for look in series)


def _watched(series: Sequence[Look]) -> float:
    """Seconds from the first look to the last, a gap counted as one interval."""
    seconds = 0.0
    times = [datetime.fromisoformat(look.at) for look in series]
    for look, before, after in zip(series[1:], times, times[1:], strict=False):
        gap = max((after - before).total_seconds(), 0.0)
        seconds += gap if gap <= GAP * look.every or not look.every else look.every
    return seconds
