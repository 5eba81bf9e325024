"""Opening the application other than by the run itself: after a rollback, and by hand."""

from __future__ import annotations

from runbook.errors import NotAllowedNow, WindowFailed
from runbook.run.command_line import command_line, vouching
from runbook.run.folder import Run
from runbook.run.records import RollbackRecord, VerifyRecord
from runbook.run.window_records import WindowStep
from runbook.window import steps
from runbook.window.state import WindowState, failed_trial, misfit, window_state
from runbook.window.store import configured


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
        if configured(run.info.plan, 2):  # nobody may write by the new code any more
            performed.append(steps.maintenance_on(run, quiet=False))
        performed.append(steps.undeploy(run))
    if state.maintenance != "not configured":
        performed.append(steps.maintenance_off(run, again=True, old_code=True))
    return tuple(performed)


def open_by_hand(run: Run, *, regardless: bool = False, by_hand: str = "") -> WindowStep:
    """Opens the application because a person says so, if database and code fit together.

    `by_hand` says who has opened it already, so that it is only proven.

    Raises:
        NotAllowedNow: they do not, or it is not known, and it was not to be done `regardless`.
        WindowFailed: rows came since the verification, or the step failed.
    """
    state = window_state(run)
    verified = run.finished("verify")
    verdict = f"{run.result('verify', VerifyRecord).verdict}" if verified else ""
    reason = misfit(state, verdict=verdict, failed=failed_trial(run))
    if reason and not regardless:
        raise NotAllowedNow(
            f"The application was not opened, because {reason}; {_instead(run, state)}, or open it "
            "nevertheless with --regardless."
        )
    if state.database == "migrated" and not regardless:
        steps.recheck(run)
    note = f"Opened by hand, although {reason}" if reason else ""
    return steps.maintenance_off(
        run, again=True, old_code=state.database != "migrated", note=note, by_hand=by_hand
    )


def _instead(run: Run, state: WindowState) -> str:
    """What to do instead of opening an application that does not fit its database."""
    if state.database == "unknown":
        return f"see what is known with `{command_line(run, 'status')}`"
    if state.database != "migrated":
        return f"put the old code back and record it with `{vouching(run, 'undeploy')}`"
    return (
        f"go on with `{command_line(run, 'run', '--yes')}`, go back with "
        f"`{command_line(run, 'rollback', '--yes')}`"
    )
