"""What the cells of `10_fleet` call: the command in a process of its own, and tables of records.

A process of its own, because Dask and Papermill would have to share the event loop of the kernel.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.errors import BadInput, NotConfirmed, Refused, RunbookError
from runbook.files import read_json
from runbook.fleet.store import Fleet, Member
from runbook.notebook.table import Table


@dataclass(frozen=True)
class Work:
    """A fleet as the notebook's parameters name it; `options` are those of the command."""

    folder: Path
    options: tuple[str, ...]


def begin(databases: str, *, plan: str = "", fleet_dir: str = "", workers: int = 1) -> Work:
    """The fleet that the parameters name.

    Raises:
        BadInput: no folder is named, by which later cells would know the fleet.
    """
    if not fleet_dir:
        raise BadInput("No fleet folder is named; set the parameter fleet_dir.")
    options = ["--fleet-dir", fleet_dir, "--workers", str(workers)]
    options += ["--databases", databases] if databases else []
    options += ["--plan", plan] if plan else []
    return Work(Path(fleet_dir), tuple(options))


def preflight(work: Work) -> Table:
    """Inspects every database; nothing is changed. The table says where they are."""
    _run(work, "--until", "preflight")
    return states(work)


def migrate(work: Work, *, canary: int, waves: str, max_failures: str, confirm: str = "") -> Table:
    """Migrates canaries and waves; the table says where the databases are then.

    Raises:
        NotConfirmed: `confirm` is not the fleet's name.
    """
    name = work.folder.resolve().name
    if (confirm or input(f"This changes the databases of {name}. Type its name: ")) != name:
        raise NotConfirmed(
            f"The databases of the fleet {name} were not changed; set the parameter confirm to "
            "its name."
        )
    _run(
        work,
        *("--canary", str(canary), "--waves", waves, "--max-failures", max_failures, "--yes"),
    )
    return states(work)


def _run(work: Work, *options: str) -> None:
    """Calls the command; what it refuses is shown, and stops the notebook in its last cell.

    Raises:
        BadInput: something that was passed cannot be used.
    """
    command = [sys.executable, "-m", "runbook", "fleet", "run", *work.options, *options]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    message = ended.stderr.strip().splitlines()
    if ended.returncode == 2:
        raise BadInput(message[-1] if message else "The command could not be called.")
    if ended.returncode:
        print(message[-1] if message else ended.stdout[-500:])


def _members(work: Work) -> list[Member]:
    with contextlib.closing(Fleet.open(work.folder)) as fleet:
        return list(fleet.members())


def states(work: Work) -> Table:
    """Every database of the fleet, and where it is."""
    rows = [
        {"database": m.name, "wave": _wave(m), "state": m.state, "rows": m.rows, "why": m.error}
        for m in _members(work)
    ]
    return Table(rows)


def _wave(member: Member) -> str:
    return {-1: "", 0: "canary"}.get(member.wave, str(member.wave))


def show_hazards(work: Work) -> Table:
    """Hazards by kind, and how many databases have each."""
    kinds: list[dict[str, Any]] = read_json(work.folder / "fleet.json")["hazards"]
    return Table([{"hazard": k["title"], "databases": k["databases"]} for k in kinds])


def go_on(work: Work) -> Any:
    """Stops the notebook unless every database passed; otherwise links to the report.

    Raises:
        Refused: not every database passed.
    """
    from IPython.display import Markdown

    try:
        verdict = read_json(work.folder / "fleet.json")["verdict"]
    except (RunbookError, KeyError):
        verdict = "missing"
    page = os.path.relpath(work.folder / "report.html")
    if verdict != "pass":
        raise Refused(f"The verdict of the fleet is {verdict}; read its report, {page}.")
    return Markdown(f"**Done.** Read [the report]({page}).")  # type: ignore[no-untyped-call]
