"""The `runbook` command, a module for each kind of call: reads options, calls, prints; no logic."""

from runbook.cli import archive, fleet, material, scan, stages, window
from runbook.cli.group import main

__all__ = ["archive", "fleet", "main", "material", "scan", "stages", "window"]
