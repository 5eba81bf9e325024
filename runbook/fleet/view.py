"""What the fleet's report shows, whatever the form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runbook.fleet.records import State
from runbook.fleet.store import About, Member


@dataclass(frozen=True)
class Kind:
    """A kind of hazard or finding, how many databases have it, and the first of their names."""

    title: str
    code: str
    databases: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class FleetView:
    """The whole fleet at one moment.

    `sums` are over all databases (rows, bytes, seconds, the middle and the longest durations);
    `durations` are bands of seconds with the number of databases in each; `altered` are the
    databases whose record is not as it was when their run ended.
    """

    about: About
    verdict: str
    counts: Mapping[State, int]
    sums: Mapping[str, Any]
    members: tuple[Member, ...]
    failures: tuple[Member, ...]
    slowest: tuple[Member, ...]
    largest: tuple[Member, ...]
    hazards: tuple[Kind, ...]
    findings: tuple[Kind, ...]
    durations: tuple[tuple[float, float, int], ...]
    altered: tuple[str, ...]
    root: str
