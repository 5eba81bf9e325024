"""Findings and hazards in bounded room: a database full of faults must not fill the disk.

What is left out is counted, so that nobody takes the part for the whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from runbook.run.findings import Finding, Hazard
from runbook.wording import clip, map_text

MOST = 1_000
"""Findings, or hazards, that are told one by one."""

SAMPLES = 2_000_000
"""Characters of all their samples together."""

CHARACTERS = 1_000
"""Characters of one text."""

T = TypeVar("T", Finding, Hazard)


@dataclass(frozen=True)
class Bounded(Generic[T]):
    """The first of them, how many samples each has lost, and how many more there are."""

    items: tuple[tuple[T, int], ...]
    left_out: int


def bounded(found: Sequence[T]) -> Bounded[T]:
    """As many as there is room for, in their order, each text cut where it is too long."""
    room = SAMPLES
    items: list[tuple[T, int]] = []
    for whole in found[:MOST]:
        item = map_text(whole, lambda text: clip(text, CHARACTERS), names=False)
        kept = 0
        for sample in item.samples:
            room -= len(str(sample))
            if room < 0:
                break
            kept += 1
        left_out = len(item.samples) - kept
        items.append((dataclasses.replace(item, samples=item.samples[:kept]), left_out))
    return Bounded(tuple(items), len(found) - len(items))
