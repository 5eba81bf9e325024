"""New lines in log files, across restarts of the reader and rotation of the files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runbook.files import read_json, write_json
from runbook.plan.secrets import Secrets, of_environment
from runbook.run.folder import Run
from runbook.run.json_form import from_json, to_json
from runbook.run.window_records import LogPosition
from runbook.wording import visible

MOST_BYTES = 64 * 1024 * 1024
"""Bytes that are read of one file at a time; the rest is read the next time."""

LONGEST_LINE = 1024 * 1024
"""Bytes after which a line that does not end is taken as one."""

SAMPLES = 3
_HEAD = 256
_SHOWN = 300


@dataclass(frozen=True)
class NewLines:
    """How many new lines matched, the first of them, and how far each file is read now."""

    matching: int
    samples: tuple[str, ...]
    positions: tuple[LogPosition, ...]


def read_new_lines(
    paths: Iterable[str],
    pattern: str,
    known: Sequence[LogPosition],
    secrets: Secrets | None = None,
) -> NewLines:
    """The lines that were written since `known`; a file that is not known is read from its end.

    A line without its newline is left for the next time. A file that was renamed is read to its
    end before the one that took its name; one that was emptied is read from the start. Hidden in
    the lines are `secrets`, or the values of the environment.
    """
    wanted = re.compile(pattern)
    secrets = of_environment(os.environ) if secrets is None else secrets
    matching = 0
    samples: list[str] = []
    positions = []
    before = {position.path: position for position in known}
    for path in paths:
        position = before.get(path)
        if position is None:
            positions.append(_at_end(path))
            continue
        reading = _Reading(path, position)
        for line in reading.lines():
            if wanted.search(line):
                matching += 1
                if len(samples) < SAMPLES:
                    line = visible(secrets.hide(line[: _SHOWN + secrets.longest]))
                    samples.append(f"{Path(path).name}: {line[:_SHOWN]}")
        positions.append(reading.position)
    return NewLines(matching, tuple(samples), tuple(positions))


def remember_logs(run: Run) -> None:
    """Notes how long the log files are now, so that monitoring begins there."""
    paths = run.info.plan.monitor.logs
    if not paths:
        return
    path = run.folder / "window" / "logs.json"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_json(path, {"logs": [to_json(_at_end(p)) for p in paths]})


def remembered_logs(run: Run) -> tuple[LogPosition, ...]:
    """What `remember_logs` noted; () where it was never called."""
    path = run.folder / "window" / "logs.json"
    if not path.exists():
        return ()
    return tuple(from_json(LogPosition, each) for each in read_json(path)["logs"])


@dataclass
class _Reading:
    """Reads one log from where it was left; `position` is where it is left now."""

    path: str
    position: LogPosition

    def lines(self) -> Iterator[str]:
        known = self.position
        try:
            with Path(self.path).open("rb") as file:
                status = os.fstat(file.fileno())
                same = status.st_ino == known.inode and status.st_size >= known.offset
                if same and _head(file, known.head_bytes) == known.head:
                    yield from self._rest(file, status.st_ino, known.offset)
                    return
                yield from self._renamed(known)
                yield from self._rest(file, status.st_ino, 0)
        except OSError:
            return  # in the middle of a rotation, or not there yet: nothing is new

    def _renamed(self, known: LogPosition) -> Iterator[str]:
        """What is left of the file that had this name, where it lies beside under another."""
        if not known.inode:
            return
        folder = Path(self.path).parent
        for path in sorted(folder.iterdir()):
            if path.name == Path(self.path).name or not path.is_file():
                continue
            if path.stat().st_ino != known.inode:
                continue
            with path.open("rb") as file:
                if _head(file, known.head_bytes) == known.head:
                    yield from self._rest(file, known.inode, known.offset, ended=True)
            return

    def _rest(
        self, file: BinaryIO, inode: int, offset: int, *, ended: bool = False
    ) -> Iterator[str]:
        file.seek(offset)
        at = offset
        while at - offset < MOST_BYTES:
            line = file.readline(LONGEST_LINE)
            if not line or not (line.endswith(b"\n") or len(line) == LONGEST_LINE or ended):
                break
            at += len(line)
            yield line.decode("utf-8", "replace").rstrip("\r\n")
        length = min(at, _HEAD)
        self.position = LogPosition(self.path, inode, at, _head(file, length), length)


def _at_end(path: str) -> LogPosition:
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            length = min(size, _HEAD)
            inode = os.fstat(file.fileno()).st_ino
            return LogPosition(path, inode, size, _head(file, length), length)
    except OSError:
        return LogPosition(path, 0, 0)  # it may come later: then all of it is new


def _head(file: BinaryIO, length: int) -> str:
    if not length:
        return ""
    file.seek(0)
    return hashlib.sha256(file.read(length)).hexdigest()
