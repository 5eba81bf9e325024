"""Does the way back take no longer than the way there?

    python -m tests.benchmarks.bench_rollback [--rows 5000000] [--repeat 3] [--folder DIR]

Migrates a sample and rolls it back, several times, each in a process of its own; prints the median
seconds of both, of the clock and of the processor (which other load does not lengthen), the ratios,
and the largest memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.migration.rollback import roll_back
from runbook.plan.plan import Plan
from runbook.sample.make import make_sample
from runbook.targets.sqlite import SqliteTarget

USERS_PER_ROW = 5


def one(what: str, folder: Path) -> dict[str, float]:
    """One migration or rollback: seconds in all, with the lock, in the proof; MB of memory."""
    target, backup = SqliteTarget(folder / "work.db"), folder / "backup.db"
    began = time.perf_counter()
    if what == "migrate":
        migrated = migrate(Job(target, Plan(), "bench", backup))
        locked, proof, steps = migrated.locked_seconds, migrated.gate_seconds, migrated.steps
    else:
        back = roll_back(Job(target, Plan(), "bench", backup), folder / "exports")
        locked, proof, steps = back.locked_seconds, back.proof_seconds, back.steps
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    memory, cpu = used.ru_maxrss / 1024, used.ru_utime + used.ru_stime
    taken = {step.name: step.seconds for step in steps}
    numbers = {"seconds": seconds, "cpu": cpu, "locked": locked, "proof": proof, "memory": memory}
    return {**numbers, **taken}


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=5_000_000)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--folder", type=Path)
    options.add_argument("--one", choices=["migrate", "rollback"], help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        print(json.dumps(one(given.one, given.folder)))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        began = time.perf_counter()
        make_sample(folder / "app.db", users=given.rows // USERS_PER_ROW, projects=given.rows)
        SqliteTarget(folder / "app.db").backup(folder / "backup.db")
        size = (folder / "app.db").stat().st_size / 1e6
        print(f"{given.rows:,} rows, {size:,.0f} MB, made in {time.perf_counter() - began:.0f} s")
        taken: dict[str, list[dict[str, float]]] = {"migrate": [], "rollback": []}
        for _ in range(given.repeat):
            shutil.copy(folder / "app.db", folder / "work.db")
            for what, results in taken.items():
                command = [sys.executable, "-m", __spec__.name, "--one", what, "--folder", name]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                results.append(json.loads(done.stdout))
                print(what, ", ".join(f"{k} {v:.1f}" for k, v in results[-1].items()), flush=True)
        for measure in ("seconds", "cpu"):
            there, back = (
                statistics.median(r[measure] for r in taken[what])
                for what in ("migrate", "rollback")
            )
            print(
                f"{measure:8} migrate {there:7.1f}  rollback {back:7.1f}  ratio {back / there:.2f}"
            )
        memory = max(r["memory"] for results in taken.values() for r in results)
        print(f"memory   {memory:.0f} MB")
        print("A ratio of at most 1 is the promise.")


if __name__ == "__main__":
    main()
