"""Stages in a process of their own, to be killed: `python -m tests.faults.work FOLDER STAGE...`.

Says `ready` when everything is imported, then `done STAGE` after each stage; an error of ours is
printed and its exit code returned.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from runbook.confirm import confirm
from runbook.errors import RunbookError
from runbook.run import Run


def work(run: Run, stage: str) -> None:
    """One stage, confirmed where that is needed."""
    name = run.info.identity.name
    agreed = confirm(name, (), operator="tester", typed=name)
    act = getattr(importlib.import_module(f"runbook.stages.{stage}"), stage)
    act(run, agreed) if stage in ("migrate", "rollback") else act(run)


def main(folder: str, *stages: str) -> int:
    for stage in stages:
        importlib.import_module(f"runbook.stages.{stage}")
    print("ready", flush=True)
    try:
        run = Run.open(Path(folder))
        for stage in stages:
            work(run, stage)
            print(f"done {stage}", flush=True)
    except RunbookError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
