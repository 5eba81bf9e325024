"""Stage 07: watches the migrated database, its application and its logs for a day.

The stage's lock is not held meanwhile, so that a rollback can be begun at any moment; a lock of
its own keeps two of them from watching at once. Restarted, it goes on with its series.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runbook.errors import Violated
from runbook.plan.secrets import of_window
from runbook.plan.shape import read_backup_shape
from runbook.run.folder import Run, Stage, now
from runbook.run.secret_plan import open_secret_plan
from runbook.run.window_records import MonitorRecord, Observation
from runbook.targets.open_target import target_of
from runbook.window.logs import remembered_logs
from runbook.window.prometheus import check_metrics_path, write_metrics
from runbook.window.series import append, describe, read_series, sum_up, watched_seconds
from runbook.window.watch import RolledBack, Watcher

DAY = 86_400.0


@dataclass(frozen=True)
class Watching:
    """How to watch.

    Attributes:
        seconds: how long to watch in all, over all restarts; a series that was watched as long
            already is observed once more.
        every: seconds between two observations.
        once: observe once and return, for a scheduler that calls again.
        exit_on_violation: end at the first violated invariant.
        show: called with each observation.
        prometheus: where each observation is put for node_exporter; None for nowhere.
    """

    seconds: float = DAY
    every: float = 300.0
    once: bool = False
    exit_on_violation: bool = False
    show: Callable[[Observation], object] = lambda observation: None
    prometheus: Path | None = None


def monitor(run: Run, watching: Watching) -> MonitorRecord:
    """Observes the database, at least once, until the series was watched for the time asked.

    A series can always be continued; the time between two calls is not counted as watched.

    Args:
        run: a run that has migrated.
        watching: how long and how often.

    Returns:
        The sum of the series so far.

    Raises:
        BadInput: node_exporter would not read the file of metrics.
        NotAllowedNow: there is nothing to watch, or not any more, or another process watches.
        Violated: an invariant is violated, and the watching was to end there.
    """
    if watching.prometheus is not None:
        check_metrics_path(watching.prometheus)
    with run.locked("monitor"):
        run.check_allowed("monitor")
        series = list(read_series(run.folder))
        began = series[0].at if series else now()
        stage = run.stage("monitor", began)
        stage.write("started", sum_up(series, watching.seconds) if series else None)
        run.log("monitor", "started", observations=len(series))
        try:
            return _watch(run, stage, series, watching)
        except Violated as error:
            stage.failed(error)
            raise


def _watch(run: Run, stage: Stage, series: list[Observation], watching: Watching) -> MonitorRecord:
    """Observes until there is a reason to end; every observation is added to `series`."""
    plan = open_secret_plan(run)
    watcher = Watcher(
        target_of(run),
        plan,
        read_backup_shape(run.backup, run.info.plan),
        run.info.run,
        logs=series[-1].logs if series else remembered_logs(run),
        every=watching.every,
        secrets=of_window(plan.window),
    )
    while True:
        if series and not watching.once:
            _wait(series[-1].at, watching.every)
        try:
            observation = watcher.observe()
        except RolledBack:
            return _rolled_back(run, stage, series, watching.seconds)
        append(run.folder, observation)
        if observation.violated and not (series and series[-1].violated):
            run.log("monitor", "violated", observed=observation.at)
        series.append(observation)
        _export(run, watching, series)
        watching.show(observation)
        if observation.violated and watching.exit_on_violation:
            raise Violated(
                f"The monitoring found a violation at {observation.at}: {describe(observation)}; "
                "find what writes such rows (old code?), correct them, and start the monitoring "
                "again.",
                record=sum_up(series, watching.seconds, "at a violation"),
            )
        over = watched_seconds(series) + watching.every / 2 >= watching.seconds
        record = sum_up(series, watching.seconds, "in time" if over else "")
        stage.write("finished" if over else "started", record)
        if over:
            run.log("monitor", "finished", verdict=record.verdict)
        if over or watching.once:
            return record


def _export(run: Run, watching: Watching, series: list[Observation]) -> None:
    """Puts the series where node_exporter reads it; a full disk there stops nothing here."""
    if watching.prometheus is None:
        return
    try:
        write_metrics(watching.prometheus, run.info.run, series)
    except OSError as error:
        run.log("monitor", "no metrics", note=error.strerror)


def _rolled_back(
    run: Run, stage: Stage, series: list[Observation], seconds: float
) -> MonitorRecord:
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
    """Waits until `every` seconds have passed since the observation at `last`."""
    left = every - _passed(last)
    if left > 0:
        time.sleep(min(left, every))


def _passed(start: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(start)).total_seconds()
