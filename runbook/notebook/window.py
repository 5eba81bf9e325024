"""The steps of the window as cells of the notebooks: each shows its evidence, or stops there.

`runbook run` does the same steps itself, between the notebooks; then the notebooks' parameter
`window` is False, and these cells only say so. That way every step is done in one place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from runbook.errors import NotAllowedNow, NotProven, RunbookError
from runbook.notebook import window_tables as window_frames
from runbook.notebook.display import say
from runbook.notebook.parameters import as_truth
from runbook.report.masking import mask_emails
from runbook.report.view_model import WINDOW_TITLES
from runbook.run.folder import Run
from runbook.run.records import RollbackRecord, VerifyRecord
from runbook.run.window_records import WindowStep
from runbook.window import steps
from runbook.window.back_out import back_out
from runbook.window.state import block, maintenance_state, may_be_shut, window_state
from runbook.window.store import configured, read_step, read_ticks, why_not_by_hand
from runbook.window.store import tick as tick_line
from runbook.wording import when

AFTER_VERIFY = ("deploy", "health", "workflows", "smoke", "maintenance_off")
"""The steps after the verification, in their order; each needs all before it."""


def maintenance_on(run: Run, *, window: bool = True) -> None:
    """Shuts the application as the plan says, and proves it; nothing once it has migrated.

    Raises:
        NotAllowedNow: a snapshot may not be taken now, so nobody should be shut out for it.
        WindowFailed: it is not proven to be shut.
    """
    if run.finished("migrate"):
        _show_earlier(run, "maintenance_on")
    elif _is_ours("maintenance_on", window):
        run.check_allowed("snapshot")
        _perform(run, "maintenance_on", lambda: steps.maintenance_on(run))


def still_shut(run: Run, *, window: bool = True) -> None:
    """Proves maintenance mode anew before the database is changed; says nothing without one.

    Raises:
        WindowFailed: it is not proven to be shut, and could not be shut again.
    """
    if as_truth("window", window) and configured(run.info.plan, 2):
        _perform(run, "maintenance_on", lambda: steps.maintenance_on(run, prove_again=True))


def deploy(run: Run, *, window: bool = True) -> None:
    """Runs the plan's deploy command, once.

    Raises:
        RunbookError: the verdict is not pass, or the command failed.
    """
    _after_verify(run, "deploy", window, lambda: steps.deploy(run))


def health(run: Run, *, window: bool = True) -> None:
    """Polls the plan's health address until it is well.

    Raises:
        RunbookError: the new code is not there, or not well within the time limit.
    """
    _after_verify(run, "health", window, lambda: steps.health(run))


def workflows(run: Run, *, window: bool = True) -> None:
    """Tries the key workflows on the database, takes them back, and proves that nothing is left.

    Raises:
        RunbookError: a step before this failed, or a workflow did.
    """
    _after_verify(run, "workflows", window, lambda: steps.workflows(run))


def smoke(run: Run, *, window: bool = True) -> None:
    """Runs the application's own smoke test.

    Raises:
        RunbookError: a step before this failed, or the test did.
    """
    _after_verify(run, "smoke", window, lambda: steps.smoke(run))


def maintenance_off(run: Run, *, window: bool = True) -> None:
    """Opens the application and proves it, if all before it is well.

    Raises:
        RunbookError: a step before this failed, so it stays shut; or it is not proven to be open.
    """
    _after_verify(run, "maintenance_off", window, lambda: steps.maintenance_off(run))


def open_again(run: Run, *, window: bool = True) -> None:
    """After a rollback: puts the old code back, opens the application, and proves both.

    Raises:
        NotAllowedNow: the migration was not taken back.
        WindowFailed: a step failed, or the plan does not say how the old code comes back.
    """
    if not as_truth("window", window):
        say("Old code and opening: not done by this notebook, but by whoever executes it.")
        return
    if not run.finished("rollback"):
        raise NotAllowedNow(
            "The migration was not taken back, so the old code would not fit the database; run the "
            "cell above first."
        )
    if may_be_shut(run) or window_state(run).code in ("new", "unknown"):
        try:
            back_out(run, lambda: run.result("rollback", RollbackRecord))
        except RunbookError as error:
            tell_where_all_stands(run, error)
            raise
    else:
        say("The application was not shut and no new code was deployed: nothing to open.")
    _show(window_frames.state(run))


def tick(run: Run, line: int, by: str = "", note: str = "") -> None:
    """Ticks a line of the checklist that is not configured, by name; without one, says how.

    Raises:
        NotAllowedNow: the runbook itself shows this line.
    """
    if by.strip():
        tick_line(run, line, by, note)
    known = {t.line: t for t in read_ticks(run.folder)}.get(line)
    reason = why_not_by_hand(run, line)
    if known is not None:
        said = f" ({known.note})" if known.note else ""
        say(f"Line {line}: ticked by hand by {known.by}, {when(known.at)}{said}.")
    elif reason:
        say(f"Line {line}: not for ticking by hand, because {reason}.")
    else:
        say(f"Line {line}: not ticked. If you did it by hand, put your name in this cell: by='...'")


def _after_verify(run: Run, name: str, window: bool, call: Callable[[], WindowStep]) -> None:
    if _stands(run, name):
        _show_earlier(run, name)
    elif _is_ours(name, window):
        _check_order(run, name)
        _perform(run, name, call)


def _check_order(run: Run, name: str) -> None:
    """Raises unless everything before the step `name` is well."""
    if run.finished("rollback"):
        raise NotAllowedNow(
            "The migration was taken back, so the new code is neither deployed nor opened; "
            "08_rollback opens the application with the old code."
        )
    if run.result("verify", VerifyRecord).verdict != "pass":
        raise NotProven(
            "The verdict is fail, so the new code is neither deployed nor opened; look at the "
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


def _stands(run: Run, name: str) -> bool:
    """Whether the step is done and would not be done again."""
    step = read_step(run.folder, name)
    if step is None or step.status != "done":
        return False
    return name != "maintenance_off" or maintenance_state(run) in ("off", "not configured")


def _is_ours(name: str, window: bool) -> bool:
    """Whether this notebook does the step; where not, it says so."""
    if as_truth("window", window):
        return True
    say(f"{WINDOW_TITLES[name]}: not done by this notebook, but by whoever executes it.")
    return False


def _perform(run: Run, name: str, call: Callable[[], WindowStep]) -> None:
    try:
        step = call()
    except RunbookError as error:
        if isinstance(error.record, WindowStep):
            _show_step(error.record)
        tell_where_all_stands(run, error)
        raise
    _show_step(step)


def tell_where_all_stands(run: Run, error: RunbookError) -> None:
    """After a failure inside the window: the state of everything, and the ways out."""
    with contextlib.suppress(RunbookError):  # must not hide why the notebook stops
        if may_be_shut(run):
            print(mask_emails(block(run, str(error))))


def _show_earlier(run: Run, name: str) -> None:
    step = read_step(run.folder, name)
    if step is None:
        say(f"{WINDOW_TITLES[name]}: the migration is done, and it was done without this.")
        return
    if step.status != "not configured":
        say(f"Done already at {when(step.at)}: its result is shown, not repeated.")
    _show_step(step)


def _show_step(step: WindowStep) -> None:
    if step.status == "not configured":
        say(f"{WINDOW_TITLES[step.name]}: not configured in the plan.")
    else:
        _show(window_frames.step(mask_emails(step)))


def _show(table: object) -> None:
    from IPython.display import display

    display(table)  # type: ignore[no-untyped-call]
