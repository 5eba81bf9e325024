"""Stage 07: watches the migrated database, its application and its logs for a day.

The stage's lock is not held meanwhile, so that a rollback can be begun at any moment; a lock of
its own keeps two of them from watching at once. Restarted, it goes on with its series.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from runbook.errors import Violated
from runbook.plan.shape import read_backup_shape
from runbook.run.folder import Run, Stage, now
from runbook.run.window_records import Look, MonitorRecord
from runbook.targets.open_target import open_target
from runbook.window.logs import remembered_logs
from runbook.window.series import append, describe, read_series, sum_up
from runbook.window.watch import RolledBack, Watcher

DAY = 86_400.0

Tell = Callable[[Look], object]


def monitor(
    run: Run,
    *,
    seconds: float = DAY,
    every: float = 300.0,
    once: bool = False,
    exit_on_violation: bool = False,
    tell: Tell = lambda look: None,
) -> MonitorRecord:
    """Looks every `every` seconds until `seconds` have passed since the first look of the series.

    Args:
        run: a run that has migrated.
        seconds: how long to watch in all, over all restarts.
        every: seconds between two looks.
        once: look once and return, for a scheduler that calls again.
        exit_on_violation: end at the first violated invariant.
        tell: told of each look.

    Returns:
        The sum of the series so far.

    Raises:
        NotAllowedNow: there is nothing to watch, or another process watches already.
        Violated: an invariant is violated, and `exit_on_violation` was asked for.
    """
    with run.locked("monitor"):
        if run.finished("monitor"):
            return run.result("monitor", MonitorRecord)
        run.check_allowed("monitor")
        series = list(read_series(run.folder))
        began = series[0].at if series else now()
        stage = run.stage("monitor", began)
        stage.write("started", sum_up(series, seconds) if series else None)
        run.log("monitor", "started", looks=len(series))
        try:
            return _watch(run, stage, series, seconds, every, once, exit_on_violation, tell)
        except Violated as error:
            stage.failed(error)
            raise


def _watch(
    run: Run,
    stage: Stage,
    series: list[Look],
    seconds: float,
    every: float,
    once: bool,
    exit_on_violation: bool,
    tell: Tell,
) -> MonitorRecord:
    watcher = Watcher(
        open_target(run.info.database, run.info.options),
        run.info.plan,
        read_backup_shape(run.backup, run.info.plan),
        run.info.run,
        logs=series[-1].logs if series else remembered_logs(run),
        every=every,
    )
    while True:
        if series and not once:
            _wait(series[-1].at, every)
        try:
            look = watcher.look()
        except RolledBack:
            return _rolled_back(run, stage, series, seconds)
        append(run.folder, look)
        series.append(look)
        tell(look)
        if look.violated and exit_on_violation:
            record = sum_up(series, seconds, "at a violation")
            error = Violated(
                f"The monitoring saw a violation at {look.at}: {describe(look)}; find what writes "
                "such rows (old code?), mend them, and start the monitoring again."
            )
            error.record = record
            raise error
        over = _passed(series[0].at) + every / 2 >= seconds
        record = sum_up(series, seconds, "in time" if over else "")
        stage.write("finished" if over else "started", record)
        if over:
            run.log("monitor", "finished", verdict=record.verdict)
        if over or once:
            return record


def _rolled_back(run: Run, stage: Stage, series: list[Look], seconds: float) -> MonitorRecord:
    """The end of a monitoring whose migration was taken back."""
    if not series:
        raise Violated(
            "There is nothing to watch: the ledger no longer holds this run's migration; it was "
            "rolled back, or the database was replaced."
        )
    record = sum_up(series, seconds, "by a rollback")
    stage.write("finished", record)
    run.log("monitor", "finished", ended=record.ended)
    return record


def _wait(last: str, every: float) -> None:
    """Waits until `every` seconds have passed since the look at `last`."""
    left = every - _passed(last)
    if left > 0:
        time.sleep(min(left, every))


def _passed(since: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()
