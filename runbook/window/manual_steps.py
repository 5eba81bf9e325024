"""Steps that a person did in the place of the plan's command: recorded by name, and proven."""

from __future__ import annotations

from runbook.errors import BadInput, NotAllowedNow
from runbook.run.command_line import command_line, vouching
from runbook.run.folder import Run
from runbook.run.records import VerifyRecord
from runbook.run.window_records import WindowStep
from runbook.window import steps
from runbook.window.reopen import open_by_hand
from runbook.window.store import configured, read_step
from runbook.window.ways import BY_HAND


def record_by_hand(run: Run, name: str, by: str, note: str = "") -> WindowStep:
    """Records that `by` has done the step `name` by hand, where the plan's command cannot.

    What an address of the plan shows is asked all the same: it decides, not the person.

    Raises:
        BadInput: there is no such step, or no name was passed.
        NotAllowedNow: the step may not be done now.
        WindowFailed: an address shows that it is not done.
    """
    if name not in BY_HAND:
        raise BadInput(
            f'"{name}" is no step that is done by hand; there are {", ".join(BY_HAND)}, and the '
            "lines 1 to 8 of the checklist."
        )
    if not by.strip():
        raise BadInput("A tick needs the name of the person who vouches for it; pass it with --by.")
    if name.startswith("maintenance") and not configured(run.info.plan, 2):
        raise NotAllowedNow(
            "The plan names neither a command nor a page for maintenance mode, so there is no such "
            "step; vouch for the line of the checklist instead, with "
            f"`{vouching(run, '2' if name == 'maintenance_on' else '7')}`."
        )
    done = f"Done by hand, says {by.strip()}" + (f": {note.strip()}" if note.strip() else "")
    match name:
        case "maintenance_on":
            step = steps.maintenance_on(run, quiet=False, by_hand=done)
        case "deploy":
            _check_deploy(run)
            step = steps.deploy(run, again=True, by_hand=done)
        case "undeploy":
            _check_undeploy(run)
            step = steps.undeploy(run, by_hand=done)
        case _:
            step = open_by_hand(run, by_hand=done)
    run.log("window", "ticked", step=name, by=by.strip())
    return step


def _check_deploy(run: Run) -> None:
    if run.finished("rollback"):
        reason = "the migration was taken back"
    elif not run.finished("verify") or run.result("verify", VerifyRecord).verdict != "pass":
        reason = "the database is not verified"
    else:
        return
    raise NotAllowedNow(
        f"The new code may not be there yet, because {reason}; see how it stands with "
        f"`{command_line(run, 'status')}`."
    )


def _check_undeploy(run: Run) -> None:
    deployed = read_step(run.folder, "deploy")
    if deployed is not None and deployed.status != "not configured":
        return
    raise NotAllowedNow(
        "There is no new code to be put back by hand: this run has deployed none; see it with "
        f"`{command_line(run, 'status')}`."
    )
