"""The stages of a run called in this process, without a notebook: for databases by the thousand.

The order, the questions and the ways out of a failure stay those of `runbook run`, which is handed
this in the place of Papermill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runbook.run.due import is_verify_due_again
from runbook.run.folder import Run
from runbook.run.records import Confirmation
from runbook.stages.confirm import confirm
from runbook.stages.migrate import migrate
from runbook.stages.preflight import preflight
from runbook.stages.rehearse import rehearse
from runbook.stages.report import report
from runbook.stages.rollback import rollback
from runbook.stages.snapshot import snapshot
from runbook.stages.verify import verify


def execute_directly(run: Run, stage: str, parameters: Mapping[str, object]) -> None:
    """Does what the notebook of `stage` would do, but for its tables and pictures.

    Raises:
        RunbookError: what the stage recorded as its failure.
    """
    _CALLS[stage](run, parameters)


def _agreed(run: Run, parameters: Mapping[str, object]) -> Confirmation:
    typed, how = str(parameters.get("confirm", "")), str(parameters.get("how", "fleet"))
    return confirm(run, typed=typed, how=how)


def _migrate(run: Run, parameters: Mapping[str, object]) -> None:
    if not run.finished("migrate"):  # else there is nothing to agree to
        migrate(run, _agreed(run, parameters))


def _rollback(run: Run, parameters: Mapping[str, object]) -> None:
    if not run.finished("rollback"):
        rollback(
            run,
            _agreed(run, parameters),
            discard_organizations=bool(parameters.get("discard_organizations")),
            restore=bool(parameters.get("restore")),
        )


_CALLS: Mapping[str, Callable[[Run, Mapping[str, object]], Any]] = {
    "preflight": lambda run, _: preflight(run),
    "rehearse": lambda run, _: rehearse(run),
    "snapshot": lambda run, _: snapshot(run),
    "migrate": _migrate,
    "verify": lambda run, _: verify(run, again=is_verify_due_again(run)),
    "report": lambda run, parameters: report(run, show_values=bool(parameters.get("show_values"))),
    "rollback": _rollback,
}
