"""The process that kernels are forked from, which has imported everything they need.

A kernel that starts from nothing spends more than a second on imports; seven of them would take
longer than the stages of a small database. The standard library's fork server imports once, and
each kernel is then a fork of it: a process of its own that shares no variable with another.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from multiprocessing import get_context, parent_process
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from threading import Thread
from types import ModuleType

from runbook.headless.account import provided

IMPORTED = ("ipykernel.kernelapp", "runbook.notebook")
"""What every notebook's kernel needs."""

FORKS = get_context("forkserver")

_SAFE_PATH = "PYTHONSAFEPATH"


def warm_up() -> None:
    """Begins to import what kernels need, and does not wait for it.

    A fork server that was killed is started anew. It ends with the process that started it
    and the last kernel.
    """
    FORKS.set_forkserver_preload(list(IMPORTED))
    with _safe_path():
        ensure_running()


@contextlib.contextmanager
def warmed_up() -> Iterator[None]:
    """Kernels import what they need while the caller imports what a driver needs."""
    with provided():
        warm_up()
        yield


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """A fork server that starts within imports nothing from the current folder.

    It is started with `python -c`, which would take a folder `runbook` there for the package.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        _restore(before)


def _restore(before: str | None) -> None:
    os.environ.pop(_SAFE_PATH, None)
    if before is not None:
        os.environ[_SAFE_PATH] = before


def fork_kernel(connection_file: str, log: Path) -> ForkServerProcess:
    """A kernel that listens as the connection file says; what it prints goes to the file `log`."""
    safe = os.environ.get(_SAFE_PATH)
    process = FORKS.Process(target=_serve, args=(connection_file, log, safe), daemon=True)
    main = sys.modules["__main__"]
    # multiprocessing would import the caller's script into the kernel, which has no use for it.
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        with _safe_path():  # a fork server that was killed is started anew
            process.start()
    finally:
        sys.modules["__main__"] = main
    return process


def _serve(connection_file: str, log: Path, safe: str | None) -> None:
    """What a fork does: it is a kernel until it is asked to end, or its driver or server ends."""
    _restore(safe)  # what the kernel starts finds the operator's own environment
    os.setsid()  # an interrupt at the terminal is for the driver, which passes it on
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    Thread(target=_end_with_driver, daemon=True).start()
    from ipykernel.kernelapp import IPKernelApp

    from runbook.notebook import way

    way.driven = True

    IPKernelApp.launch_instance(
        argv=[
            *("-f", connection_file, f"--IPKernelApp.parent_handle={os.getppid()}"),
            "--IPKernelApp.ignore_cwd=True",  # it imports what the driver imports
        ]
    )


def _end_with_driver() -> None:
    """Nothing would read what a kernel does after its driver has gone.

    What it leaves is as after a kill, which the next call copes with.
    """
    driver = parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)
