"""One process at a time in a run folder. The system releases a lock whatever happens to us."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from runbook.errors import NotAllowedNow, RunFolderError

ORPHAN_SECONDS = 30.0
"""How long to wait for the notebook of a call that was killed: its kernel ends within seconds."""

_POLL_SECONDS = 0.05


def _echo(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def hold_lock(
    folder: Path, name: str, *, wait: float = 0.0, echo: Callable[[str], object] = _echo
) -> Iterator[None]:
    """Holds the lock `name` of a folder; it is not reentrant, and its file stays.

    Args:
        folder: an existing folder.
        name: which lock; `run` belongs to a call of the command, `stage` to a stage at work.
        wait: seconds to wait for another process.
        echo: is called once where there is a wait, with a line that says so.

    Raises:
        NotAllowedNow: another process still holds it after `wait` seconds.
        RunFolderError: the folder cannot be written.
    """
    # A soft lock (where the file system has none) would outlive a kill.
    lock = FileLock(folder / f".{name}.lock", timeout=0, mode=0o600, fallback_to_soft=False)
    try:
        folder.stat()  # filelock would create a folder that has vanished
        _acquire(lock, folder, wait, echo)
    except Timeout:
        after = f" after {wait:g} s of waiting" if wait else ""
        raise NotAllowedNow(
            f"Another process is working in {folder}{after}; wait until it has ended, or "
            "end it, and try again."
        ) from None
    except OSError as error:
        raise RunFolderError(
            f"The run folder {folder} cannot be written ({error.strerror}); make it writable, or "
            "start a new one with --run-dir."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, folder: Path, wait: float, echo: Callable[[str], object]) -> None:
    try:
        lock.acquire()
    except Timeout:
        if not wait:
            raise
        echo(f"Another process is still working in {folder}; waiting up to {wait:g} s.")
        lock.acquire(timeout=wait, poll_interval=_POLL_SECONDS)
