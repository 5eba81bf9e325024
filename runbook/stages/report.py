"""Stage 06: the report, from the run folder alone."""

from __future__ import annotations

from runbook.report.write import write_report
from runbook.run.folder import Run
from runbook.run.records import ReportRecord


def report(run: Run, *, show_values: bool = False) -> ReportRecord:
    """Writes `audit.json`, `junit.xml` and `report.html`; always anew, for it costs little.

    `show_values` prints personal data (e-mails, names) that is masked otherwise.
    """
    return run.perform(
        "report",
        ReportRecord,
        lambda stage: write_report(run.folder, show_values=show_values),
        again=True,
    )
