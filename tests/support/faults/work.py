"""Stages in a process of their own, to be hurt: `python -m tests.support.faults.work FOLDER STAGE...`.

Says `ready` when everything is imported, then `done STAGE` after each stage; an error of ours is
printed and its exit code returned. The environment may name an accident and its moment:
`RUNBOOK_ACCIDENT=kill@proven`.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import runbook.run.stage
from runbook.errors import RunbookError
from runbook.progress import no_progress
from runbook.run.folder import Run
from runbook.stages.confirm import confirm


def fill(folder: Path) -> None:
    """Fills the file system until not one byte is left."""
    size = 1 << 20
    with (folder / "filler").open("ab", buffering=0) as file:
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2


def accident(run: Run, what: str, when: str) -> None:
    """Prepares one accident.

    The moments: before a record says *started*, *proven* or *finished*; after *proven*, that is
    right before the commit; when the capture begins; or when a step of this title begins.
    """

    def happens() -> None:
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        if what == "fill":
            fill(run.folder)

    write = runbook.run.stage.Stage.write

    def written(self: Any, status: Any, *details: Any) -> None:
        if when == status:
            happens()
        write(self, status, *details)
        if when == f"after {status}":
            happens()

    runbook.run.stage.Stage.write = written  # type: ignore[method-assign]
    if when == "capture":
        module = importlib.import_module("runbook.stages.snapshot")
        capture = module.capture

        def captured(*arguments: Any, **options: Any) -> Any:
            happens()
            return capture(*arguments, **options)

        module.capture = captured  # type: ignore[attr-defined]
    elif when[0].isupper():
        target = importlib.import_module("runbook.targets.sqlite").SqliteTarget
        steps = target._run

        def stepping(self: Any, connection: Any, work: Any, progress: Any) -> Any:
            def report_step(title: str, *how_far: Any) -> None:
                progress(title, *how_far)
                if title == when:
                    happens()

            return steps(self, connection, work, report_step)

        target._run = stepping


def print_step(what: str, *how_far: object) -> None:
    """Prints what the stage is doing now."""
    print(what, flush=True)


def work(run: Run, stage: str) -> None:
    """One stage, confirmed where that is needed."""
    act = getattr(importlib.import_module(f"runbook.stages.{stage}"), stage)
    if stage in ("migrate", "rollback"):
        agreed = confirm(run, typed=run.info.identity.name)
        act(
            run, agreed, progress=print_step if "RUNBOOK_PRINT_STEPS" in os.environ else no_progress
        )
    else:
        act(run)


def main(folder: str, *stages: str) -> int:
    """Performs the stages and returns the exit code."""
    for stage in stages:
        importlib.import_module(f"runbook.stages.{stage}")
    print("ready", flush=True)
    try:
        run = Run.open(Path(folder))
        if "RUNBOOK_ACCIDENT" in os.environ:
            accident(run, *os.environ["RUNBOOK_ACCIDENT"].split("@"))
        for stage in stages:
            work(run, stage)
            print(f"done {stage}", flush=True)
    except RunbookError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
