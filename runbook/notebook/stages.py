"""What the notebooks call: stages that show their result even when they refuse.

A notebook is three moves: do, show, go on. The call returns the stage's record also where the
stage refused, so that its tables can be read; `go_on` then stops the notebook.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote

from runbook.errors import NotAllowedNow, NotProven, RunbookError, Violated
from runbook.notebook.display import echo, has_person
from runbook.notebook.keep import keep_after_cell
from runbook.notebook.live_series import LiveSeries
from runbook.notebook.parameters import as_text, as_truth
from runbook.notebook.progress_bar import shown_progress
from runbook.notebook.window import show_state, shut_first, still_shut
from runbook.progress import Progress
from runbook.run.check import check_finished
from runbook.run.due import is_verify_due_again
from runbook.run.findings import finding_sentence
from runbook.run.folder import STAGES, Run, file_stem
from runbook.run.notebooks import NOTEBOOKS
from runbook.run.records import (
    Assessment,
    Confirmation,
    MigrateRecord,
    PreflightRecord,
    RehearseRecord,
    ReportRecord,
    RollbackRecord,
    SnapshotRecord,
    VerifyRecord,
)
from runbook.run.window_records import MonitorRecord
from runbook.stages import confirm as confirmation
from runbook.window.state import shut_sentence
from runbook.wording import when

T = TypeVar("T")

LOST_BOX = (
    "Nothing is changed before the name is typed. If the box for it is gone, because the page was "
    "loaded anew: interrupt the kernel (the button with the square), and run this cell again."
)


def preflight(run: Run, *, again: bool = False) -> PreflightRecord:
    """Every hazard that can be known beforehand; changes nothing."""
    from runbook.stages import preflight as stage

    with _progress(run, "preflight", again) as progress:
        return _shown(lambda: stage.preflight(run, progress=progress, again=again), PreflightRecord)


def rehearse(run: Run, *, keep: bool = False, again: bool = False) -> RehearseRecord:
    """The whole migration and the way back, on a copy."""
    from runbook.stages import rehearse as stage

    with _progress(run, "rehearse", again) as progress:
        return stage.rehearse(run, keep=keep, progress=progress, again=again)


def snapshot(run: Run, *, again: bool = False) -> SnapshotRecord:
    """Backup, restored once to try it, and exact Parquet of every table."""
    from runbook.stages import snapshot as stage

    with _progress(run, "snapshot", again) as progress:
        return stage.snapshot(run, progress=progress, again=again)


def migrate(run: Run, *, confirm: str = "", how: str = "notebook") -> MigrateRecord:
    """Migrates, proves and commits; `confirm` is the database's name, or a person is asked.

    Maintenance mode is proven once more before the database is changed.
    """
    from runbook.stages import migrate as stage

    if run.finished("migrate"):
        _echo_if_done(run, "migrate")
        return run.result("migrate", MigrateRecord)
    run.check_allowed("migrate")  # before a question is asked in vain
    agreed = _agreed(run, confirm, how)
    still_shut(run)
    with _progress(run, "migrate") as progress:
        return _shown(lambda: stage.migrate(run, agreed, progress=progress), MigrateRecord)


def verify(run: Run, *, again: bool = False) -> VerifyRecord:
    """Three witnesses over the committed database; asked anew after a verdict of fail."""
    from runbook.stages import verify as stage

    again = again or is_verify_due_again(run)
    with _progress(run, "verify", again) as progress:
        return stage.verify(run, progress=progress, again=again)


def report(run: Run, *, show_values: bool = False) -> ReportRecord:
    """Writes the report from the run folder alone."""
    from runbook.stages import report as stage

    return stage.report(run, show_values=as_truth("show_values", show_values))


def monitor(
    run: Run,
    *,
    watch_for: str = "24h",
    every: str = "5m",
    exit_on_violation: bool = False,
) -> MonitorRecord:
    """Watches database, logs and application; interrupted, it goes on where it stopped.

    What was observed so far is drawn, and grows while it is watched.
    """
    from runbook.stages import monitor as stage
    from runbook.window.durations import read_duration

    seconds = read_duration(as_text("watch_for", watch_for))
    series = LiveSeries(run, seconds, live=has_person())
    watching = stage.Watching(
        seconds,
        read_duration(as_text("every", every)),
        exit_on_violation=exit_on_violation,
        show=series,
    )
    try:
        return _shown(lambda: stage.monitor(run, watching), MonitorRecord)
    finally:
        series.end()


def assess(run: Run) -> Assessment:
    """What a rollback would restore, keep and discard; changes nothing."""
    from runbook.stages import rollback as stage

    with shown_progress(run, "rollback") as progress:
        progress("Counting what was written since")
        return stage.preview(run)


# Many parameters because they are those of the notebook, under their names.
def rollback(
    run: Run,
    *,
    confirm: str = "",
    how: str = "notebook",
    discard_organizations: bool = False,
    restore: bool = False,
    operator: str = "",
    reason: str = "",
) -> RollbackRecord:
    """Takes the migration back, proves it and commits; or puts the whole backup back.

    Where the plan says how, the application is shut before.
    """
    from runbook.stages import rollback as stage

    discard = as_truth("discard_organizations", discard_organizations)
    whole = as_truth("restore", restore)
    if run.finished("rollback"):
        _echo_if_done(run, "rollback")
        return run.result("rollback", RollbackRecord)
    run.check_allowed("rollback")  # before a question is asked in vain
    why = as_text("reason", reason).strip()
    if not why and has_person() and confirm != run.info.identity.name:
        why = input("Why is it taken back? ").strip()
    agreed = _agreed(run, confirm, how)
    who = as_text("operator", operator).strip() or agreed.by
    agreed = dataclasses.replace(agreed, by=who, reason=why)
    shut_first(run)
    with _progress(run, "rollback") as progress:
        return _shown(
            lambda: stage.rollback(
                run,
                agreed,
                discard_organizations=discard,
                restore=whole,
                progress=progress,
            ),
            RollbackRecord,
        )


def _agreed(run: Run, confirm: str, how: str) -> Confirmation:
    """The confirmation that was given as a parameter, or is asked of the person who is there."""
    typed = as_text("confirm", confirm)
    if not typed and has_person():
        echo(LOST_BOX)
    return confirmation.confirm(
        run, typed=typed, how=as_text("how", how), ask=input if has_person() else None
    )


def go_on(run: Run, stage: str) -> Any:
    """Stops the notebook if the stage refused; otherwise says what to do next.

    In both cases the notebook is kept in the run folder.

    Raises:
        NotAllowedNow: the stage was never begun.
        RunbookError: what the stage recorded.
    """
    from IPython.display import Markdown

    keep_after_cell(run, stage)
    if run.record(stage) is None:
        raise NotAllowedNow(
            f"The stage {stage} was never begun in {run.folder}; run the cells above this one "
            "first, from the top."
        )
    try:
        check_finished(run, stage)
    except RunbookError as error:
        show_state(run, error)
        raise
    if stage == "monitor" and run.result("monitor", MonitorRecord).verdict != "pass":
        raise Violated("The monitoring found problems; see the series above.")
    if stage == "verify" and run.result("verify", VerifyRecord).verdict != "pass":
        first = run.result("verify", VerifyRecord).findings[0]
        raise NotProven(
            f"The verdict is fail: {finding_sentence(first, committed=True)}; write the "
            "report (06_report) and decide whether to roll back (08_rollback)."
        )
    parts = ("**Done.**", shut_sentence(run), _next(run, stage))
    return Markdown(" ".join(filter(None, parts)))  # type: ignore[no-untyped-call]


def _next(run: Run, stage: str) -> str:
    """One line that says what to do after a finished `stage`, with links."""
    if stage == "report":
        page = quote(os.path.relpath(run.folder / run.result("report", ReportRecord).report))
        if run.finished("rollback"):
            return f"Read [the report]({page}); the migration was taken back."
        if not run.finished("migrate"):
            return f"Read [the report]({page})."
        watch = f"watch the database: {_link('monitor')}; " if _exists("monitor") else ""
        return (
            f"Read [the report]({page}). Then {watch}"
            f"or, if that must be, take the migration back: {_link('rollback')}."
        ).replace("Then or", "Or")
    if run.finished("rollback"):
        back = "" if stage == "rollback" else "The migration was taken back. "
        return (
            f"{back}Write the report again: {_link('report')}. To migrate again, begin a new run."
        )
    if stage == "monitor":
        return f"Write the report again: {_link('report')}."
    return f"Next: {_link(STAGES[STAGES.index(stage) + 1])}"


def _link(stage: str) -> str:
    return f"[{file_stem(stage)}]({file_stem(stage)}.ipynb)"


def _exists(stage: str) -> bool:
    return (NOTEBOOKS / f"{file_stem(stage)}.ipynb").exists()


def _shown(call: Callable[[], T], cls: type[T]) -> T:
    """The stage's record; where it refused with one, that record instead of the error."""
    try:
        return call()
    except RunbookError as error:
        if isinstance(error.record, cls):
            return error.record
        raise


def _echo_if_done(run: Run, stage: str, again: bool = False) -> None:
    """Announces an earlier result, where the stage is finished and is not repeated."""
    record = run.record(stage)
    if again or record is None or not run.finished(stage):
        return
    once = stage in ("migrate", "monitor", "rollback")
    repeat = "" if once else f" `nb.{stage}(run, again=True)` repeats it."
    back = run.record("rollback")
    if stage != "rollback" and back is not None and run.finished("rollback"):
        repeat = f" The migration was taken back at {when(back.finished_at)}."
    echo(f"Done already at {when(record.finished_at)}: its result is shown, not repeated.{repeat}")


@contextlib.contextmanager
def _progress(run: Run, stage: str, again: bool = False) -> Iterator[Progress]:
    """Where progress is shown: as a bar to a person, otherwise as lines in the log.

    An earlier result is announced first, unless the stage is done `again`.
    """
    _echo_if_done(run, stage, again)
    try:
        with shown_progress(run, stage) as shown:
            yield shown
    except RunbookError as error:
        show_state(run, error)
        raise
