"""What was measured, as medians and ratios, and as a table for people."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.benchmarks.work import STAGES

Sample = Mapping[str, float]
Figures = dict[str, dict[str, float]]

TARGETS: Mapping[str, tuple[str, float]] = {
    "preflight": ("ratio", 0.2),
    "migrate: gate": ("ratio", 0.25),
    "duckdb": ("wall", 5.0),
    "audited run": ("ratio", 1.0),
}
"""What is aimed at, at 1,000,000 users and 5,000,000 projects."""
GATE_MORE_MB = 64


def summed(samples: Mapping[str, Sequence[Sample]]) -> Figures:
    """The median of each figure, and its ratio to the baseline's median.

    A ratio compares time by the clock with time by the clock (`ratio`) and processor time with
    processor time (`cpu_ratio`), which other load on the machine disturbs less.
    """
    figures: Figures = {}
    for name, taken in samples.items():
        fields = sorted({key for sample in taken for key in sample})
        figures[name] = {
            key: round(statistics.median(s[key] for s in taken if key in s), 3) for key in fields
        }
    if all(stage in samples for stage in STAGES):
        figures["audited run"] = {
            key: round(sum(figures[stage][key] for stage in STAGES), 3) for key in ("wall", "cpu")
        }
        figures["audited run"]["peak_mb"] = max(figures[s]["peak_mb"] for s in STAGES)
    base = figures.get("baseline")
    for figure in figures.values() if base else ():
        assert base is not None
        figure["ratio"] = round(figure["wall"] / max(base["wall"], 0.001), 3)
        if "cpu" in figure:
            figure["cpu_ratio"] = round(figure["cpu"] / max(base["cpu"], 0.001), 3)
    return figures


def table(figures: Figures) -> str:
    """The figures, one line each, numbers aligned."""
    columns = {
        "wall": "seconds",
        "cpu": "cpu s",
        "ratio": "ratio",
        "cpu_ratio": "cpu ratio",
        "peak_mb": "peak MB",
        "more_mb": "more MB",
    }
    width = max(map(len, figures))
    lines = [" " * width + "".join(f"{title:>11}" for title in columns.values())]
    for name, figure in figures.items():
        cells = [f"{figure[key]:>11.2f}" if key in figure else " " * 11 for key in columns]
        lines.append(f"{name:<{width}}{''.join(cells)}".rstrip())
    return "\n".join(lines)


def missed(figures: Figures) -> Iterator[str]:
    """The targets that were not met, in words."""
    for name, (field, limit) in TARGETS.items():
        value = figures.get(name, {}).get(field)
        if value is not None and value > limit:
            yield f"{name}: {field} {value:.2f}, aimed at {limit:g}"
    more = figures.get("migrate: gate", {}).get("more_mb", 0)
    if more > GATE_MORE_MB:
        yield f"migrate: gate took {more:.0f} MB more, aimed at {GATE_MORE_MB}"


def write(
    path: Path,
    users: int,
    projects: int,
    figures: Figures,
    samples: Mapping[str, Sequence[Sample]],
) -> None:
    """The figures for machines, with what they were measured on."""
    about = {
        "users": users,
        "projects": projects,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "figures": figures,
        "samples": samples,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about, indent=2) + "\n")
