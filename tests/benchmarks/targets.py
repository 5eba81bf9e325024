"""What is aimed at, at 1,000,000 users and 5,000,000 projects with random keys on two cores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Figures = Mapping[str, Mapping[str, float]]
Unit = Literal["ratio", "MB", "times", "s"]

WITHOUT = "whole run without rehearsal"
WITH = "whole run with rehearsal"
LARGEST = "memory of the largest process"
TEN_TIMES = "ten times the rows"


@dataclass(frozen=True)
class Target:
    """One figure, and at most how much of it there should be.

    A `ratio` is to the specification's script in the same call.
    """

    what: str
    figure: str
    most: float
    unit: Unit = "ratio"


TARGETS = (
    Target("our steps", "migrate: steps", 0.28),
    Target("the gate", "migrate: gate", 0.10),
    Target("write lock held", "migrate: lock held", 0.38),
    Target("preflight", "preflight", 0.06),
    Target("snapshot", "snapshot", 0.20),
    Target("verify", "verify", 0.36),
    Target(WITHOUT, WITHOUT, 1.0),
    Target("rehearsal", "rehearse", 0.8),
    Target(WITH, WITH, 1.8),
    Target("rollback", "rollback", 0.5),
    Target(LARGEST, LARGEST, 1024, "MB"),
    Target(TEN_TIMES, TEN_TIMES, 11, "times"),
    Target("whole run on 200 users", "small run", 6, "s"),
)

_FIELDS: Mapping[Unit, tuple[str, str]] = {
    "ratio": ("ratio", "cpu_ratio"),
    "MB": ("peak_mb", ""),
    "times": ("wall_times", "cpu_times"),
    "s": ("wall", "cpu"),
}


@dataclass(frozen=True)
class Line:
    """A target with what was measured, by the clock and of the processor; None where nothing was."""

    target: Target
    clock: float | None
    processor: float | None

    @property
    def missed(self) -> bool:
        """Whether more was taken than is aimed at, by the clock."""
        return self.clock is not None and self.clock > self.target.most


def lines(figures: Figures) -> Iterator[Line]:
    """Every target, beside what was measured."""
    for target in TARGETS:
        measured = figures.get(target.figure, {})
        clock, processor = (measured.get(field) for field in _FIELDS[target.unit])
        yield Line(target, clock, processor)


def shown(value: float | None, unit: Unit) -> str:
    """A figure for people."""
    if value is None:
        return ""
    return (
        f"{value:.2f}"
        if unit == "ratio"
        else f"{value:,.0f} MB"
        if unit == "MB"
        else (f"{value:.1f}" if unit == "times" else f"{value:.1f} s")
    )


def table(figures: Figures) -> list[tuple[str, str, str, str, str]]:
    """What, by the clock, of the processor, aimed at, and whether it was missed; with its head."""
    rows = [("what", "by the clock", "of the processor", "aimed at most", "")]
    for line in lines(figures):
        unit = line.target.unit
        rows.append(
            (
                line.target.what,
                shown(line.clock, unit),
                shown(line.processor, unit),
                shown(line.target.most, unit),
                "missed" if line.missed else "" if line.clock is None else "met",
            )
        )
    return rows


def grown(small: Mapping[str, Any], large: Mapping[str, Any]) -> dict[str, float]:
    """How many times the seconds of a whole run the larger measurement took."""
    few, many = (each["figures"].get(WITHOUT, {}) for each in (small, large))
    return {
        f"{field}_times": round(many[field] / few[field], 2)
        for field in ("wall", "cpu")
        if few.get(field) and many.get(field)
    }
