"""What the notebooks call: stages that show what they found even when they refuse.

A notebook is three moves: do, show, go on. The call returns the stage's record also where the
stage refused, so that its tables can be looked at; `go_on` then stops the notebook.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from runbook import confirm as confirmation
from runbook.driver import check
from runbook.errors import NotProven, RunbookError, Violated
from runbook.opening import open_run
from runbook.progress import Bars
from runbook.records import (
    Assessment,
    Confirmation,
    MigrateRecord,
    MonitorRecord,
    PreflightRecord,
    RehearseRecord,
    ReportRecord,
    RollbackRecord,
    SnapshotRecord,
    VerifyRecord,
    WindowStep,
)
from runbook.run import STAGES, Run, file_stem

__all__ = [
    "begin",
    "deploy",
    "go_on",
    "health",
    "look_back",
    "maintenance_off",
    "maintenance_on",
    "migrate",
    "monitor",
    "preflight",
    "rehearse",
    "report",
    "rollback",
    "smoke",
    "snapshot",
    "verify",
    "workflows",
]

T = TypeVar("T")


def begin(
    database: str = "", plan: str = "", run_dir: str = "", operator: str = "", ticket: str = ""
) -> Run:
    """The run that the notebook's parameters name; begun if it does not exist."""
    return open_run(database, plan=plan, run_dir=run_dir, operator=operator, ticket=ticket)


def preflight(run: Run, *, again: bool = False) -> PreflightRecord:
    """Every hazard that can be known beforehand; changes nothing."""
    from runbook.stages import preflight as stage

    return _shown(lambda: stage.preflight(run, progress=Bars(), again=again), PreflightRecord)


def rehearse(run: Run, *, keep: bool = False, again: bool = False) -> RehearseRecord:
    """The whole migration and the way back, on a copy."""
    from runbook.stages import rehearse as stage

    return stage.rehearse(run, keep=keep, progress=Bars(), again=again)


def snapshot(run: Run, *, again: bool = False) -> SnapshotRecord:
    """Backup, restored once to try it, and exact Parquet of every table."""
    from runbook.stages import snapshot as stage

    return stage.snapshot(run, progress=Bars(), again=again)


def migrate(run: Run, *, confirm: str = "", how: str = "notebook") -> MigrateRecord:
    """Migrates, proves and commits; `confirm` is the database's name, or a person is asked."""
    from runbook.stages import migrate as stage

    if run.finished("migrate"):
        return run.result("migrate", MigrateRecord)
    agreed = _agreed(run, confirm, how)
    return _shown(lambda: stage.migrate(run, agreed, progress=Bars()), MigrateRecord)


def verify(run: Run, *, again: bool = False) -> VerifyRecord:
    """Three witnesses over the committed database."""
    from runbook.stages import verify as stage

    return stage.verify(run, progress=Bars(), again=again)


def report(run: Run, *, show_values: bool = False) -> ReportRecord:
    """Writes the report from the run folder alone."""
    from runbook.stages import report as stage

    return stage.report(run, show_values=show_values)


def maintenance_on(run: Run) -> WindowStep:
    """Shuts the application, as the plan says how, and proves it; nothing if it is shut already."""
    from runbook.window import steps

    return _shown(lambda: steps.maintenance_on(run), WindowStep)


def deploy(run: Run) -> WindowStep:
    """Runs the plan's deploy command, once."""
    from runbook.window import steps

    return _shown(lambda: steps.deploy(run), WindowStep)


def health(run: Run) -> WindowStep:
    """Polls the plan's health address until it is well."""
    from runbook.window import steps

    return _shown(lambda: steps.health(run), WindowStep)


def workflows(run: Run) -> WindowStep:
    """Tries the key workflows on the database, takes them back, and proves that nothing is left."""
    from runbook.window import steps

    return _shown(lambda: steps.workflows(run), WindowStep)


def smoke(run: Run) -> WindowStep:
    """Runs the application's own smoke test."""
    from runbook.window import steps

    return _shown(lambda: steps.smoke(run), WindowStep)


def maintenance_off(run: Run) -> WindowStep:
    """Opens the application and proves it; nothing if it is open already."""
    from runbook.window import steps

    return _shown(lambda: steps.maintenance_off(run), WindowStep)


def monitor(
    run: Run,
    *,
    watch_for: str = "24h",
    every: str = "5m",
    exit_on_violation: bool = False,
) -> MonitorRecord:
    """Watches database, logs and application; interrupted, it goes on where it stopped."""
    from runbook.monitoring.durations import read_duration
    from runbook.monitoring.series import describe
    from runbook.stages import monitor as stage

    return _shown(
        lambda: stage.monitor(
            run,
            seconds=read_duration(watch_for),
            every=read_duration(every),
            exit_on_violation=exit_on_violation,
            tell=lambda look: None if look.well else print(f"{look.at}  {describe(look)}"),
        ),
        MonitorRecord,
    )


def look_back(run: Run) -> Assessment:
    """What a rollback would restore, keep and discard; changes nothing."""
    from runbook.stages import rollback as stage

    return stage.look(run)


def rollback(
    run: Run,
    *,
    confirm: str = "",
    how: str = "notebook",
    discard_organizations: bool = False,
    restore: bool = False,
) -> RollbackRecord:
    """Takes the migration back, proves it and commits; or puts the whole backup back."""
    from runbook.stages import rollback as stage

    if run.finished("rollback"):
        return run.result("rollback", RollbackRecord)
    return _shown(
        lambda: stage.rollback(
            run,
            _agreed(run, confirm, how),
            discard_organizations=discard_organizations,
            restore=restore,
            progress=Bars(),
        ),
        RollbackRecord,
    )


def _agreed(run: Run, confirm: str, how: str) -> Confirmation:
    """The confirmation that was typed as a parameter, or is asked of the person who is there."""
    return confirmation.confirm(
        run.info.identity.name,
        run.result("preflight", PreflightRecord).hazards,
        operator=run.info.operator,
        typed=confirm,
        how=how,
        ask=input if _person_is_there() else None,
    )


def go_on(run: Run, stage: str) -> Any:
    """Stops the notebook if the stage refused; otherwise says what to do next.

    Raises:
        RunbookError: what the stage recorded.
    """
    from IPython.display import Markdown

    check(run, stage)
    if stage == "monitor" and run.result("monitor", MonitorRecord).verdict != "pass":
        raise Violated("The monitoring saw that not all was well; look at the series above.")
    if stage == "verify" and run.result("verify", VerifyRecord).verdict != "pass":
        findings = run.result("verify", VerifyRecord).findings
        raise NotProven(
            f"The verdict is fail: {findings[0].message}; write the report (06_report) and decide "
            "whether to roll back (08_rollback)."
        )
    if stage in ("report", "monitor", "rollback"):
        return Markdown("**Done.**")  # type: ignore[no-untyped-call]
    following = file_stem(STAGES[STAGES.index(stage) + 1])
    return Markdown(  # type: ignore[no-untyped-call]
        f"**Done.** Next: [{following}]({following}.ipynb)"
    )


def _shown(call: Callable[[], T], cls: type[T]) -> T:
    """The stage's record; where it refused with one, that record instead of the error."""
    try:
        return call()
    except RunbookError as error:
        if isinstance(error.record, cls):
            return error.record
        raise


def _person_is_there() -> bool:
    """Whether somebody can answer a question: not under Papermill, nbval or a scheduler."""
    from IPython import get_ipython

    shell = get_ipython()
    kernel = getattr(shell, "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", False))
