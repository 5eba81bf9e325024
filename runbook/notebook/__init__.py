"""What a cell calls: `from runbook import notebook as nb`; stages, tables, steps of the window."""

from runbook.notebook import pictures, tables, window, window_tables
from runbook.notebook.entry import begin, choose, resume
from runbook.notebook.stages import (
    assess,
    go_on,
    migrate,
    monitor,
    preflight,
    rehearse,
    report,
    rollback,
    snapshot,
    verify,
)

__all__ = [
    "assess",
    "begin",
    "choose",
    "go_on",
    "migrate",
    "monitor",
    "pictures",
    "preflight",
    "rehearse",
    "report",
    "resume",
    "rollback",
    "snapshot",
    "tables",
    "verify",
    "window",
    "window_tables",
]
