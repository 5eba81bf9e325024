"""Hazards in what others do: who holds the lock, who writes, who has the file open."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from runbook.hazards.sighting import Found
from runbook.sqlite.connect import file_uri, side_file

SECONDS_BETWEEN_LOOKS = 0.2

_PROCESSES = Path("/proc")


def probe_lock(path: Path) -> Iterator[Found]:
    """Whether a write transaction could begin now.

    One is begun and given up again. Nothing is written by that, but the last writer to close a
    database in WAL mode copies the log into the file: the caller keeps a reading connection open
    meanwhile, so that this one is not the last. With a hot journal this must not be called,
    because a writer would roll it back.
    """
    try:
        writer = sqlite3.connect(
            file_uri(path, mode="rw"), uri=True, isolation_level=None, timeout=0
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


def lock_held(path: Path) -> Found:
    """The hazard, with the processes that have the file open as its samples."""
    holders = tuple(text for _, text in _openers(path))
    return Found("write_lock_held", path.name, samples=holders)


class Watch:
    """Two looks at the number that SQLite changes with every commit of another connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._first = self._look()
        self._at = time.monotonic()

    def probe(self, path: Path) -> Iterator[Found]:
        """The second look, at least `SECONDS_BETWEEN_LOOKS` after the first."""
        time.sleep(max(0.0, self._at + SECONDS_BETWEEN_LOOKS - time.monotonic()))
        seconds = time.monotonic() - self._at
        if self._look() != self._first:
            yield Found(
                "being_written",
                path.name,
                samples=tuple(text for _, text in _openers(path)),
                detail=f"A commit was seen within {seconds:.1f} s.",
            )

    def _look(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])


def probe_openers(path: Path, samples: int = 10) -> Iterator[Found]:
    """Other processes that have the file or a side file open, as far as Linux lets us see."""
    found = list(_openers(path))
    if found:
        stop = " ".join(str(pid) for pid, _ in found)
        yield Found(
            "open_elsewhere",
            path.name,
            len(found),
            tuple(text for _, text in found[:samples]),
            f"Stop the application (processes {stop}), or accept that it goes on.",
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
            continue  # somebody else's process, or one that has ended
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
