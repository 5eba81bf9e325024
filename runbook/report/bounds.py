"""Findings and hazards in bounded room: a database full of faults must not fill the disk.

What is left out is counted, so that nobody takes the part for the whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from runbook.run.findings import Finding, Hazard, Sample
from runbook.wording import clip, map_text

MOST = 1_000
"""Findings, or hazards, that are shown one by one."""

SAMPLES = 2_000_000
"""Characters of all their samples together."""

CHARACTERS = 1_000
"""Characters of one text."""

T = TypeVar("T", Finding, Hazard)
S = TypeVar("S")
V = TypeVar("V")


@dataclass(frozen=True)
class Shown(Generic[T, S]):
    """A finding or hazard without its samples, its samples as text, and how many it has lost."""

    item: T
    samples: tuple[S, ...]
    left_out: int


@dataclass(frozen=True)
class Bounded(Generic[T, S]):
    """The first of them, and how many more there are."""

    items: tuple[Shown[T, S], ...]
    left_out: int


def bounded(items: Sequence[T], render: Callable[[Sample], S]) -> Bounded[T, S]:
    """As many as there is room for, in their order, each text cut where it is too long."""

    def cut(value: V) -> V:
        return map_text(value, lambda text: clip(text, CHARACTERS), names=False)

    room = SAMPLES
    shown: list[Shown[T, S]] = []
    for item in items[:MOST]:
        samples: list[S] = []
        for sample in item.samples:
            rendered = cut(render(sample))
            room -= len(str(rendered))
            if room < 0:
                break
            samples.append(rendered)
        left_out = len(item.samples) - len(samples)
        bare = cut(dataclasses.replace(item, samples=()))
        shown.append(Shown(bare, tuple(samples), left_out))
    return Bounded(tuple(shown), len(items) - len(shown))
