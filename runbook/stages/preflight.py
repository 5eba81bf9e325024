"""Stage 01: every hazard that can be known beforehand, and what the migration will change."""

from __future__ import annotations

from runbook.audit.footprint import declare
from runbook.errors import Blocked
from runbook.records import PreflightRecord
from runbook.run import Run, Stage
from runbook.shape import look
from runbook.targets import Progress, no_progress, open_target


def preflight(
    run: Run, *, progress: Progress = no_progress, again: bool = False
) -> PreflightRecord:
    """Looks at the database without touching it.

    Raises:
        Blocked: at least one hazard of level `block`; the error's `record` holds them all.
    """
    return run.perform(
        "preflight", PreflightRecord, lambda stage: _preflight(stage, progress), again=again
    )


def _preflight(stage: Stage, progress: Progress) -> PreflightRecord:
    run = stage.run
    plan = run.info.plan
    target = open_target(run.info.database, run.info.options)
    progress("Hazards", 0, 2)
    hazards, advice = target.inspect(plan, run.folder)
    record = PreflightRecord(hazards, (), advice)
    if not record.blocked:
        progress("Prediction", 1, 2)
        with target.reading() as connection:
            # Nothing blocks, so a column of two formats is one that the plan decides about.
            shape = look(connection, plan, uniform=True)
            footprint = declare(connection, plan, shape, organizations=int(advice["organizations"]))
            record = PreflightRecord(hazards, footprint, advice)
    progress("Done", 2, 2)
    blocking = [h for h in record.hazards if h.level == "block"]
    if blocking:
        first = blocking[0]
        more = f" and {len(blocking) - 1} more" if len(blocking) > 1 else ""
        error = Blocked(
            f"Preflight blocks the run: {first.title} ({first.subject}: {first.count:,}){more}; "
            f"{first.remedy}"
        )
        error.record = record
        raise error
    return record
