"""What a probe yields, and how it becomes a hazard of the record."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from runbook.errors import PlanError
from runbook.hazards.catalogue import CATALOGUE
from runbook.plan.plan import Level, Plan
from runbook.run.findings import Hazard

_ORDER: tuple[Level, ...] = ("block", "warn", "note")


@dataclass(frozen=True)
class Found:
    """One hazard seen by a probe: `count` in rows or objects, `samples` readable.

    `level` is set where it is milder than the definition's; `detail` is put before its meaning.
    """

    code: str
    subject: str
    count: int = 1
    samples: tuple[str, ...] = ()
    remedy: str = ""
    level: Level | None = None
    detail: str = ""


def as_hazards(found: Iterable[Found], plan: Plan) -> tuple[Hazard, ...]:
    """The hazards with the plan's levels, blocking ones first, then in the catalogue's order."""
    codes = list(CATALOGUE)
    hazards = [_hazard(one, plan) for one in found]
    return worst_first(sorted(hazards, key=lambda h: codes.index(h.code)))


def worst_first(hazards: Iterable[Hazard]) -> tuple[Hazard, ...]:
    """The hazards by level, and otherwise in the order in which they come."""
    return tuple(sorted(hazards, key=lambda h: _ORDER.index(h.level)))


def check_levels(plan: Plan) -> None:
    """Raises PlanError where `[hazards]` names an unknown hazard or makes a blocking one milder."""
    for code, level in plan.hazards.items():
        definition = CATALOGUE.get(code)
        if definition is None:
            near = difflib.get_close_matches(code, list(CATALOGUE), n=1, cutoff=0.4)
            hint = f'did you mean "{near[0]}"?' if near else "docs/hazards.md lists all."
            raise PlanError(f'[hazards] has an unknown hazard "{code}"; {hint}')
        if definition.level == "block" and level != "block":
            raise PlanError(
                f'[hazards] {code} = "{level}" is not possible, because a blocking hazard cannot '
                "be made milder; take that line out and remove the cause instead."
            )


def _hazard(found: Found, plan: Plan) -> Hazard:
    definition = CATALOGUE[found.code]
    return Hazard(
        code=found.code,
        level=plan.hazards.get(found.code) or found.level or definition.level,
        title=definition.title,
        subject=found.subject,
        count=found.count,
        samples=found.samples,
        meaning=f"{found.detail} {definition.meaning}".strip(),
        remedy=found.remedy or definition.remedy,
    )
