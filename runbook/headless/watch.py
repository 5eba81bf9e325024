"""What `runbook monitor` does: watches, prints each observation, and ends with a verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from runbook.errors import Violated
from runbook.headless.echo import lasting
from runbook.run.findings import sample_line
from runbook.run.folder import Run
from runbook.run.window_records import MonitorRecord, Observation
from runbook.window.series import describe
from runbook.wording import counted

if TYPE_CHECKING:
    from runbook.stages.monitor import Watching


def watch(run: Run, watching: Watching, echo: Callable[[str], object] = print) -> MonitorRecord:
    """Watches as `stages.monitor.monitor` does, and prints what it finds.

    Raises:
        Violated: at the first violated invariant if `exit_on_violation`; in the end if anything
            at all was amiss; and if it was in the only observation of `once`.
    """
    from runbook.stages.monitor import monitor

    echo = lasting(run, echo)
    latest: list[Observation] = []

    def show(observation: Observation) -> None:
        latest[:] = [observation]
        echo(f"{observation.at}  {describe(observation)}")
        for line in (*map(sample_line, observation.samples), *observation.log_samples):
            echo(f"    {line}")

    record = monitor(run, dataclasses.replace(watching, show=show))
    if not record.ended:
        if not latest[-1].ok:
            raise Violated(
                f"The observation of {latest[-1].at} found a problem: {describe(latest[-1])}; find "
                "what causes it, correct it, and observe again."
            )
        return record
    echo(
        f"Watched from {record.start} to {record.until}: "
        f"{counted(record.observations, 'observation')}, verdict {record.verdict}"
    )
    if record.verdict == "fail":
        raise Violated(
            f"The monitoring found problems ({counted(record.violated, 'observation')} with a "
            f"violated invariant, {counted(record.log_lines, 'log line')}, "
            f"{counted(record.unhealthy, 'unhealthy answer')}); see "
            f"{run.folder / 'monitor.jsonl'}, and the report."
        )
    return record
