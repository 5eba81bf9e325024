"""One measurement, in a process of its own, so that its peak of memory is its own.

The process is forked from one that has done all imports, which takes no time of the measurement's.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.benchmarks.work"])


class Failed(Exception):
    """A piece of work that did not come to its end, and so has no figures."""


def measure(name: str, folder: Path) -> dict[str, Any]:
    """The figures of one piece of work, with those of its `parts`; or why it was `skipped`.

    Raises:
        Failed: it did not come to its end.
    """
    here, there = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_work, args=(name, folder, there))
    process.start()
    there.close()
    try:
        figures: dict[str, Any] = here.recv()
    except EOFError:
        figures = {}
    process.join()
    if process.exitcode or not figures:
        raise Failed(f"it failed with exit code {process.exitcode}")
    return figures


def _work(name: str, folder: Path, to: Connection) -> None:
    from tests.benchmarks.peers import Skipped
    from tests.benchmarks.work import WORK

    try:
        usage, parts = WORK[name](folder)
    except Skipped as reason:
        to.send({"skipped": str(reason)})
    else:
        to.send({**asdict(usage), "parts": parts})
