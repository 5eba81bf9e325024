"""The plan with its secrets: the run folder keeps it without them, so its file is read again."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from runbook.errors import PlanError
from runbook.plan.plan import Command, Health, Maintenance, Plan, Window
from runbook.plan.read import read_plan
from runbook.plan.resolve import same_plan as same_names
from runbook.plan.secrets import MASK
from runbook.run.folder import Run


def open_secret_plan(run: Run) -> Plan:
    """The run's plan as commands need it; its file is read only where the run hides secrets.

    Raises:
        PlanError: the file is gone, or is not the plan that the run was begun with.
    """
    plan, file = run.info.plan, run.info.plan_file
    if not _hides(plan.window):
        return plan
    remedy = (
        "put it back as it was, or write the secrets as environment variables and begin a new run "
        "folder"
    )
    if not file or not Path(file).is_file():
        raise PlanError(
            f"The plan's commands hold secrets, which the run folder does not keep, and the plan "
            f"{file or 'was not a file'}{' is gone' if file else ''}; {remedy}."
        )
    full = read_plan(Path(file))
    if not is_plan_of(run, full):
        raise PlanError(
            f"The plan {file} is not the one that {run.folder} was begun with (its commands hold "
            f"secrets, so it is read again); {remedy}."
        )
    return dataclasses.replace(plan, window=full.window)


def is_plan_of(run: Run, full: Plan) -> bool:
    """Whether `full`, as a file has it, is the plan that the run was begun with."""
    kept, spelled = run.info.plan, run.info.adopter
    as_written = dataclasses.replace(
        kept, unowned=dataclasses.replace(kept.unowned, adopter=spelled or kept.unowned.adopter)
    )
    return same_plan(kept, full) or same_plan(as_written, full)


def same_plan(kept: Plan, full: Plan) -> bool:
    """Whether `kept` is `full` with its secrets hidden; a secret may have another value now."""
    if not same_names(*(dataclasses.replace(plan, window=Window()) for plan in (kept, full))):
        return False
    return all(
        _same_part(getattr(kept.window, f.name), getattr(full.window, f.name))
        for f in dataclasses.fields(Window)
    )


def _same_part(kept: object, full: object) -> bool:
    if isinstance(kept, Command) and isinstance(full, Command):
        pairs = [*zip(kept.command, full.command, strict=False), (kept.shell, full.shell)]
        return (
            len(kept.command) == len(full.command)
            and kept.timeout == full.timeout
            and all(_same_text(*pair) for pair in pairs)
        )
    if isinstance(kept, Maintenance | Health) and isinstance(full, type(kept)):
        return _same_text(kept.url, full.url) and kept == dataclasses.replace(full, url=kept.url)
    return kept == full


def _same_text(kept: str, full: str) -> bool:
    pattern = "[^\0]+".join(map(re.escape, kept.split(MASK)))
    return kept == full or re.fullmatch(pattern, full) is not None


def _hides(window: Window) -> bool:
    texts: list[str] = []
    for field in dataclasses.fields(window):
        part = getattr(window, field.name)
        if isinstance(part, Command):
            texts += (*part.command, part.shell)
        elif isinstance(part, Maintenance | Health):
            texts.append(part.url)
    return any(MASK in text for text in texts)
