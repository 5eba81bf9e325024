"""How the stages are run and taken back without a person at the notebooks."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from runbook.errors import BadInput
from runbook.stages.confirm import Ask
from runbook.terminal import Echo

ORDER = ("preflight", "rehearse", "snapshot", "migrate", "verify", "report")
"""The stages of `runbook run`; monitoring and the way back are commands of their own."""

OnFailure = Literal["stop", "rollback"]


@dataclass(frozen=True)
class Options:
    """How stages are run.

    Attributes:
        until: the last stage.
        yes: change the database without asking.
        ask: asks the person at the terminal; None where there is none.
        echo: prints a line.
        show_values: personal data is shown in the report.
        on_failure: `stop` prints what state everything is in; `rollback` leads out unattended.
        leave_out: stages that are not run; `report` among them: none is written unless one fails.
        how: how the change was confirmed, where `yes` stands for a question asked elsewhere.
        wait: seconds to wait for another call that works in the run folder.
    """

    until: str = "report"
    yes: bool = False
    ask: Ask | None = None
    echo: Echo = print
    show_values: bool = False
    on_failure: OnFailure = "stop"
    leave_out: tuple[str, ...] = ()
    how: str = "--yes"
    wait: float = 0.0


@dataclass(frozen=True)
class WayBack:
    """How a migration is taken back; the names are those of the notebook's parameters.

    Attributes:
        discard_organizations: go on although organizations or memberships were added since.
        restore: put the whole backup back instead.
        operator: who does it; empty for the run's operator.
        reason: why.
    """

    discard_organizations: bool = False
    restore: bool = False
    operator: str = ""
    reason: str = ""


AS_IT_IS = WayBack()


def check_until(until: str) -> None:
    """Raises BadInput where `runbook run` has no such stage, with what was perhaps meant."""
    if until not in ORDER:
        near = difflib.get_close_matches(until.strip().casefold(), ORDER, n=1, cutoff=0.4)
        meant = f' (did you mean "{near[0]}"?)' if near else ""
        known = ", ".join(ORDER)
        raise BadInput(f'There is no stage "{until}"{meant}; --until takes one of {known}.')
