"""The way out of a window: the old code back, and the application open over the old database."""

from __future__ import annotations

from runbook.errors import NotAllowedNow, WindowFailed
from runbook.run.folder import Run
from runbook.run.records import RollbackRecord
from runbook.run.window_records import WindowStep
from runbook.window import steps
from runbook.window.state import window_state


def reopen(run: Run) -> tuple[WindowStep, ...]:
    """Puts the old code back and opens the application, or stops at what does not let it.

    Nothing is opened over a database or code that it does not fit: where the state is not known,
    or the new code cannot be taken back, the application stays as it is.

    Returns:
        The steps that were performed, in order.

    Raises:
        NotAllowedNow: the database is migrated.
        WindowFailed: the state of the database is not known, the rollback is not proven, or a step
            failed; the application may still be shut.
    """
    run.log("window", "reopening")
    state = window_state(run)
    if state.database == "unknown":
        raise WindowFailed(
            f"The state of the database is not known ({state.database_says}), so nothing was "
            "rolled back and the application was left as it is; inspect it."
        )
    if state.database == "migrated":
        raise NotAllowedNow(
            "The migration was not taken back, so the old code would not fit the database; roll it "
            "back first (08_rollback)."
        )
    if run.finished("rollback"):
        record = run.result("rollback", RollbackRecord)
        if not record.done or record.findings:
            raise WindowFailed(
                "The rollback is not proven, so the application stays shut; see its findings in "
                "the report."
            )
    performed = []
    if state.code in ("new", "unknown"):
        if run.info.plan.window.undeploy is None:
            raise WindowFailed(
                "The database is as before, but the new code was deployed and the plan names no "
                "command that takes it back ([window.undeploy]), so the application is not opened; "
                "put the old code back and open it."
            )
        performed.append(steps.undeploy(run))
    if state.maintenance != "not configured":
        performed.append(steps.maintenance_off(run, again=True, old_code=True))
    return tuple(performed)
