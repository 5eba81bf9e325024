"""Hazards in what others do: who holds the lock, who writes, who has the file open."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from runbook.hazards.sighting import Sighting
from runbook.sqlite.connect import file_uri, side_file
from runbook.wording import duration

SECONDS_BETWEEN_READINGS = 0.2

SECONDS_OF_A_WRITE = 2.0
"""A lock that is held no longer than this is an ordinary write of a live application, which the
migration would wait for."""

_PROCESSES = Path("/proc")


def probe_lock(path: Path) -> Iterator[Sighting]:
    """Whether a write transaction could begin now, or when a short write of another has ended.

    One is begun and given up again. Nothing is written by that, but the last writer to close a
    database in WAL mode copies the log into the file: the caller keeps a reading connection open
    meanwhile, so that this one is not the last. With a hot journal this must not be called,
    because a writer would roll it back.
    """
    try:
        writer = sqlite3.connect(
            file_uri(path, mode="rw"),
            uri=True,
            isolation_level=None,
            timeout=SECONDS_OF_A_WRITE,
        )
    except sqlite3.Error:
        return  # it cannot be opened for writing, which is a hazard of its own
    try:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            yield lock_held(path)
    finally:
        writer.close()


def lock_held(path: Path) -> Sighting:
    """The hazard, with the processes that have the file open as its samples."""
    holders = tuple(text for _, text in _openers(path))
    return Sighting("write_lock_held", path.name, samples=holders)


class Watch:
    """Two readings of the number that SQLite changes with every commit of another connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._first = self._read()
        self._at = time.monotonic()

    def probe(self, path: Path) -> Iterator[Sighting]:
        """The second reading, at least `SECONDS_BETWEEN_READINGS` after the first."""
        time.sleep(max(0.0, self._at + SECONDS_BETWEEN_READINGS - time.monotonic()))
        seconds = time.monotonic() - self._at
        if self._read() != self._first:
            yield Sighting(
                "being_written",
                path.name,
                samples=tuple(text for _, text in _openers(path)),
                detail=f"A commit was observed within {duration(seconds)}.",
            )

    def _read(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])


def probe_openers(path: Path, samples: int = 10) -> Iterator[Sighting]:
    """Other processes that have the file or a side file open, as far as Linux lets us see."""
    openers = list(_openers(path))
    if openers:
        stop = " ".join(str(pid) for pid, _ in openers)
        yield Sighting(
            "open_elsewhere",
            path.name,
            len(openers),
            tuple(text for _, text in openers[:samples]),
            f"Stop the application (processes {stop}), or accept that it keeps running.",
        )


def _openers(path: Path) -> Iterator[tuple[int, str]]:
    """Process number and description of each other process with the file open; best effort."""
    names = {str(side_file(path, suffix)) for suffix in ("", "-wal", "-shm", "-journal")}
    try:
        numbers = sorted(int(p.name) for p in _PROCESSES.iterdir() if p.name.isdigit())
    except OSError:
        return
    for number in numbers:
        if number == os.getpid():
            continue
        try:
            handles = list((_PROCESSES / str(number) / "fd").iterdir())
        except OSError:
            continue  # another user's process, or one that has ended
        if any(_leads_to(handle) in names for handle in handles):
            yield number, f"process {number} ({_command(number)})"


def _leads_to(handle: Path) -> str:
    try:
        return str(handle.readlink())
    except OSError:
        return ""


def _command(number: int) -> str:
    try:
        return (_PROCESSES / str(number) / "comm").read_text(errors="replace").strip()
    except OSError:
        return "ended"
