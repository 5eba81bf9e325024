"""The `runbook` command, a module for each kind of call: reads options, calls, prints; no logic."""

from runbook.cli import approve, archive, fleet, material, scan, sql, stages, window
from runbook.cli.group import main

__all__ = [
    "approve",
    "archive",
    "fleet",
    "main",
    "material",
    "scan",
    "sql",
    "stages",
    "window",
]
