"""SIGKILLs of workers and of the coordinator, again and again: nothing in between, nothing twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runbook.fleet.seal import check_fleet
from tests.support.databases import connected
from tests.support.faults.harness import FULL, SEED, environment
from tests.support.fleets import ledger, make_tenants, states

DATABASES, KILLS = (200, 100) if FULL else (6, 4)


def call(folder: Path) -> subprocess.Popen[bytes]:
    """`runbook fleet run`, the same command each time."""
    options = ["--fleet-dir", "f", "--canary", "0", "--workers", "2", "--max-failures", "100%"]
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "runbook", "fleet", "run", "--yes"),
            *("--databases", "tenants/*.db", *options),
        ],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        every = psutil.Process(process.pid).children(recursive=True)
        return [p for p in every if "spawn_main" in " ".join(p.cmdline())]
    except psutil.Error:
        return []


def gone(processes: list[psutil.Process]) -> bool:
    """Whether they end by themselves, now that their coordinator has gone."""
    _, alive = psutil.wait_procs(processes, timeout=30)
    for process in alive:
        process.kill()
    return not alive


@pytest.mark.long
def test_killed_anywhere_every_database_ends_wholly_after(tmp_path: Path) -> None:
    luck = random.Random(SEED)
    paths = make_tenants(tmp_path / "tenants", DATABASES)
    process = call(tmp_path)
    killed = {"worker": 0, "coordinator": 0}
    try:
        while sum(killed.values()) < KILLS:
            time.sleep(luck.uniform(0.5, 6))
            if process.poll() is not None:
                break  # there is nothing left to be hurt
            workers = workers_of(process)
            if workers and killed["worker"] <= killed["coordinator"]:
                luck.choice(workers).send_signal(signal.SIGKILL)
                killed["worker"] += 1
                continue
            process.kill()
            process.wait()
            killed["coordinator"] += 1
            assert gone(workers), "a worker outlived its coordinator"
            process = call(tmp_path)
        process.wait()
        while set(states(tmp_path / "f")) != {"after"}:  # given up after three losses: once more
            process = call(tmp_path)
            assert process.wait() in (0, 1)
            assert set(states(tmp_path / "f")) <= {"after", "before", "failed", "running"}
    finally:
        process.kill()
        process.wait()
    print(f"seed {SEED}: {killed}")
    assert sum(killed.values()) > 0
    assert [len(ledger(path)) for path in paths] == [1] * DATABASES
    for path in paths:
        with connected(path) as connection:
            query = "SELECT count(*) FROM projects WHERE organization_id IS NULL"
            assert connection.execute(query).fetchone() == (0,)
            assert connection.execute("SELECT count(*) FROM organizations").fetchone() == (2,)
    report = json.loads((tmp_path / "f" / "fleet.json").read_text())
    assert report["counts"] == {"after": DATABASES}
    assert check_fleet(tmp_path / "f").ok
