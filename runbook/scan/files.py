"""Which files a scan reads, and what language each is in."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import BadInput
from runbook.scan.result import Skipped

MAX_BYTES = 2_000_000

LANGUAGES = {
    ".ts": "typescript", ".tsx": "typescript", ".mts": "typescript", ".cts": "typescript",
    ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".cjs": "javascript",
    ".py": "python", ".sql": "sql", ".go": "go", ".rb": "ruby", ".rake": "ruby", ".php": "php",
}  # fmt: skip

# What is installed, built or generated is not the application's own source.
IGNORED_FOLDERS = frozenset({
    ".git", ".hg", ".svn", "node_modules", "bower_components", "vendor", "dist", "build",
    ".next", ".nuxt", ".venv", "venv", ".tox", "site-packages", "__pycache__",
})  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One file's text, its name as the operator would type it, and its language."""

    file: str
    language: str
    text: str


def sources(path: Path) -> Iterator[Source | Skipped]:
    """Read the source files at `path`, a folder or one file, in the order of their names.

    Links are not followed, except `path` itself. Raises BadInput if there is nothing at `path`,
    or if it is a single file in a language that is not read.
    """
    if path.is_dir():
        for file in _files_below(path):
            yield _read(file)
    elif not path.exists():
        raise BadInput(f"There is no file or folder {path}: give the folder of the application.")
    elif path.suffix.lower() not in LANGUAGES:
        raise BadInput(
            f"The file {path} is in no language that is read: give a folder, or a file "
            f"ending in one of {' '.join(LANGUAGES)}."
        )
    else:
        yield _read(path)


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in IGNORED_FOLDERS)
        for name in sorted(names):
            path = Path(parent) / name
            if (
                path.suffix.lower() in LANGUAGES
                and not _is_minified(name)
                and not path.is_symlink()
            ):
                yield path


def _is_minified(name: str) -> bool:
    return ".min." in name.lower()


def _read(path: Path) -> Source | Skipped:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Skipped(str(path), "not a regular file")
        if status.st_size > MAX_BYTES:
            return Skipped(str(path), f"larger than {MAX_BYTES // 1_000_000} MB")
        data = path.read_bytes()
    except OSError as error:
        return Skipped(str(path), error.strerror or "cannot be read")
    if b"\0" in data:
        return Skipped(str(path), "not text")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Skipped(str(path), "not UTF-8 text")
    # One kind of line end, so that lines are counted the same way in every language.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return Source(str(path), LANGUAGES[path.suffix.lower()], text)
