"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import contextlib
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
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Makes the content of a file durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable, so that a rename survives a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, data: object) -> None:
    """Writes JSON so that `path` holds either the old text or the whole new one, durably."""
    write_durably(path, _utf8(json.dumps(data, indent=1, ensure_ascii=False) + "\n"))


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        RunFolderError: the file is missing, torn or no JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{path} cannot be read ({type(error).__name__}); it is missing or damaged, so put "
            "the original back, or run that stage again."
        ) from error
    if not isinstance(data, dict):
        raise RunFolderError(f"{path} is damaged: it holds no JSON object; run that stage again.")
    return data


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
    data = read_json(path)
    seal = str(data.pop(_SEAL, "missing"))
    before, found, after = path.read_bytes().rpartition(seal.encode())
    if not found or _digest(before + _BLANK.encode() + after) != seal:
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
