"""Every hazard that preflight knows: its code, level, meaning and what to do about it.

The texts stand in `catalogue.toml`, which is read once; `docs/hazards.md` is generated from it.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from dataclasses import dataclass
from typing import Literal

import cattrs

from runbook.plan.plan import Level

Group = Literal["data", "schema", "database", "activity", "d1"]
Followed = Literal["statement", "plan", "decision", "outside", "nothing"]


@dataclass(frozen=True)
class Definition:
    """One kind of hazard: the strictest `level` that it can have, what it means, what to do.

    `remedy` is general; a hazard of a certain database carries the exact one. `followed` is how a
    test carries it out, and `why` the reason where that is neither a statement nor the plan.
    """

    code: str
    group: Group
    level: Level
    title: str
    meaning: str
    remedy: str
    followed: Followed
    why: str = ""


def read_catalogue(text: str) -> dict[str, Definition]:
    """Code to definition from TOML, in its order.

    Raises:
        TOMLDecodeError: the text is not TOML.
        ExceptionGroup: a field is missing or unknown, or a level or group is unknown.
    """
    converter = cattrs.Converter(forbid_extra_keys=True)
    return {
        code: converter.structure({**fields, "code": code}, Definition)
        for code, fields in tomllib.loads(text).items()
    }


CATALOGUE = read_catalogue(
    (importlib.resources.files(__package__) / "catalogue.toml").read_text(encoding="utf-8")
)
"""Code to definition, in the order in which hazards are shown."""
