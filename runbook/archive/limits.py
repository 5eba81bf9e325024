"""What an archive may have at most: whatever is checked, memory stays below 200 MB."""

from __future__ import annotations

import io
import os
import zipfile
from typing import IO

MOST_FILES = 50_000  # a run folder has two or three files for each table
TAG_LIMIT = 8 << 20  # a manifest of so many files has about 6 MB
_DIRECTORY_LIMIT = 16 << 20  # the list of so many files at the end of a ZIP
MOST_LEVELS = 32  # of folders in folders
_LONGEST_NAME = 1_000  # bytes; a path may have 4,096
_LARGE, MOST_RATIO = 1 << 30, 250  # an archive of more than a gigabyte is refused beyond the ratio
DEFLATE_LIMIT = 1032  # no deflate stream expands further (zlib's technical details)
_ENTRY = b"PK\x01\x02"  # how an entry in the list of files begins


class TooLarge(Exception):
    """The list of files is too long to be read; the message says it as a phrase."""


class Bounded(io.BufferedIOBase):
    """A file for zipfile that refuses a list of files that would fill the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """As for any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As for any file."""
        return self._file.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes.

        Raises:
            TooLarge: they are more than any list of files has.
        """
        asked = _DIRECTORY_LIMIT + 1 if size is None or size < 0 else size
        place = self._file.tell()
        left = self._file.seek(0, os.SEEK_END) - place  # a buffer of just so many bytes is made
        self._file.seek(place)
        piece = self._file.read(min(asked, _DIRECTORY_LIMIT + 1, max(left, 0)))
        if len(piece) > _DIRECTORY_LIMIT:  # only the list is read at once
            raise TooLarge(f"its list of files has more than {_DIRECTORY_LIMIT >> 20} MB")
        if piece.startswith(_ENTRY) and piece.count(_ENTRY) > MOST_FILES:
            raise TooLarge(f"it lists more than {MOST_FILES:,} files")
        return piece


def too_much(members: list[zipfile.ZipInfo], size: int) -> str:
    """Why an archive of `size` bytes is refused as a whole, as a phrase; "" where it is not."""
    if len(members) > MOST_FILES:
        return f"it lists more than {MOST_FILES:,} files"
    # A size that no compression could reach is the member's own problem.
    total = sum(min(m.file_size, DEFLATE_LIMIT * max(m.compress_size, 1)) for m in members)
    return (
        f"it would unpack to more than {MOST_RATIO} times its size" if swells(total, size) else ""
    )


def swells(total: int, size: int) -> bool:
    """Whether an archive of `size` bytes that unpacks to `total` is refused."""
    return total > _LARGE and total > MOST_RATIO * size


def too_long(name: str) -> str:
    """Why a name is refused before anything else is asked of it, as a phrase; "" if it is not."""
    if len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
        return f"has more than {_LONGEST_NAME:,} bytes"
    if name.count("/") > MOST_LEVELS:
        return f"lies in more than {MOST_LEVELS} folders"
    return ""
