"""The form of a hazard's definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbook.plan.plan import Level

Group = Literal["data", "schema", "database", "activity", "d1"]


@dataclass(frozen=True)
class Definition:
    """One kind of hazard: the strictest `level` that it can have, what it means, what to do.

    `remedy` is general; a hazard that is found carries the exact one.
    """

    code: str
    level: Level
    title: str
    meaning: str
    remedy: str
    group: Group


def definitions(group: Group, *rows: tuple[str, Level, str, str, str]) -> tuple[Definition, ...]:
    """Definitions of one group from (code, level, title, meaning, remedy)."""
    return tuple(Definition(*row, group=group) for row in rows)
