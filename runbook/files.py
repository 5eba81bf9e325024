"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runbook.errors import RunFolderError

_SEAL = "sha256"
_BLANK = "0" * 64
_READ_BYTES = 1 << 20

MOST_LEVELS = 64
"""Levels of lists and objects in JSON that is read; the records have about ten."""


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Files made meanwhile, by whatever library, can be read by their owner alone.

    SQLite gives the files beside a database the permissions of the database, whatever this says.
    """
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def write_durably(path: Path, content: bytes) -> None:
    """Writes a file atomically and durably: temporary file, fsync, rename, fsync of the folder."""
    with scratch_file(path) as scratch:
        scratch.write_bytes(content)
        rename_durably(scratch, path)


@contextlib.contextmanager
def scratch_file(path: Path) -> Iterator[Path]:
    """An empty file beside `path`, readable by its owner alone; gone afterwards if still there."""
    handle, scratch = _new_scratch(path)
    try:
        yield scratch
    finally:
        os.close(handle)
        scratch.unlink(missing_ok=True)


def _new_scratch(path: Path) -> tuple[int, Path]:
    """A scratch file for `path`, and the handle whose lock keeps `sweep` from it.

    Not by filelock, which leaves a file at the path that it locks: this is the scratch file's own.
    """
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with contextlib.suppress(
            OSError
        ):  # a file system without locks: `sweep` cannot lock either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # swept before it was locked


def sweep(folder: Path) -> None:
    """Removes the scratch files in `folder` that a kill left; not those of a living process."""
    for leftover in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            _sweep_one(leftover)


def _sweep_one(leftover: Path) -> None:
    handle = os.open(leftover, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        leftover.unlink()
    finally:
        os.close(handle)


def create_private(path: Path) -> None:
    """Creates an empty file that its owner alone can read.

    Raises:
        FileExistsError: there is something at `path`.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def rename_durably(source: Path, path: Path) -> None:
    """Gives the complete file `source` its name in the same folder; replaces what has it."""
    sync_file(source)
    source.replace(path)
    sync_folder(path.parent)


def publish(source: Path, path: Path) -> None:
    """Gives the complete file `source` its name in the same folder, durably; replaces nothing.

    Where the file system has hard links, `source` keeps its old name too.

    Raises:
        FileExistsError: there is something at `path`.
    """
    sync_file(source)
    try:
        os.link(source, path)  # unlike a rename, this never replaces
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "exists", str(source), None, str(path)) from None
        source.rename(path)
    sync_folder(path.parent)


def append_line(path: Path, line: bytes, *, durable: bool = True) -> None:
    """Appends a line to a file that its owner alone can read; a line torn by a kill is ended first.

    One write, so that two processes cannot mix their lines.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(handle).st_size
        torn = size and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, b"\n" * bool(torn) + line + b"\n")
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Makes the content of a file durable."""
    _sync(path, os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable, so that a rename survives a power cut."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, data: object) -> None:
    """Writes JSON so that `path` holds either the old text or the whole new one, durably."""
    write_durably(path, _utf8(json.dumps(data, indent=1, ensure_ascii=False) + "\n"))


def parse_json(text: str | bytes) -> Any:
    """JSON that came from outside, read as anything else that may be damaged.

    Raises:
        ValueError: it is not JSON, or is nested more deeply than any record.
    """
    try:
        data = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    level = [data]
    for _ in range(MOST_LEVELS):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return data
    raise ValueError("nested too deeply")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        RunFolderError: the file is missing, torn or not a JSON object.
    """
    return _parse_object(path, read_content(path))


def read_content(path: Path) -> bytes:
    """The bytes of a record, of one reading: a disk may fail between two.

    Raises:
        RunFolderError: the file is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _parse_object(path: Path, content: bytes) -> dict[str, Any]:
    """The JSON object that was read from `path`."""
    try:
        data = parse_json(content.decode("utf-8"))
    except ValueError as error:
        raise _unreadable(path, error) from error
    if not isinstance(data, dict):
        raise RunFolderError(f"{path} is damaged: it is not a JSON object; run that stage again.")
    return data


def _unreadable(path: Path, error: Exception) -> RunFolderError:
    return RunFolderError(
        f"{path} cannot be read ({type(error).__name__}); it is missing or damaged, so put "
        "the original back, or run that stage again."
    )


def write_sealed(path: Path, data: Mapping[str, Any]) -> None:
    """Writes JSON whose last member is the checksum of all its other bytes, durably.

    The checksum is that of the text with zeros in its own place.
    """
    text = json.dumps({**data, _SEAL: _BLANK}, indent=1, ensure_ascii=False) + "\n"
    before, after = text.rsplit(_BLANK, 1)
    write_durably(path, _utf8(f"{before}{_digest(_utf8(text))}{after}"))


def read_sealed(path: Path) -> dict[str, Any]:
    """What `write_sealed` wrote, without the checksum.

    Raises:
        RunFolderError: the file is missing, torn, or one bit of it is not as it was written.
    """
    return parse_sealed(path, read_content(path))


def parse_sealed(path: Path, content: bytes) -> dict[str, Any]:
    """What `read_sealed` returns, of bytes that were read from `path`."""
    data = _parse_object(path, content)
    seal = str(data.pop(_SEAL, "")) or "missing"
    before, matched, after = content.rpartition(seal.encode())
    if not matched or _digest(before + _BLANK.encode() + after) != seal:
        raise RunFolderError(
            f"{path} is damaged: its content does not match the checksum that it ends with; put "
            "the original back, or run that stage again."
        )
    return data


def _utf8(text: str) -> bytes:
    """JSON in UTF-8; a lone surrogate (a file name that is no UTF-8) as JSON's own escape of it."""
    return text.encode("utf-8", "backslashreplace")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def same_content(one: Path, other: Path) -> bool:
    """Whether two files are the same to the byte."""
    with one.open("rb") as first, other.open("rb") as second:
        while (here := first.read(_READ_BYTES)) == second.read(_READ_BYTES):
            if not here:
                return True
    return False


def ignore_in_git(folder: Path) -> None:
    """Keeps what a folder holds out of git, unless the folder has rules of its own.

    A run folder holds a full copy of the data, often inside an application's repository.
    """
    path = folder / ".gitignore"
    if not path.exists():
        create_private(path)
        path.write_text("*\n", encoding="ascii")


def check_vacant(folder: Path, leftovers: tuple[str, ...]) -> None:
    """Raises RunFolderError if the folder holds more than a killed call may have left.

    That is hidden files, and empty folders of these names.
    """
    for path in folder.iterdir():
        left = path.name in leftovers and path.is_dir() and not any(path.iterdir())
        if not left and not path.name.startswith("."):
            raise RunFolderError(
                f"The folder {folder} is not empty and is not a run folder (it holds {path.name}); "
                "name a new folder with --run-dir."
            )
