"""The steps of the window as cells of the notebooks: each shows its evidence, or stops there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

from runbook.errors import NotAllowedNow, NotProven, RunbookError, WindowFailed
from runbook.notebook import window_tables as window_frames
from runbook.notebook.display import echo, is_attended
from runbook.notebook.progress_bar import shown_progress
from runbook.notebook.recording import print_private
from runbook.report.masking import mask_emails
from runbook.report.view_model import WINDOW_TITLES
from runbook.run.approvals import check_approved
from runbook.run.folder import Run
from runbook.run.records import VerifyRecord
from runbook.run.window_records import WindowStep
from runbook.window import steps
from runbook.window.reopen import reopen
from runbook.window.state import STEPS_OF, code_state, may_be_shut, stands
from runbook.window.store import configured, read_step, read_ticks, why_not_by_hand
from runbook.window.store import tick as tick_line
from runbook.window.ways import block
from runbook.wording import when

T = TypeVar("T")

AFTER_VERIFY = STEPS_OF["verify"]
"""The steps after the verification, in their order; each needs all before it."""


def maintenance_on(run: Run) -> None:
    """Shuts the application as the plan says, and proves it; nothing once it has migrated.

    Raises:
        NotAllowedNow: a snapshot may not be taken now, or others have to approve first, so users
            should not be shut out for it.
        WindowFailed: it is not proven to be shut.
    """
    if run.finished("migrate"):
        _show_earlier(run, "maintenance_on")
    else:
        run.check_allowed("snapshot")
        if configured(run.info.plan, 2):
            check_approved(run)
        _perform(run, "maintenance_on", steps.maintenance_on)


def still_shut(run: Run) -> None:
    """Proves maintenance mode anew before the database is changed; shows nothing without one.

    Raises:
        WindowFailed: it is not proven to be shut, and could not be shut again.
    """
    if configured(run.info.plan, 2):
        _perform(run, "maintenance_on", steps.maintenance_on)


def shut_first(run: Run) -> None:
    """Before a rollback: shuts the application, which may be open with the new code.

    Raises:
        WindowFailed: it is not proven to be shut.
    """
    if configured(run.info.plan, 2):
        _perform(run, "maintenance_on", lambda run: steps.maintenance_on(run, quiet=False))


# Each of the following raises a RunbookError if a step before it failed, or it does itself; what
# comes after it then stays undone, and the application shut.


def deploy(run: Run) -> None:
    """Runs the plan's deploy command, once."""
    _after_verify(run, "deploy", lambda run: steps.deploy(run, again=True))


def health(run: Run) -> None:
    """Polls the plan's health address until it answers as expected."""
    _after_verify(run, "health", lambda run: steps.health(run, again=True))


def workflows(run: Run) -> None:
    """Tries the key workflows on the database, takes them back, and proves that nothing is left."""
    _after_verify(run, "workflows", lambda run: steps.workflows(run, again=True))


def smoke(run: Run) -> None:
    """Runs the application's own smoke test."""
    _after_verify(run, "smoke", lambda run: steps.smoke(run, again=True))


def maintenance_off(run: Run) -> None:
    """Asks the invariants once more, opens the application, and proves it."""

    def open_checked(run: Run) -> WindowStep:
        _show_step(steps.recheck(run))
        return steps.maintenance_off(run, again=True)

    _after_verify(run, "maintenance_off", open_checked)


def open_again(run: Run) -> None:
    """After a rollback: puts the old code back, opens the application, and proves both.

    Raises:
        NotAllowedNow: the migration was not taken back.
        WindowFailed: a step failed, or the plan does not say how the old code comes back.
    """
    if may_be_shut(run) or code_state(run)[0] in ("new", "unknown"):
        for step in _or_state(run, reopen):
            _show_step(step)
    else:
        echo(
            "The application was not shut and no new code was deployed, "
            "so there is nothing to open."
        )
    _show(window_frames.state(run))


def tick(run: Run, line: int, by: str = "", note: str = "") -> None:
    """Ticks a line of the checklist that is not configured, by name; without one, says how.

    Raises:
        NotAllowedNow: the runbook itself shows this line.
    """
    ticks = [t for t in read_ticks(run.folder) if t.line == line]
    # A cell that is executed once more is no second tick.
    if by.strip() and (by.strip(), note.strip()) not in {(t.by, t.note) for t in ticks}:
        ticks.append(tick_line(run, line, by, note))
    reason = why_not_by_hand(run, line)
    for known in ticks:
        note = f" ({known.note})" if known.note else ""
        echo(f"Line {line}: ticked by hand by {known.by}, {when(known.at)}{note}.")
    if ticks:
        return
    if reason:
        echo(f"Line {line}: cannot be ticked by hand, because {reason}.")
    else:
        echo(
            f"Line {line}: not ticked. If you did it by hand, put your name in this cell: by='...'"
        )


def _after_verify(run: Run, name: str, step: Callable[[Run], WindowStep]) -> None:
    if stands(run, name):
        _show_earlier(run, name)
    else:
        _check_order(run, name)
        if run.info.plan.window.maintenance is not None:  # a page may be lost by a restart
            shut = _or_state(run, lambda run: steps.maintenance_on(run, quiet=False))
            echo(f"Still shut: {shut.details[-1]}.")
        _perform(run, name, step)


def _check_order(run: Run, name: str) -> None:
    """Raises unless everything before the step `name` is well."""
    if run.finished("rollback"):
        raise NotAllowedNow(
            "The migration was taken back, so the new code is neither deployed nor opened; "
            "08_rollback opens the application with the old code."
        )
    if run.result("verify", VerifyRecord).verdict != "pass":
        raise NotProven(
            "The verdict is fail, so the new code is neither deployed nor opened; see the "
            "findings above and decide whether to roll back (08_rollback)."
        )
    for earlier in AFTER_VERIFY[: AFTER_VERIFY.index(name)]:
        step = read_step(run.folder, earlier)
        if step is None or step.status in ("started", "failed"):
            word = "was not run" if step is None else "is not done"
            raise NotAllowedNow(
                f'"{WINDOW_TITLES[earlier]}" {word}, so "{WINDOW_TITLES[name]}" may not follow and '
                "the application stays as it is; run that cell first."
            )


def _perform(run: Run, name: str, step: Callable[[Run], WindowStep]) -> None:
    """Shows what the step did; while it works, its name and the seconds that it has taken."""

    def working(run: Run) -> WindowStep:
        with shown_progress(run, name) as progress:
            progress(WINDOW_TITLES[name])
            return step(run)

    _show_step(_or_state(run, working))


def _or_state(run: Run, call: Callable[[Run], T]) -> T:
    """What `call` returns; its failure shows the step that failed and the state of everything."""
    try:
        return call(run)
    except RunbookError as error:
        if isinstance(error.record, WindowStep):
            _show_step(error.record)
        show_state(run, error)
        raise


def show_state(run: Run, error: RunbookError) -> None:
    """After a failure inside the window: the state of everything, and the ways out.

    What a failed command wrote is shown to a person alone: notebooks are archived, and the operator
    of one that runs unattended reads the same lines in the terminal.
    """
    with contextlib.suppress(RunbookError):  # must not hide why the notebook stops
        if may_be_shut(run) or isinstance(error, WindowFailed):
            kept = block(run, str(error), hide=mask_emails, output=False)
            attended = is_attended()
            print_private(block(run, str(error), hide=mask_emails) if attended else kept, kept)


def _show_earlier(run: Run, name: str) -> None:
    step = read_step(run.folder, name)
    if step is None:
        echo(f"{WINDOW_TITLES[name]}: the migration is done, and it was done without this.")
        return
    if step.status != "not configured":
        echo(f"Done already at {when(step.at)}: its result is shown, not repeated.")
    _show_step(step)


def _show_step(step: WindowStep) -> None:
    if step.status == "not configured":
        echo(f"{WINDOW_TITLES[step.name]}: not configured in the plan.")
    else:
        _show(window_frames.step(mask_emails(step)))


def _show(table: object) -> None:
    from IPython.display import display

    display(table)  # type: ignore[no-untyped-call]
