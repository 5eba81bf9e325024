"""Scans an application's source for the plan's resources, and keeps the count in the run."""

from __future__ import annotations

from pathlib import Path

from runbook.plan.read import read_plan
from runbook.run.folder import Run, now
from runbook.run.window_records import ScanCounts
from runbook.scan import ResourceNames, as_text, scan
from runbook.window.store import write_scan


def scan_source(path: Path, *, plan: str = "", run_dir: str = "") -> str:
    """What is to be changed in the source at `path`, as text.

    Args:
        path: a folder or a file.
        plan: path of a plan; left out, the run's, or the specification's.
        run_dir: the run folder under whose fifth line of the checklist the count is entered.

    Raises:
        BadInput: there is nothing to read, or the plan or the run cannot be used.
    """
    run = Run.open(Path(run_dir)) if run_dir else None
    known = (
        run.info.plan if run is not None and not plan else read_plan(Path(plan) if plan else None)
    )
    names = [ResourceNames(resource.table, resource.owner) for resource in known.resources]
    result = scan(path, names)
    if run is not None:
        counts = ScanCounts(
            path=str(path.resolve()),
            at=now(),
            files=result.files_read,
            not_read=len(result.files_skipped),
            certain=result.count("certain"),
            likely=result.count("likely"),
        )
        with run.locked("stage"):
            write_scan(run.folder, counts)
    return as_text(result)
