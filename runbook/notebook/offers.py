"""What lies in the workspace and can be chosen: SQLite databases and plans."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

from runbook.plan.plan import Plan
from runbook.run.workspace import RUNS, workspace

_MAGIC = b"SQLite format 3\0"
_DEEPEST = 3
"""Folders below the workspace's own that are entered."""

_MOST_ENTRIES = 5_000
_MOST = 50
_LARGEST_PLAN = 100_000
_LEFT_OUT = frozenset({RUNS, "node_modules", "build", "dist", "venv", "__pycache__"})


def databases(here: Path) -> tuple[str, ...]:
    """Paths, as seen from `here`, of the SQLite databases in the workspace."""
    return _offered(here, _is_database)


def plans(here: Path) -> tuple[str, ...]:
    """Paths, as seen from `here`, of the TOML files in the workspace that are meant as plans."""
    return _offered(here, _is_plan)


def _offered(here: Path, fits: Callable[[Path], bool]) -> tuple[str, ...]:
    fitting = (path for path in _files(workspace(here)) if fits(path))
    return tuple(
        os.path.relpath(path, here) for path, _ in zip(fitting, range(_MOST), strict=False)
    )


def _files(root: Path) -> Iterator[Path]:
    """Files below the folder, the nearest first; hidden folders and those of tools left out."""
    entries, level = 0, [root]
    for _ in range(_DEEPEST + 1):
        deeper: list[Path] = []
        for folder in level:
            try:
                children = sorted(folder.iterdir())
            except OSError:
                continue
            for child in children:
                entries += 1
                if entries > _MOST_ENTRIES:
                    return
                if child.is_dir():
                    if not (
                        child.name.startswith(".") or child.name in _LEFT_OUT or child.is_symlink()
                    ):
                        deeper.append(child)
                else:
                    yield child
        level = deeper


def _is_database(path: Path) -> bool:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for its writer
            return False
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _is_plan(path: Path) -> bool:
    """Whether it has sections of a plan and no others; what is wrong inside is said when chosen."""
    sections = {field.metadata.get("key", field.name) for field in fields(Plan)}
    try:
        if path.suffix != ".toml" or path.stat().st_size > _LARGEST_PLAN:
            return False
        words = tomllib.loads(path.read_text(encoding="utf-8")).keys()
    except (OSError, ValueError, RecursionError):
        return False
    return bool(words) and words <= sections
