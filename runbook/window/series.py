"""The series of observations: `monitor.jsonl` in the run folder, one line for each, and its sum."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from runbook.errors import RunFolderError
from runbook.files import append_line, parse_json
from runbook.run.json_form import from_json, to_json
from runbook.run.window_records import MonitorRecord, Observation
from runbook.wording import counted

FILE = "monitor.jsonl"

GAP = 2.5
"""Intervals after which the time between two observations counts as not watched."""


def append(folder: Path, observation: Observation) -> None:
    """Adds an observation durably; a line that was cut off by a crash is ended first."""
    try:
        append_line(folder / FILE, json.dumps(to_json(observation), ensure_ascii=False).encode())
    except OSError as error:
        raise RunFolderError(
            f"The series {folder / FILE} cannot be written ({error.strerror}); make room, and "
            "start the monitoring again; it goes on where it stopped."
        ) from error


def read_series(folder: Path) -> tuple[Observation, ...]:
    """The observations so far; lines that a crash cut off are left out."""
    path = folder / FILE
    if not path.exists():
        return ()
    observations = []
    for line in path.read_bytes().splitlines():
        try:
            observations.append(from_json(Observation, parse_json(line)))
        except (ValueError, RunFolderError):
            continue
    return tuple(observations)


def sum_up(
    series: Sequence[Observation],
    planned_seconds: float,
    ended: Literal["", "in time", "at a violation", "by a rollback"] = "",
) -> MonitorRecord:
    """The whole series in one record; there must be at least one observation."""
    violated = [o for o in series if o.violated]
    return MonitorRecord(
        # A question that was never answered is no proof of health.
        verdict="pass" if all(o.ok for o in series) and _answered(series) else "fail",
        start=series[0].at,
        until=series[-1].at,
        watched_seconds=round(watched_seconds(series), 3),
        planned_seconds=planned_seconds,
        observations=len(series),
        violated=len(violated),
        unanswered=sum(bool(o.unanswered) for o in series),
        unhealthy=sum(o.health is not None and not o.health.ok for o in series),
        log_lines=sum(o.log_lines for o in series),
        first_violation=f"{violated[0].at}: {describe(violated[0])}" if violated else "",
        longest_read=max(o.longest_read for o in series),
        ended=ended,
    )


def describe(observation: Observation) -> str:
    """What was amiss in an observation, or that nothing was, in one line."""
    parts = [
        f"{table}: {counted(rows, 'row')} without organization"
        for table, rows in observation.without_organization.items()
        if rows
    ]
    parts += [
        f"{name} violated by {counted(rows, 'row')}"
        for name, rows in observation.violations.items()
        if rows
    ]
    if observation.log_lines:
        parts.append(f"{counted(observation.log_lines, 'new log line')} matching")
    if observation.health is not None and not observation.health.ok:
        parts.append(f"health: {observation.health.note}")
    if not parts and not observation.blind:
        parts.append("ok")
    if observation.unanswered:
        unanswered = (f"{question} ({why})" for question, why in observation.unanswered.items())
        parts.append(f"not answered: {', '.join(unanswered)}")
    return "; ".join(parts)


def _answered(series: Sequence[Observation]) -> bool:
    return any(o.without_organization for o in series)


def watched_seconds(series: Sequence[Observation]) -> float:
    """Seconds from the first observation to the last, a gap counted as one interval."""
    seconds = 0.0
    times = [datetime.fromisoformat(o.at) for o in series]
    for observation, before, after in zip(series[1:], times, times[1:], strict=False):
        every, gap = observation.every, max((after - before).total_seconds(), 0.0)
        seconds += gap if gap <= GAP * every or not every else every
    return seconds
