"""By what a fleet knows its plan again, and which plans a fleet does not take."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from pathlib import Path

from runbook.errors import BadInput
from runbook.plan.plan import Plan
from runbook.plan.read import read_plan
from runbook.plan.secrets import without_secrets
from runbook.run.json_form import to_json


def digest_of_plan(plan: str) -> str:
    """SHA-256 of what the plan says, however it is written; `plan` is a path, "" for the default.

    Raises:
        PlanError: it cannot be read.
    """
    stamp = Path(plan).stat().st_mtime_ns if plan and Path(plan).exists() else 0
    return _digest(plan, stamp)


@functools.lru_cache(maxsize=8)
def _digest(plan: str, stamp: int) -> str:
    settings = to_json(without_secrets(read_plan(Path(plan) if plan else None)))
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def check_plan(plan: Plan) -> None:
    """Raises BadInput for a plan with a maintenance window, or with approvals by other people.

    The window belongs to one application, and would be gone through for each database; an approval
    is bound to the rehearsal of one database, and nobody agrees a thousand times.
    """
    if plan.approval.required:
        raise BadInput(
            "The plan's [approval] asks for people to agree to each database of the fleet; take it "
            "out of the plan, and have the fleet approved as you approve its canaries."
        )
    names = [
        field.name
        for field in dataclasses.fields(plan.window)
        if field.name not in ("quiet_seconds", "secrets")
        and getattr(plan.window, field.name) is not None
    ]
    if names:
        raise BadInput(
            f"The plan's [window.{names[0]}] would be used for each database of the fleet; take it "
            "out of the plan, shut the application yourself before the fleet, and open it after."
        )
