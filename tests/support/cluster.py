"""A scheduler of Dask and its workers, each a process of its own on the loopback."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.support.faults.harness import environment


class Cluster:
    """A scheduler, and workers that are started again when they were killed, as a service is."""

    def __init__(self, folder: Path, tls: tuple[str, ...], protocol: str, workers: int) -> None:
        self._tls = tls
        self._wanted = workers
        self._workers: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        where = ["--protocol", protocol, "--port", "0", "--scheduler-file", str(file)]
        self.scheduler = self._start("scheduler", *where)
        until = time.monotonic() + 60
        while not file.exists():
            assert self.scheduler.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        self.address: str = json.loads(file.read_text())["address"]
        self.workers()

    def workers(self) -> list[psutil.Process]:
        """The workers, each of them alive."""
        self._workers = [each for each in self._workers if each.poll() is None]
        while len(self._workers) < self._wanted:
            options = ["--no-nanny", "--nthreads", "1"]
            self._workers.append(self._start("worker", self.address, *options))
        return [psutil.Process(each.pid) for each in self._workers]

    def close(self) -> None:
        """Ends every process."""
        for process in (*self._workers, self.scheduler):
            process.terminate()
        for process in (*self._workers, self.scheduler):
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, part: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *options, *self._tls]
        return subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--no-dashboard"],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextlib.contextmanager
def cluster(folder: Path, *tls: str, protocol: str = "tcp", workers: int = 2) -> Iterator[Cluster]:
    """A running cluster; `tls` are Dask's own options for it."""
    running = Cluster(folder, tls, protocol, workers)
    try:
        yield running
    finally:
        running.close()
