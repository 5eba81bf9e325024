"""Scans an application's source for the plan's resources, and keeps the count in the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runbook.plan.read import read_plan
from runbook.run.folder import Run, now
from runbook.run.window_records import ScanCounts
from runbook.scan import Baseline, ResourceNames, ScanResult, scan
from runbook.scan.silence import write_baseline
from runbook.scan.views import as_github, as_json, as_sarif, as_text
from runbook.window.store import write_scan

_VIEWS = {"json": as_json, "sarif": as_sarif, "github": as_github}


@dataclass(frozen=True)
class ScanOptions:
    """How to scan, and how to print it.

    Without `plan`, the plan of the run in `run_dir` counts, or the specification's. In the run's
    checklist the count is entered. `view` is a format for programs; without one, text.
    """

    plan: str = ""
    run_dir: str = ""
    exclude: tuple[str, ...] = ()
    view: Literal["json", "sarif", "github"] | None = None
    baseline: Path | None = None
    write_baseline: Path | None = None


def scan_source(
    paths: Sequence[Path],
    options: ScanOptions = ScanOptions(),
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[str, ScanResult]:
    """What is to be changed in the source at `paths`, as text and as it is.

    Raises:
        BadInput: there is nothing to read, or the plan, the run or the baseline cannot be used.
    """
    run = Run.open(Path(options.run_dir)) if options.run_dir else None
    plan = (
        run.info.plan
        if run is not None and not options.plan
        else read_plan(Path(options.plan) if options.plan else None)
    )
    users = plan.users.table
    names = [ResourceNames(r.table, r.owner, users) for r in plan.resources]
    baseline = Baseline.read(options.baseline) if options.baseline else None
    hits = scan(
        paths,
        names,
        exclude=options.exclude,
        baseline=baseline,
        progress=progress,
        workers=os.cpu_count() or 1,
    )
    if options.write_baseline is not None:
        known = baseline.covered if baseline is not None else []
        write_baseline(options.write_baseline, [*known, *hits.findings])
    if run is not None:
        counts = ScanCounts(
            path=", ".join(str(path.resolve()) for path in paths),
            at=now(),
            files=hits.files_read,
            not_read=len(hits.files_skipped),
            certain=hits.count("certain"),
            likely=hits.count("likely"),
        )
        with run.locked("stage"):
            write_scan(run.folder, counts)
    return _VIEWS.get(options.view or "", as_text)(hits), hits
