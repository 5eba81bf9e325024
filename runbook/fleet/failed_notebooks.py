"""Notebooks of the databases that failed, for the people who look into them."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

from runbook.errors import RunbookError
from runbook.files import sha256
from runbook.fleet.records import FAILURES, Outcome
from runbook.fleet.store import Fleet, Member
from runbook.headless.papermill import notebooks
from runbook.run.folder import Run, file_stem
from runbook.run.notebooks import has_notebook
from runbook.terminal import Echo
from runbook.wording import counted

MOST = 20
"""How many databases get them; of more, the reports of their runs must do."""


def keep_failed_notebooks(fleet: Fleet, echo: Echo) -> None:
    """Executes what only reads, of each database that failed: preflight where that said no; report.

    Nothing is tried again by this: a stage that changes something is never among them.
    """
    failed = [m for m in fleet.members() if m.state in FAILURES and m.attempts]
    wanting = [m for m in failed if _wants_notebook(fleet.folder / m.run)]
    for member in wanting[:MOST]:
        folder = fleet.folder / member.run
        _execute(folder, member)
        with contextlib.suppress(OSError):
            fleet.settle([_same(member, sha256(folder / "audit.json"))])
    if len(wanting) > MOST:
        rest = counted(len(wanting) - MOST, "failed database has", "failed databases have")
        echo(f"  {rest} a report and no notebook")


def _wants_notebook(folder: Path) -> bool:
    return (folder / "run.json").is_file() and not has_notebook(
        folder, f"{file_stem('report')}.ipynb"
    )


def _execute(folder: Path, member: Member) -> None:
    with contextlib.suppress(RunbookError):  # what failed is known, and is not hidden by this
        run = Run.open(folder)
        with run.locked("run"), notebooks(run) as execute:
            parameters = {"run_dir": str(run.folder), "database": "", "plan": ""}
            if member.stage == "preflight":
                with contextlib.suppress(RunbookError):
                    execute(run, "preflight", parameters)
            execute(run, "report", parameters)


def _same(member: Member, digest: str) -> Outcome:
    """Where the database was already, with the digest of its new report."""
    names = {field.name for field in dataclasses.fields(Outcome)} - {"misfit", "seconds", "cpu"}
    known = {name: getattr(member, name) for name in names}
    return Outcome(**{**known, "digest": digest, "worker": ""})
