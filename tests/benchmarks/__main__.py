"""Runs the benchmarks and prints a table; the figures are kept in build/benchmarks.json."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from runbook.sample.make import make_sample
from tests.benchmarks.figures import Sample, missed, summed, table, write
from tests.benchmarks.questions import slow
from tests.benchmarks.work import NEEDS, WORK

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures what is asked for; the exit code is 1 if `--strict` and a target was missed."""
    options = _options(arguments)
    folder = options.build / "benchmarks" / f"{options.users}x{options.projects}"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "sample.db").exists():
        print(f"Making the sample of {options.users:,} users and {options.projects:,} projects …")
        make_sample(folder / "sample.db", users=options.users, projects=options.projects)
    chosen = _with_needs(options.names or WORK)
    samples: dict[str, list[Sample]] = {}
    for turn in range(options.repeat):
        for name in chosen:
            print(f"  {turn + 1}/{options.repeat} {name}", file=sys.stderr, flush=True)
            found = measure(name, folder)
            parts = found.pop("parts")
            samples.setdefault(name, []).append(found)
            for part, figures in parts.items():
                samples.setdefault(f"{name}: {part}", []).append(figures)
    figures = summed(samples)
    write(options.build / "benchmarks.json", options.users, options.projects, figures, samples)
    cores, load = os.cpu_count(), os.getloadavg()[1]
    print(f"\n{options.users:,} users, {options.projects:,} projects; medians of {options.repeat};")
    print(f"{cores} processors, on average {load:.1f} of them wanted in the last five minutes\n")
    print(table(figures))
    print(f"\n{options.build / 'benchmarks.json'}")
    late = [*missed(figures), *slow(figures)]
    for line in late:
        print(f"missed: {line}")
    return 1 if options.strict and late else 0


def measure(name: str, folder: Path) -> dict[str, object]:
    """One measurement in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.child", name, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"The benchmark {name} failed with exit code {done.returncode}.")
    return json.loads(done.stdout.splitlines()[-1])


def _with_needs(names: Iterable[str]) -> list[str]:
    """The names with what they need, in the order in which all of them are done."""
    wanted = set(names)
    while more := {NEEDS[name] for name in wanted if name in NEEDS} - wanted:
        wanted |= more
    return [name for name in WORK if name in wanted]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(WORK)}")
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--projects", type=int, default=5_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="times; the median is shown")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--build", type=Path, default=BUILD, help="where samples and figures go")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in WORK:
            parser.error(f"no benchmark is called {name!r}; there are {', '.join(WORK)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
