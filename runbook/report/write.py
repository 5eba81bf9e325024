"""Writes the three views of a run into its folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from runbook.files import write_durably
from runbook.report.audit_json import audit
from runbook.report.html import html
from runbook.report.junit import junit
from runbook.report.view_model import read_view
from runbook.run.records import ReportRecord


def write_report(run_dir: Path, *, show_values: bool = False) -> ReportRecord:
    """Writes `audit.json`, `junit.xml` and `report.html`, all from one reading of the folder.

    Personal data is masked in all three unless `show_values`.

    Raises:
        RunFolderError: there is no run in this folder, or its `run.json` is damaged.
    """
    view = read_view(run_dir, show_values=show_values)
    page = html(view)
    data = json.dumps(audit(view), indent=1, ensure_ascii=False) + "\n"
    write_durably(run_dir / "audit.json", data.encode())
    write_durably(run_dir / "junit.xml", junit(view))
    write_durably(run_dir / "report.html", page)
    return ReportRecord(
        verdict=view.outcome.verdict,
        report="report.html",
        sha256=hashlib.sha256(page).hexdigest(),
        bytes=len(page),
    )
