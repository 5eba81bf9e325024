"""Whether a stage has succeeded, which its record alone decides."""

from __future__ import annotations

from runbook.errors import RunbookError, named
from runbook.run.folder import Run
from runbook.run.stage import StageRecord


def check_finished(
    run: Run,
    stage: str,
    *,
    earlier: StageRecord | None = None,
    problem: Exception | None = None,
) -> None:
    """Raises unless the stage's record says that it is finished.

    Args:
        run: the run.
        stage: the stage.
        earlier: a record from before this attempt, which says nothing about it.
        problem: the error that Papermill raised.
    """
    record = run.record(stage)
    if record == earlier:
        record = None
    if record is not None and record.status == "finished":
        return
    if record is not None and record.status == "failed" and record.error is not None:
        raise named(record.error["type"])(record.error["message"])
    if (error := named_error(problem)) is not None:
        raise error  # it refused before it could record anything, such as in a folder that is full
    reason = f" ({type(problem).__name__})" if problem is not None else ""
    raise RunbookError(
        f"The stage {stage} left no finished record{reason}, so it counts as not done; call the "
        "same command again, which checks the actual state and continues."
    )


def named_error(problem: Exception | None) -> RunbookError | None:
    """The error of ours that Papermill reports as `problem`; None where it is another."""
    name, text = getattr(problem, "ename", ""), getattr(problem, "evalue", "")
    return None if named(name) is RunbookError else named(name)(text)
