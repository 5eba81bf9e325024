"""Whether a stage has succeeded, which its record alone decides."""

from __future__ import annotations

from runbook.errors import RunbookError, named
from runbook.run.folder import Run
from runbook.run.stage import StageRecord
from runbook.wording import clip, visible


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
    raise RunbookError(
        f"The stage {stage} left no finished record{_cause(problem)}, so it counts as not done; "
        "call the same command again, which checks the actual state and continues."
    )


def _cause(problem: Exception | None) -> str:
    """What ended the notebook, in brackets: the error of its cell, or that of its kernel."""
    if problem is None:
        return ""
    name = getattr(problem, "ename", "") or type(problem).__name__
    text = visible(" ".join(str(getattr(problem, "evalue", "") or problem).split()))
    return f" ({name}: {clip(text, 300)})" if text else f" ({name})"


def named_error(problem: Exception | None) -> RunbookError | None:
    """The error of ours that Papermill reports as `problem`; None where it is another."""
    name, text = getattr(problem, "ename", ""), getattr(problem, "evalue", "")
    return None if named(name) is RunbookError else named(name)(text)
