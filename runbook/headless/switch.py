"""Steps of the window on their own: what `runbook maintenance` and `runbook tick STEP` do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from runbook.errors import BadInput, RunbookError, WindowFailed
from runbook.headless.echo import lasting
from runbook.headless.summary import step_summary
from runbook.run.command_line import vouching
from runbook.run.folder import Run
from runbook.run.window_records import WindowStep
from runbook.terminal import Echo
from runbook.window import steps
from runbook.window.manual_steps import record_by_hand
from runbook.window.reopen import open_by_hand
from runbook.window.store import configured
from runbook.window.ways import block


def switch(run: Run, mode: Literal["on", "off"], *, regardless: bool, echo: Echo) -> None:
    """Shuts the application or opens it, and prints what shows it.

    Raises:
        BadInput: the plan does not say how.
        NotAllowedNow: database and code do not fit together, and it was not to be `regardless`.
        WindowFailed: it is not proven; how everything stands is printed first.
    """
    if not configured(run.info.plan, 2 if mode == "on" else 7):
        word = "shut" if mode == "on" else "opened"
        raise BadInput(
            f"The plan says neither how the application is {word} nor which page shows it; "
            f"{'shut' if mode == 'on' else 'open'} it by hand, and record that with "
            f"`{vouching(run, '2' if mode == 'on' else '7')}`."
        )
    echo = lasting(run, echo)
    with _explained(run, echo):
        on = mode == "on"
        _print(
            f"maintenance {mode}",
            steps.maintenance_on(run) if on else open_by_hand(run, regardless=regardless),
            echo,
        )


def record(run: Run, name: str, by: str, note: str, echo: Echo) -> None:
    """Records a step that `by` did in the place of the plan's command, and prints what shows it.

    Raises:
        BadInput: there is no such step, or no name was passed.
        NotAllowedNow: the step may not be done now.
        WindowFailed: an address shows that it is not done; how everything stands is printed first.
    """
    echo = lasting(run, echo)
    with _explained(run, echo):
        _print(name.replace("_", " "), record_by_hand(run, name, by, note), echo)


def _print(title: str, step: WindowStep, echo: Echo) -> None:
    echo(f"{title}: {step_summary(step)}")
    for detail in step.details:
        echo(f"  {detail}")


@contextlib.contextmanager
def _explained(run: Run, echo: Echo) -> Iterator[None]:
    """No other call works in the run meanwhile; a failure prints how everything stands."""
    with run.locked("run"):
        try:
            yield
        except WindowFailed as error:
            with contextlib.suppress(RunbookError):  # must not hide what failed
                echo(block(run, str(error)))
            raise
