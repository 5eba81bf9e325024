"""The lines that a run prints for the person at the terminal."""

from __future__ import annotations

from runbook.run.folder import Run
from runbook.terminal import Echo, echo_or


def lasting(run: Run, echo: Echo) -> Echo:
    """An `echo` that stops nothing: the run's log has the lines that cannot be printed."""
    return echo_or(
        lambda line, error: run.log("terminal", "not printed", line=line, error=error), echo
    )
