"""What of a run need not be repeated when it is gone on with, and where nothing is left of it."""

from __future__ import annotations

from runbook.errors import NotAllowedNow, RunFolderError
from runbook.run.command_line import command_line
from runbook.run.due import is_verify_due_again
from runbook.run.folder import Run, file_stem
from runbook.run.notebooks import has_notebook
from runbook.terminal import Echo
from runbook.window.state import pending_step
from runbook.window.ways import block


def is_done(run: Run, stage: str, echo: Echo) -> bool:
    """Whether a stage and its notebook need not be executed again.

    Raises:
        RunFolderError: its record is damaged, and it is too late to write it anew.
    """
    try:
        if not run.finished(stage) or pending_step(run, stage):
            return False
        if stage == "verify" and is_verify_due_again(run):
            return False
    except RunFolderError as error:
        if stage != "migrate" and run.forbidden(stage):
            raise
        echo(f"  {stage:<10} is done again: {error}")
        return False
    return has_notebook(run.folder, f"{file_stem(stage)}.ipynb")


def rolled_back_already(run: Run, echo: Echo) -> NotAllowedNow:
    """Why nothing is left to run in a run that was rolled back, and what is left to open."""
    if not pending_step(run, "rollback"):
        return NotAllowedNow(
            f"The run in {run.folder} was rolled back, so there is nothing left to do in it; begin "
            "a new one with another --run-dir."
        )
    problem = "the migration was rolled back, but the application was not opened again after it"
    echo(block(run, problem))
    return NotAllowedNow(
        f"The run in {run.folder} was rolled back, but the application was not opened again; "
        f"`{command_line(run, 'rollback')}` goes on there."
    )
