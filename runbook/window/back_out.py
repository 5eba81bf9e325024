"""The way out of a failed window without a person: roll back, prove, put the code back, open."""

from __future__ import annotations

from collections.abc import Callable

from runbook.errors import WindowFailed
from runbook.run.folder import Run
from runbook.run.records import RollbackRecord
from runbook.window import steps
from runbook.window.state import window_state

Say = Callable[[str], object]


def back_out(run: Run, roll_back: Callable[[], object], say: Say = print) -> None:
    """Leaves the database as before and the application open, or stops at what does not let it.

    Nothing is opened over a database or code that it does not fit: where the state is not known,
    or the new code cannot be taken back, the application stays shut.

    Args:
        run: the run whose window failed.
        roll_back: runs the stage rollback.
        say: prints a line.

    Raises:
        RunbookError: a step on the way out failed; the application may still be shut.
    """
    run.log("window", "backing out")
    state = window_state(run)
    if state.database == "unknown":
        raise WindowFailed(
            f"The state of the database is not known ({state.database_says}), so nothing was "
            "rolled back and the application was left as it is; a person must look."
        )
    if state.database == "migrated":
        if state.maintenance == "unknown":
            # Opening it may have gone half way; nobody should write while it is rolled back.
            steps.maintenance_on(run)
        roll_back()
        record = run.result("rollback", RollbackRecord)
        if not record.done or record.findings:
            raise WindowFailed(
                "The rollback is not proven, so the application stays shut; see its findings in "
                "the report."
            )
        say(f"  {'rollback':<10} proven; write lock held {record.locked_seconds:.2f} s")
    if state.code in ("new", "unknown"):
        if run.info.plan.window.undeploy is None:
            raise WindowFailed(
                "The database is as before, but the new code was deployed and the plan names no "
                "command that takes it back ([window.undeploy]), so the application stays shut; "
                "put the old code back and open it."
            )
        say(f"  {'undeploy':<10} {steps.summary(steps.undeploy(run))}")
    if state.maintenance != "not configured":
        say(
            f"  {'open':<10} {steps.summary(steps.maintenance_off(run, again=True, old_code=True))}"
        )
