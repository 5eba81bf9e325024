"""Stage 01: every hazard that can be known beforehand, and what the migration will change."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

from runbook.errors import Blocked, RunFolderError, TargetError
from runbook.hazards.d1 import probe_d1
from runbook.hazards.inspect import Advice, inspect_database
from runbook.hazards.inspect_file import inspect_file
from runbook.hazards.remedy import for_d1
from runbook.hazards.sighting import as_hazards, worst_first
from runbook.plan.plan import Plan
from runbook.plan.resolve import resolve
from runbook.plan.shape import read_shape
from runbook.progress import Progress, no_progress
from runbook.run.findings import Hazard
from runbook.run.folder import Run
from runbook.run.records import PreflightRecord
from runbook.script.footprint import declare
from runbook.sqlite.connect import open_immutable
from runbook.targets.open_target import target_of
from runbook.targets.protocol import Target
from runbook.wording import and_more


def preflight(
    run: Run, *, progress: Progress = no_progress, again: bool = False
) -> PreflightRecord:
    """Looks at the database without touching it.

    Raises:
        Blocked: at least one hazard of level `block`; the error's `record` holds them all.
        RunFolderError: this run was made already, and its records are gone.
    """
    return run.perform(
        "preflight", PreflightRecord, lambda _: _preflight(run, progress), again=again
    )


def _preflight(run: Run, progress: Progress) -> PreflightRecord:
    target = target_of(run)
    progress("Hazards")
    hazards, advice = _inspect(run, target, progress)
    plan = run.info.plan
    record = PreflightRecord(hazards, (), advice)
    if not record.blocked:
        progress("Prediction")
        with target.reading() as connection:
            # Nothing blocks, so a column of two formats is one that the plan decides about.
            shape = read_shape(connection, plan, uniform=True)
            footprint = declare(connection, plan, shape, organizations=int(advice["organizations"]))
            record = PreflightRecord(hazards, footprint, advice)
    blocking = [h for h in record.hazards if h.level == "block"]
    if blocking:
        first = blocking[0]
        if any(h.code == "already_migrated" for h in blocking) and _is_of(run, target):
            raise RunFolderError(
                f"This very run was applied to the database, and its records are gone from "
                f"{run.folder / 'stages'}; put them back from an archive or a copy of the folder."
            )
        raise Blocked(
            f"Preflight blocks the run: {first.title} ({first.subject}: {first.count:,})"
            f"{and_more(len(blocking) - 1)}; {_in_a_line(first.remedy)}",
            record=record,
        )
    return record


def _in_a_line(remedy: str) -> str:
    """The remedy inside a sentence; statements on lines of their own stand with the hazard."""
    return "its remedy stands beside it, and in the report." if "\n" in remedy else remedy


def _is_of(run: Run, target: Target) -> bool:
    """Whether the ledger says that this run has made its migration already."""
    row = target.ledger(run.info.plan.migration.name)
    return row is not None and row.run == run.info.run


def _inspect(run: Run, target: Target, progress: Progress) -> tuple[tuple[Hazard, ...], Advice]:
    """Every hazard of the database as a whole and of its data and schema, and the advice.

    The run's plan has its names as the schema spells them from then on.
    """
    if target.file is not None:
        with contextlib.suppress(TargetError), target.reading() as connection:
            _settle(run, resolve(run.info.plan, connection))
        path = Path(run.info.named or target.file)
        return inspect_file(path, run.info.plan, run.folder, progress=progress)
    with (
        target.committed() as file,
        contextlib.closing(open_immutable(file)) as replica,
    ):
        _settle(run, resolve(run.info.plan, replica))
        plan = run.info.plan
        hazards, advice = inspect_database(replica, plan, progress=progress)
        blocked = any(hazard.level == "block" for hazard in hazards)
        conditions = target.conditions(plan, None if blocked else replica)
        if conditions is None:
            return hazards, advice
        hazards = tuple(dataclasses.replace(h, remedy=for_d1(h.remedy)) for h in hazards)
        own = as_hazards(probe_d1(conditions, replica, plan), plan)
    return worst_first((*hazards, *own)), advice


def _settle(run: Run, plan: Plan) -> None:
    """Keeps the plan with its names as the schema spells them, before anything builds on it."""
    before = run.info.plan.unowned.adopter
    adopter = run.info.adopter or (before if before != plan.unowned.adopter else "")
    run.settle(plan=plan, adopter=adopter)
