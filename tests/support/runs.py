"""A whole run without notebooks: the stages called as the notebooks call them."""

from __future__ import annotations

from pathlib import Path

from runbook.run.folder import Run, now
from runbook.run.records import Confirmation
from runbook.stages import migrate, preflight, snapshot, verify
from runbook.stages.open_run import open_run


def begin(database: Path, folder: Path, plan: Path | str = "") -> Run:
    """A new run in `folder`."""
    return open_run(str(database), plan=str(plan), run_dir=str(folder), operator="tester")


def agreed(run: Run) -> Confirmation:
    """The confirmation of somebody who typed the database's name."""
    return Confirmation(run.info.operator, now(), "parameter", ())


def until_snapshot(run: Run) -> Run:
    """The run with preflight and snapshot done."""
    preflight.preflight(run)
    snapshot.snapshot(run)
    return run


def until_migrated(run: Run) -> Run:
    """The run with the migration done."""
    until_snapshot(run)
    migrate.migrate(run, agreed(run))
    return run


def to_the_end(run: Run) -> Run:
    """The run with its report written."""
    from runbook.stages import report

    until_migrated(run)
    verify.verify(run)
    report.report(run)
    return run
