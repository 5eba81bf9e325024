"""One process at a time in a run folder. The system lets go of a lock whatever happens to us."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runbook.errors import NotAllowedNow, RunFolderError

ORPHAN_SECONDS = 30.0
"""How long to wait for the notebook of a call that was killed: its kernel ends within seconds."""

_ASK_EVERY = 0.05


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def held(
    folder: Path, name: str, *, wait: float = 0.0, say: Callable[[str], object] = _tell
) -> Iterator[None]:
    """Holds the lock `name` of a folder.

    Args:
        folder: an existing folder.
        name: which lock; `run` belongs to a call of the command, `stage` to a stage at work.
        wait: seconds to wait for another process.
        say: told once that there is a wait.

    Raises:
        NotAllowedNow: another process still holds it after `wait` seconds.
        RunFolderError: the folder cannot be written.
    """
    try:
        handle = os.open(folder / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RunFolderError(
            f"The run folder {folder} cannot be written ({error.strerror}); make it writable, or "
            "start a new one with --run-dir."
        ) from error
    try:
        _acquire(handle, folder, wait, say)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, folder: Path, wait: float, say: Callable[[str], object]) -> None:
    until, told = time.monotonic() + wait, False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                after = f" after {wait:g} s of waiting" if wait else ""
                raise NotAllowedNow(
                    f"Another process is working in {folder}{after}; wait until it has ended, or "
                    "end it, and try again."
                ) from None
            if not told:
                say(f"Another process is still working in {folder}; waiting up to {wait:g} s.")
                told = True
            time.sleep(_ASK_EVERY)
        else:
            return
