"""What the window leaves in the run folder: one file for each step, tick and scan."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TypeVar

from runbook.errors import BadInput, NotAllowedNow
from runbook.files import read_json, write_json
from runbook.plan.plan import Plan
from runbook.plan.secrets import Secrets
from runbook.run.command_line import command_line
from runbook.run.folder import Run, now
from runbook.run.json_form import from_json, to_json
from runbook.run.window_records import ScanCounts, Tick, WindowStep

T = TypeVar("T")

STEPS = (
    "maintenance_on",
    "deploy",
    "health",
    "workflows",
    "smoke",
    "maintenance_off",
    "undeploy",
    "recheck",
)
"""Every step; the number in file names is the position from 1."""

LINES = {
    "maintenance_on": 2,
    "deploy": 5,
    "health": 5,
    "workflows": 6,
    "smoke": 6,
    "maintenance_off": 7,
    "undeploy": 5,
    "recheck": 4,
}
"""The line of the checklist to which each step belongs."""

FAILURES = {
    "maintenance_on": "Maintenance mode is not proven to be on",
    "deploy": "The new code was not deployed",
    "undeploy": "The old code was not put back",
    "health": "The new code is not healthy",
    "workflows": "The key workflows do not work",
    "smoke": "The smoke test failed",
    "maintenance_off": "The application is not proven to be open",
    "recheck": "The database is not as it was verified",
}
"""How the message begins when a step failed."""

BY_THE_RUNBOOK = {
    1: "the snapshot",
    3: "the migration",
    4: "the verification",
}
"""Lines that are never ticked by hand, and the stage that shows them."""


def step_path(folder: Path, name: str) -> Path:
    """Where a step's record stands, for example `window/02_deploy.json`."""
    return folder / "window" / f"{STEPS.index(name) + 1:02d}_{name}.json"


def read_step(folder: Path, name: str) -> WindowStep | None:
    """The record of a step; None where it never began.

    Raises:
        RunFolderError: the record is damaged.
    """
    return _read(step_path(folder, name), WindowStep)


def write_step(folder: Path, step: WindowStep) -> None:
    """Writes a step's record, atomically and durably."""
    _write(step_path(folder, step.name), step)


def read_ticks(folder: Path) -> tuple[Tick, ...]:
    """Every tick of the checklist's lines by hand, by line and in their order.

    Raises:
        RunFolderError: a record is damaged.
    """
    ticks = (_read(path, Tick) for line in range(1, 9) for path in _tick_paths(folder, line))
    return tuple(tick for tick in ticks if tick is not None)


def tick(run: Run, line: int, by: str, note: str = "") -> Tick:
    """Records that `by` vouches for a line that the plan does not configure, beside earlier ticks.

    Raises:
        BadInput: there is no such line, or no name was passed.
        NotAllowedNow: the runbook itself shows this line.
    """
    if not 1 <= line <= 8:
        raise BadInput(f"There is no line {line} in the checklist; its lines are 1 to 8.")
    if not by.strip():
        raise BadInput("A tick needs the name of the person who vouches for it; pass it with --by.")
    reason = why_not_by_hand(run, line)
    if reason:
        raise NotAllowedNow(
            f"Line {line} of the checklist is not ticked by hand: {reason}; see it with "
            f"`{command_line(run, 'status')}`."
        )
    new = Tick(line, by.strip(), now(), note.strip())
    with run.locked("stage"):
        number = len(_tick_paths(run.folder, line)) + 1
        name = f"tick_{line}.json" if number == 1 else f"tick_{line}_{number}.json"
        _write(run.folder / "window" / name, new)
    run.log("window", "ticked", line=line, by=new.by)
    return new


def read_scan(folder: Path) -> ScanCounts | None:
    """What the scan of the application's source counted; None where none was made."""
    return _read(folder / "window" / "scan.json", ScanCounts)


def write_scan(folder: Path, counts: ScanCounts) -> None:
    """Keeps what a scan counted; the last one counts."""
    _write(folder / "window" / "scan.json", counts)


def configured(plan: Plan, line: int) -> bool:
    """Whether the plan says how the runbook does or proves this line."""
    window = plan.window
    return {
        2: bool(window.maintenance_on or window.maintenance),
        5: bool(window.deploy or window.health),
        7: bool(window.maintenance_off or window.maintenance),
    }.get(line, line in BY_THE_RUNBOOK)


def why_not_by_hand(run: Run, line: int) -> str:
    """Why a line is not ticked by hand; an empty text where it may be."""
    if line in BY_THE_RUNBOOK:
        return f"it is shown by {BY_THE_RUNBOOK[line]}"
    if configured(run.info.plan, line):
        return "the plan says how the runbook does it"
    if line == 6:
        step = read_step(run.folder, "workflows")
        if step is not None and step.status in ("done", "failed"):
            return "the runbook has tried the workflows"
    if line == 8 and run.record("monitor") is not None:
        return "the monitoring shows it"
    return ""


def _tick_paths(folder: Path, line: int) -> list[Path]:
    """The ticks of a line in their order: `tick_2.json`, `tick_2_2.json`."""
    files = (folder / "window").glob(f"tick_{line}*.json")
    return sorted(files, key=lambda path: (len(path.name), path.name))


def _read(path: Path, cls: type[T]) -> T | None:
    return from_json(cls, read_json(path)) if path.exists() else None


def _write(path: Path, record: object) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_json(path, to_json(record))


def hide_secrets(record: WindowStep, secrets: Secrets) -> WindowStep:
    """The record without secrets in what was written by commands, servers and errors."""
    return dataclasses.replace(
        record,
        output=secrets.hide(record.output),
        error=secrets.hide(record.error),
        details=tuple(map(secrets.hide, record.details)),
        answers=tuple(dataclasses.replace(a, note=secrets.hide(a.note)) for a in record.answers),
    )
