"""What a cell calls: `from runbook import notebook as nb`; stages, tables, steps of the window."""

from runbook.notebook import pictures, tables, window, window_tables
from runbook.notebook.entry import begin, choose, resume
from runbook.notebook.explore_chart import bars
from runbook.notebook.explore_run import explore, sql
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
    "bars",
    "begin",
    "choose",
    "explore",
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
    "sql",
    "tables",
    "verify",
    "window",
    "window_tables",
]
