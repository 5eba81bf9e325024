"""The checklist as text, for a terminal: what `runbook status` prints."""

from __future__ import annotations

from runbook.report.view_model import ReportView

_MARKS = {"done": "[x]", "failed": "[!]", "not done": "[ ]", "not configured": "[-]"}


def as_text(view: ReportView) -> str:
    """The outcome in one line, and the eight lines of the checklist with their evidence."""
    lines = [f"{view.outcome.word}: {view.outcome.headline} {view.outcome.state}".strip(), ""]
    for line in view.checklist:
        lines.append(f"{_MARKS[line.state]} {line.number} {line.action}: {line.state}")
        lines += [f"      {detail}" for detail in line.details]
    if view.outcome.next_step:
        lines += ["", view.outcome.next_step]
    return "\n".join(lines)
