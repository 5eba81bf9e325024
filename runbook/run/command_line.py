"""What a person types to go on with a run, as it stands in messages: it works as it is printed."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbook.run.folder import Run


def command_line(run: Run, *words: str) -> str:
    """`runbook` with `words` for this run, its path whole and everything quoted for a shell.

    Options among the words stand after the run folder, as in
    `runbook rollback --run-dir /srv/runs/x --yes`.
    """
    names = [word for word in words if not word.startswith("--")]
    options = [word for word in words if word.startswith("--")]
    return shlex.join([*_program(), *names, "--run-dir", whole_path(run), *options])


def vouching(run: Run, line: str) -> str:
    """The command by which the operator of this run vouches for something done by hand."""
    return (
        f"{command_line(run, 'tick', line)} --by {shlex.quote(run.session.operator or 'unnamed')}"
    )


def kept_whole(run: Run) -> tuple[str, ...]:
    """The parts of such commands that look as if they could be personal, and are to be typed."""
    by = shlex.quote(run.session.operator or "unnamed")
    return (f"--by {by}", shlex.quote(whole_path(run)), shlex.quote(str(run.folder)))


def whole_path(run: Run) -> str:
    """The run folder's path from the root: a notebook stands in another folder than a terminal."""
    return os.path.abspath(run.folder)  # noqa: PTH100 (links stay as they were typed)


@functools.cache
def _program() -> tuple[str, ...]:
    """`runbook` where a shell finds it; otherwise where it lies."""
    if shutil.which("runbook"):
        return ("runbook",)
    script = Path(sys.executable).with_name("runbook")
    return (str(script),) if script.is_file() else (sys.executable, "-m", "runbook")
