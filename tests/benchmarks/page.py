"""Writes the measured part of docs/performance.md, and its picture, from build/benchmarks.json.

    python -m tests.benchmarks.page [--figures FILE] [--page FILE]

What stands outside the two markers is written by hand and stays.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.__main__ import BUILD
from tests.benchmarks.figures import read
from tests.benchmarks.peers import PEERS
from tests.benchmarks.targets import WITH, WITHOUT, table
from tests.support.paths import ROOT

BEGIN = "<!-- measured: written by python -m tests.benchmarks.page -->"
END = "<!-- end of what was measured -->"
PAGE = ROOT / "docs" / "performance.md"
PICTURE = Path("images") / "performance.svg"

DRAWN = {
    "baseline": "the specification's script",
    "snapshot": "snapshot",
    "migrate": "migrate",
    "verify": "verify",
    WITHOUT: WITHOUT,
    WITH: WITH,
}
"""What the picture shows, with its name in it."""

Measurement = Mapping[str, Any]


def largest(measurements: Mapping[str, Measurement]) -> Measurement:
    """The measurement of most rows; of two, the one with random keys."""
    return max(measurements.values(), key=lambda m: (m["projects"], m["keys"] == "random"))


def written(measurements: Mapping[str, Measurement]) -> str:
    """The measured part, between its markers."""
    best = largest(measurements)
    parts = [BEGIN, "", *_about(best), "", *_markdown(table(best["figures"])), ""]
    parts += ["Every stage, witness and part; the other tools on the same pair of databases:", ""]
    parts += [*_markdown(_each(best["figures"])), ""]
    parts += [f"{name} was left out: {why}." for name, why in best["skipped"].items()]
    parts += ["", f"![Processor seconds against rows]({PICTURE.as_posix()})", ""]
    parts += [*_markdown(_sizes(measurements)), "", END]
    return "\n".join(parts)


def replaced(page: str, measured: str) -> str:
    """The page with another measured part; raises ValueError if it lacks the markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no part between {BEGIN} and {END}")
    return before + measured + after


def draw(measurements: Mapping[str, Measurement], to: Path) -> None:
    """Processor seconds against rows, both on logarithmic scales, of the sizes with random keys."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    drawn = sorted(_random(measurements), key=lambda m: m["projects"])
    with mpl.rc_context({"svg.hashsalt": "runbook", "svg.fonttype": "none"}):
        figure, axes = plt.subplots(figsize=(7, 4.2))
        for name, label in DRAWN.items():
            points = [
                (m["users"] + m["projects"], m["figures"][name]["cpu"])
                for m in drawn
                if name in m["figures"]
            ]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", label=label)
        axes.set(
            xscale="log", yscale="log", xlabel="users and projects", ylabel="processor seconds"
        )
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
        figure.tight_layout()
        to.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(to, metadata={"Date": None})
        plt.close(figure)


def _random(measurements: Mapping[str, Measurement]) -> list[Measurement]:
    return [m for m in measurements.values() if m["keys"] == "random"]


def _about(m: Measurement) -> Iterator[str]:
    times = "once" if m["repeat"] == 1 else f"{m['repeat']} times, medians"
    yield (
        f"{m['users']:,} users and {m['projects']:,} projects ({m['bytes'] / 1e9:.2f} GB), "
        f"{m['keys']} keys; measured on {m['on']}, {times}, Python {m['python']}, "
        f"SQLite {m['sqlite']}, on {m['cores']} cores of which {m['load']} were wanted on average. "
        "Ratios are to the specification's script in the same call."
    )


def _each(figures: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    columns = {
        "wall": "seconds",
        "cpu": "processor seconds",
        "peak_mb": "peak MB",
        "disk_mb": "MB on disk",
    }
    rows = [["what", *columns.values()]]
    for name, figure in figures.items():
        if figure.keys() & columns.keys():
            shown = (f"{figure[c]:,.1f}" if c in figure else "" for c in columns)
            rows.append([f"{name} (another tool)" if name in PEERS else name, *shown])
    return rows


def _sizes(measurements: Mapping[str, Measurement]) -> list[list[str]]:
    """Processor seconds of what is drawn, a line for each size."""
    rows = [["users", "projects", "keys", *DRAWN.values()]]
    for m in sorted(measurements.values(), key=lambda m: (m["projects"], m["keys"])):
        cells = (m["figures"].get(name, {}).get("cpu") for name in DRAWN)
        shown = (f"{cell:,.1f}" if cell is not None else "" for cell in cells)
        rows.append([f"{m['users']:,}", f"{m['projects']:,}", m["keys"], *shown])
    return rows


def _markdown(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    head, *body = rows
    yield f"| {' | '.join(head)} |"
    yield f"| --- {'| ---: ' * (len(head) - 1)}|"
    yield from (f"| {' | '.join(row)} |" for row in body)


def main() -> None:
    """Writes the page and its picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, default=BUILD / "benchmarks.json")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    measurements = read(options.figures)
    options.page.write_text(replaced(options.page.read_text(), written(measurements)))
    draw(measurements, options.page.parent / PICTURE)


if __name__ == "__main__":
    main()
