"""What `runbook monitor` does: watches, says each look in a line, and ends with a verdict."""

from __future__ import annotations

from collections.abc import Callable

from runbook.errors import Violated
from runbook.run.findings import sample_line
from runbook.run.folder import Run
from runbook.run.window_records import Look, MonitorRecord
from runbook.window.series import describe


def watch(
    run: Run,
    *,
    seconds: float,
    every: float,
    once: bool = False,
    exit_on_violation: bool = False,
    say: Callable[[str], object] = print,
) -> MonitorRecord:
    """Watches as `stages.monitor.monitor` does, and tells of it.

    Raises:
        Violated: at the first violated invariant if `exit_on_violation`, and in the end if
            anything at all was amiss.
    """
    from runbook.stages.monitor import monitor

    def tell(look: Look) -> None:
        say(f"{look.at}  {describe(look)}")
        for line in (*map(sample_line, look.samples), *look.log_samples):
            say(f"    {line}")

    record = monitor(
        run,
        seconds=seconds,
        every=every,
        once=once,
        exit_on_violation=exit_on_violation,
        tell=tell,
    )
    if record.ended:
        say(
            f"Watched from {record.since} to {record.until}: {record.looks} looks, "
            f"verdict {record.verdict}"
        )
        if record.verdict == "fail":
            raise Violated(
                f"The monitoring saw that not all was well ({record.looks_violated} looks with a "
                f"violated invariant, {record.log_lines} log lines, {record.looks_unwell} "
                f"unhealthy answers); see {run.folder / 'monitor.jsonl'}, and the report."
            )
    return record
