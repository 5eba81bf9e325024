"""SIGKILLs of workers and of the coordinator, again and again: nothing in between, nothing twice."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from runbook.fleet.seal import check_fleet
from tests.support.cluster import cluster
from tests.support.databases import connected
from tests.support.faults.harness import FULL, SEED, environment
from tests.support.fleets import ledger, make_tenants, states

KILLS = 100 if FULL else 4
SIZES = {"own": 200, "separate": 1_000} if FULL else {"own": 6, "separate": 6}
"""Databases, by where the workers are: the coordinator's own, or those of a cluster beside it."""


def call(folder: Path, *where: str) -> subprocess.Popen[bytes]:
    """`runbook fleet run`, the same command each time."""
    options = ["--fleet-dir", "f", "--canary", "0", "--max-failures", "100%", *where]
    command = [sys.executable, "-m", "runbook", "fleet", "run", "--yes"]
    with (folder / "errors").open("wb") as errors:
        return subprocess.Popen(
            [*command, "--databases", "tenants/*.db", *options],
            cwd=folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
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


@contextlib.contextmanager
def fleet_of(
    folder: Path, where: str
) -> Iterator[tuple[list[str], Callable[[subprocess.Popen[bytes]], list[psutil.Process]]]]:
    """The options that say where the workers are, and which they are now."""
    if where == "own":
        yield ["--workers", "2"], workers_of
    else:
        with cluster(folder) as beside:
            yield ["--scheduler", beside.address], lambda _: beside.workers()


@pytest.mark.long
@pytest.mark.parametrize("where", SIZES)
def test_killed_anywhere_every_database_ends_wholly_after(tmp_path: Path, where: str) -> None:
    luck = random.Random(SEED)
    databases = SIZES[where]
    paths = make_tenants(tmp_path / "tenants", databases)
    killed = {"worker": 0, "coordinator": 0}
    with fleet_of(tmp_path, where) as (options, workers_now):
        process = call(tmp_path, *options)
        try:
            while sum(killed.values()) < KILLS:
                time.sleep(luck.uniform(0.5, 6))
                if process.poll() is not None:
                    break  # there is nothing left to be hurt
                workers = workers_now(process)
                if workers and killed["worker"] <= killed["coordinator"]:
                    luck.choice(workers).send_signal(signal.SIGKILL)
                    killed["worker"] += 1
                    continue
                process.kill()
                process.wait()
                killed["coordinator"] += 1
                assert where != "own" or gone(workers), "a worker outlived its coordinator"
                process = call(tmp_path, *options)
            workers_now(process)
            process.wait()
            while set(states(tmp_path / "f")) != {"after"}:  # given up after three losses
                workers_now(process)  # none is missing
                process = call(tmp_path, *options)
                assert process.wait() in (0, 1), (tmp_path / "errors").read_text()
                assert set(states(tmp_path / "f")) <= {"after", "before", "failed", "running"}
        finally:
            process.kill()
            process.wait()
    print(f"seed {SEED}: {killed}")
    assert sum(killed.values()) > 0
    assert [len(ledger(path)) for path in paths] == [1] * databases
    for path in paths:
        with connected(path) as connection:
            query = "SELECT count(*) FROM projects WHERE organization_id IS NULL"
            assert connection.execute(query).fetchone() == (0,)
            assert connection.execute("SELECT count(*) FROM organizations").fetchone() == (2,)
    report = json.loads((tmp_path / "f" / "fleet.json").read_text())
    assert report["counts"] == {"after": databases}
    assert check_fleet(tmp_path / "f").ok
