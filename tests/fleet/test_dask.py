"""Dask as it really is: processes, ports, kills; and what a machine without it says."""

from __future__ import annotations

import ast
import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from distributed.comm import CommClosedError

from runbook.errors import BadInput
from runbook.fleet.cluster import DaskPool, Place, open_cluster
from runbook.fleet.pool import Pool, PoolLost
from runbook.terminal import Echo
from tests.support.cluster import cluster as cluster_apart
from tests.support.databases import execute
from tests.support.faults.harness import environment
from tests.support.fleets import (
    BLOCKED,
    ledger,
    make_tenants,
    members,
    migrate_fleet,
    states,
)
from tests.support.paths import ROOT

pytestmark = pytest.mark.xdist_group("fleet")


def listening(processes: list[psutil.Process]) -> set[str]:
    """The addresses that these processes listen on."""
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def offspring() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def workers() -> list[psutil.Process]:
    """The workers' processes, without Python's own tracker of resources and what has ended."""
    found = []
    for process in offspring():
        with contextlib.suppress(psutil.Error):
            if "spawn_main" in " ".join(process.cmdline()):
                found.append(process)
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Pool]:
    """Two workers on this machine, shared by the tests of this module."""
    known = {p.pid for p in offspring()}
    with open_cluster(Place(workers=2), lambda line: None) as pool:
        yield pool
    left = [p for p in workers() if p.pid not in known and p.is_running()]
    assert left == [], "workers were left behind"


def shared(pool: Pool):  # type: ignore[no-untyped-def]
    @contextlib.contextmanager
    def open_shared(echo: Echo) -> Iterator[Pool]:
        yield pool

    return open_shared


def test_every_port_is_for_this_machine_alone(cluster: Pool) -> None:
    own = listening([psutil.Process(), *workers()])
    assert own == {"127.0.0.1"}


def test_a_worker_that_is_killed_loses_nothing(cluster: Pool, tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 4)
    killed: list[int] = []

    def kill_one() -> None:
        while not list((tmp_path / "fleet").glob("runs/*/stages/03_snapshot.json")):
            time.sleep(0.02)
        victim = workers()[0]
        victim.kill()
        killed.append(victim.pid)

    killer = threading.Thread(target=kill_one)
    killer.start()
    migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", shared(cluster), canaries=0)
    killer.join()
    assert killed
    assert states(tmp_path / "fleet") == ["after"] * 4
    assert [len(ledger(path)) for path in paths] == [1] * 4
    assert {m.worker for m in members(tmp_path / "fleet")} - {""}


def test_workers_are_unmoved_by_ctrl_c(cluster: Pool) -> None:
    before = {p.pid for p in workers()}
    for process in workers():
        process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert {p.pid for p in workers()} == before


def test_no_scheduler_is_bad_input() -> None:
    place = Place(scheduler="not an address")
    with pytest.raises(BadInput, match="cannot be reached"), open_cluster(place, print):
        pass


def test_a_scheduler_without_workers_and_one_that_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbook.fleet.cluster.WORKER_SECONDS", 0.5)
    with cluster_apart(tmp_path, workers=0) as apart:
        place = Place(scheduler=apart.address)
        with pytest.raises(BadInput, match="no worker that can do"), open_cluster(place, print):
            pass
        monkeypatch.setattr(DaskPool, "await_workers", lambda self, place: None)
        with open_cluster(place, print) as pool:
            apart.scheduler.kill()
            with pytest.raises(PoolLost, match="The scheduler is gone"):
                ask_until_it_is_gone(pool)


def ask_until_it_is_gone(pool: Pool) -> None:
    for _ in range(100):
        pool.arrivals(0.1)


def test_a_worker_without_the_runbook_or_with_another_gets_nothing() -> None:
    class Client:
        status = "running"

        def nthreads(self) -> dict[str, int]:
            return {"tcp://a": 1, "tcp://b": 1, "tcp://c": 1}

        def run(self, function: object, workers: list[str], on_error: str) -> dict[str, object]:
            from runbook import __version__

            python = ".".join(map(str, sys.version_info[:2]))
            return {
                "tcp://a": (__version__, python),
                "tcp://b": ("0.0.1", python),
                "tcp://c": ModuleNotFoundError("No module named 'runbook'"),
            }

    lines: list[str] = []
    pool = DaskPool(Client(), local=False, echo=lines.append)
    pool.await_workers(Place(scheduler="tcp://s"))
    assert pool.room() == 3
    assert ["0.0.1" in lines[0], "does not have this runbook" in lines[1]] == [True, True]


@pytest.mark.parametrize("how", ["answered for", "raised"])
def test_a_worker_that_dies_while_it_is_asked_is_asked_again(how: str) -> None:
    """It is not one without the runbook, which would get nothing for ever and end the call."""
    calls: list[list[str]] = []

    class Client:
        status = "running"

        def nthreads(self) -> dict[str, int]:
            return {"tcp://a": 1}

        def run(self, function: Callable[[], object], workers: list[str], on_error: str) -> object:
            calls.append(workers)
            if len(calls) > 1:
                return {"tcp://a": function()}
            if how == "raised":
                raise CommClosedError
            return {"tcp://a": CommClosedError()}

    lines: list[str] = []
    pool = DaskPool(Client(), local=False, echo=lines.append)
    pool.await_workers(Place(scheduler="tcp://s"))
    assert calls == [["tcp://a"]] * 2
    assert (pool.room(), lines) == (3, [])


# -- the command --------------------------------------------------------------------------------


def test_the_command_with_notebooks_for_the_canary_and_for_the_failed(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 3)
    execute(paths[2], BLOCKED)
    command = [sys.executable, "-m", "runbook", "fleet", "run", "--databases", "tenants/*.db"]
    options = ["--fleet-dir", "f", "--max-failures", "34%", "--yes", "--workers", "1"]
    ended = subprocess.run(
        [*command, *options], capture_output=True, text=True, cwd=tmp_path, env=environment()
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "1 database of 3 failed" in ended.stderr
    assert states(tmp_path / "f") == ["after", "after", "before"]
    executed = {
        m.number: sorted(p.stem for p in (tmp_path / "f" / m.run / "notebooks").glob("*.ipynb"))
        for m in members(tmp_path / "f")
    }
    every = ["01_preflight", "02_rehearse", "03_snapshot", "04_migrate", "05_verify", "06_report"]
    assert executed == {1: every, 2: [], 3: ["01_preflight", "06_report"]}
    checked = subprocess.run(
        [sys.executable, "-m", "runbook", "check", "f"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.split("root ")[1].strip() in ended.stdout


# -- without the extra ------------------------------------------------------------------------

WITHOUT = """
import sys
sys.modules["distributed"] = sys.modules["dask"] = None
from runbook.cli import main
main({arguments!r})
"""


@pytest.mark.parametrize(
    "arguments",
    [["fleet", "run", "--databases", "x/*.db"], ["fleet", "rollback", "--fleet-dir", "x"]],
    ids=["run", "rollback"],
)
def test_without_the_extra_one_sentence_says_how_to_get_it(arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(arguments=arguments)],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert ended.returncode == 2
    assert ended.stderr.strip().count("\n") == 0
    assert "pip install 'runbook[fleet]'" in ended.stderr


def test_nothing_else_imports_dask() -> None:
    importing = set()
    for path in (ROOT / "runbook").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if any(name.split(".")[0] in ("dask", "distributed") for name in names):
                importing.add(str(path.relative_to(ROOT)))
    assert importing == {"runbook/fleet/cluster.py"}
