"""Runs the benchmarks and prints the targets; the figures are kept in build/benchmarks.json."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from runbook.sample.make import make_sample
from tests.benchmarks.figures import Sample, aligned, conditions, keep, summed, table
from tests.benchmarks.measure import Failed, measure
from tests.benchmarks.questions import slow
from tests.benchmarks.random_keys import make_random_sample
from tests.benchmarks.targets import lines
from tests.benchmarks.targets import table as targets
from tests.benchmarks.work import NEEDS, WORK
from tests.support.paths import ROOT

BUILD = ROOT / "build"
PROJECTS_OF_A_USER = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what is asked for; the exit code is 1 if `--strict` and a target was missed."""
    options = _options(arguments)
    missed = False
    for users in options.users:
        projects = users * PROJECTS_OF_A_USER if options.projects is None else options.projects
        name = f"{users}x{projects}-{options.keys}"
        folder = options.build / "benchmarks" / name
        _make_sample(folder / "sample.db", users, projects, options.keys)
        chosen = _with_needs(options.names or WORK)
        samples, skipped, failed = _measured(folder, chosen, options.repeat)
        measurement = {
            "users": users,
            "projects": projects,
            "keys": options.keys,
            "repeat": options.repeat,
            "bytes": (folder / "sample.db").stat().st_size,
            **conditions(),
            "skipped": skipped,
            "figures": summed(samples),
            "samples": samples,
        }
        measurement = keep(options.build / "benchmarks.json", name, measurement)
        _print(measurement, options.build / "benchmarks.json")
        late = list(slow(measurement["figures"]))
        for line in late:
            print(f"missed: {line}")
        missed |= bool(late) or any(line.missed for line in lines(measurement["figures"]))
        if failed:
            return 1
    return 1 if options.strict and missed else 0


def _make_sample(path: Path, users: int, projects: int, keys: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return
    print(f"Making the sample of {users:,} users and {projects:,} projects, {keys} keys …")
    if keys == "random":
        make_random_sample(path, users, projects)
    else:
        make_sample(path, users=users, projects=projects)


def _measured(
    folder: Path, chosen: Sequence[str], repeat: int
) -> tuple[dict[str, list[Sample]], dict[str, str], bool]:
    """All figures of all turns, why something was left out, and whether something failed.

    What was measured before a failure is kept: it may have taken an hour.
    """
    samples: dict[str, list[Sample]] = {}
    skipped: dict[str, str] = {}
    for turn in range(repeat):
        for name in chosen:
            print(f"  {turn + 1}/{repeat} {name}", file=sys.stderr, flush=True)
            try:
                measured = measure(name, folder)
            except Failed as failure:
                skipped[name] = str(failure)
                return samples, skipped, True
            if "skipped" in measured:
                skipped[name] = measured["skipped"]
                continue
            parts = measured.pop("parts")
            samples.setdefault(name, []).append(measured)
            for part, figures in parts.items():
                samples.setdefault(f"{name}: {part}", []).append(figures)
    return samples, skipped, False


def _print(measurement: dict[str, Any], kept: Path) -> None:
    m = measurement
    print(f"\n{m['users']:,} users, {m['projects']:,} projects, {m['keys']} keys; ", end="")
    print(f"medians of {m['repeat']}; {m['cores']} processors, of which {m['load']} were wanted\n")
    print(table(m["figures"]))
    for name, reason in m["skipped"].items():
        print(f"{name} was left out: {reason}")
    print("\nRatios to the specification's script in the same call:\n")
    print(aligned(targets(m["figures"])))
    print(f"\n{kept}")


def _with_needs(names: Iterable[str]) -> list[str]:
    """The names with what they need, in the order in which all of them are done."""
    wanted = set(names)
    while more := {NEEDS[name] for name in wanted if name in NEEDS} - wanted:
        wanted |= more
    return [name for name in WORK if name in wanted]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(WORK)}")
    parser.add_argument("--users", type=_sizes, default=[1_000_000], help="one number or several")
    parser.add_argument(
        "--projects", type=int, help="for each size; five for each user if left out"
    )
    parser.add_argument("--keys", choices=["random", "sequential"], default="random")
    parser.add_argument("--repeat", type=int, default=3, help="times; the median is shown")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--build", type=Path, default=BUILD, help="where samples and figures go")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in WORK:
            parser.error(f"no benchmark is called {name!r}; there are {', '.join(WORK)}")
    return options


def _sizes(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
