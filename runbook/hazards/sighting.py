"""What a probe yields, and how it becomes a hazard of the record."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from runbook.errors import PlanError
from runbook.hazards.catalogue import CATALOGUE
from runbook.plan.plan import LEVELS, Level, Plan
from runbook.run.findings import Hazard, Sample, words_sample


@dataclass(frozen=True)
class Sighting:
    """One hazard as a probe reports it: `count` in rows or objects.

    `samples` are rows, or names of what is no data. `level` is set where it is milder than the
    definition's; `detail` is put before its meaning.
    """

    code: str
    subject: str
    count: int = 1
    samples: tuple[Sample | str, ...] = ()
    remedy: str = ""
    level: Level | None = None
    detail: str = ""


def as_hazards(sightings: Iterable[Sighting], plan: Plan) -> tuple[Hazard, ...]:
    """The hazards with the plan's levels, blocking ones first, then in the catalogue's order."""
    codes = list(CATALOGUE)
    hazards = [_hazard(sighting, plan) for sighting in sightings]
    return worst_first(sorted(hazards, key=lambda h: codes.index(h.code)))


def worst_first(hazards: Iterable[Hazard]) -> tuple[Hazard, ...]:
    """The hazards by level, and otherwise in the order in which they come."""
    return tuple(sorted(hazards, key=lambda h: LEVELS.index(h.level)))


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


def _hazard(sighting: Sighting, plan: Plan) -> Hazard:
    definition = CATALOGUE[sighting.code]
    return Hazard(
        code=sighting.code,
        level=plan.hazards.get(sighting.code) or sighting.level or definition.level,
        title=definition.title,
        subject=sighting.subject,
        count=sighting.count,
        samples=tuple(words_sample(s) if isinstance(s, str) else s for s in sighting.samples),
        meaning=f"{sighting.detail} {definition.meaning}".strip(),
        remedy=sighting.remedy or definition.remedy,
    )
