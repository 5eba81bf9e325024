"""What was measured, as medians and ratios, as a table for people, and in a file for machines."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.targets import LARGEST, TEN_TIMES, WITH, WITHOUT, grown
from tests.benchmarks.work import STAGES

Sample = Mapping[str, float]
Figures = dict[str, dict[str, float]]


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
    _whole(figures, WITHOUT, STAGES)
    if "rehearse" in figures:
        # After a rehearsal the snapshot may have less to do.
        later = [s if s != "snapshot" else "rehearse: snapshot" for s in STAGES]
        _whole(figures, WITH, ("rehearse", *later))
    peaks = [figures.get(name, {}).get("peak_mb") for name in (*STAGES, "rehearse")]
    if known := [peak for peak in peaks if peak is not None]:
        figures[LARGEST] = {"peak_mb": max(known)}
    base = figures.get("baseline")
    for figure in figures.values() if base else ():
        assert base is not None
        if "wall" in figure:
            figure["ratio"] = round(figure["wall"] / max(base["wall"], 0.001), 3)
        if "cpu" in figure:
            figure["cpu_ratio"] = round(figure["cpu"] / max(base["cpu"], 0.001), 3)
    return figures


def _whole(figures: Figures, name: str, parts: Sequence[str]) -> None:
    if all(part in figures for part in parts):
        figures[name] = {
            key: round(sum(figures[part][key] for part in parts), 3) for key in ("wall", "cpu")
        }


def table(figures: Figures) -> str:
    """The figures, one line each, numbers aligned."""
    columns = {
        "wall": "seconds",
        "cpu": "cpu s",
        "ratio": "ratio",
        "cpu_ratio": "cpu ratio",
        "peak_mb": "peak MB",
        "more_mb": "more MB",
        "disk_mb": "disk MB",
    }
    width = max(map(len, figures))
    lines = [" " * width + "".join(f"{title:>11}" for title in columns.values())]
    for name, figure in figures.items():
        cells = [f"{figure[key]:>11.2f}" if key in figure else " " * 11 for key in columns]
        lines.append(f"{name:<{width}}{''.join(cells)}".rstrip())
    return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text, columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def conditions() -> dict[str, Any]:
    """What it is measured on, and how busy that was in the last minutes."""
    return {
        "on": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[2], 1),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The measurements that are kept, by size and kind of keys; none where there is no file."""
    return json.loads(path.read_text())["measurements"] if path.is_file() else {}


def keep(path: Path, name: str, measurement: dict[str, Any]) -> dict[str, Any]:
    """Keeps a measurement beside those of other sizes, and puts it beside one of a tenth.

    Figures of earlier calls, of work that was not asked for now, are forgotten.
    """
    kept = read(path)
    for other in kept.values():
        if other["keys"] == measurement["keys"] and other["users"] * 10 == measurement["users"]:
            measurement["figures"][TEN_TIMES] = grown(other, measurement)
    kept[name] = measurement
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"measurements": kept}, indent=1) + "\n")
    return measurement
