"""A scheduler of Dask and two workers, each a process of its own on the loopback."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.faults.harness import environment


@dataclass(frozen=True)
class Cluster:
    """Where the scheduler listens, and the process that keeps two workers alive."""

    address: str
    keeper: subprocess.Popen[bytes]

    def workers(self) -> list[psutil.Process]:
        """The workers as they are now; one that was killed is replaced by its keeper."""
        try:
            every = psutil.Process(self.keeper.pid).children(recursive=True)
            return [p for p in every if "spawn_main" in " ".join(p.cmdline())]
        except psutil.Error:
            return []


@contextlib.contextmanager
def cluster(folder: Path, *tls: str, protocol: str = "tcp") -> Iterator[Cluster]:
    """A running cluster; `tls` are Dask's own options for it."""
    file = folder / "scheduler.json"
    with contextlib.ExitStack() as processes:

        def start(part: str, *options: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *options, *tls]
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--no-dashboard"],
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            processes.callback(_end, process)
            return process

        where = ["--protocol", protocol, "--port", "0", "--scheduler-file", str(file)]
        scheduler = start("scheduler", *where)
        until = time.monotonic() + 60
        while not file.exists():
            assert scheduler.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        yield Cluster(address, start("worker", address, "--nthreads", "1", "--nworkers", "2"))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
