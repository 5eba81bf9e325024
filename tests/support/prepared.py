"""Runs that are brought to a stage once, and given to each test as if they had just come there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from runbook.run.folder import Run


@dataclass(frozen=True)
class Prepared:
    """Each run has a place of its own, since `run.json` names the path of the database.

    A test gets it back there as it was first, whatever the test before has done to it. So a test
    has one run of a kind at a time.
    """

    folder: Path
    inodes: dict[str, dict[Path, int]] = field(default_factory=dict)

    def take(self, name: str, make: Callable[[Path], Run]) -> Run:
        """The run of this name; `make` makes it, with its database, in the folder that it is given."""
        place, kept = self.folder / name, self.folder / f"{name} as it was"
        if kept.exists():
            put_back(kept, place)
            if self.inodes[name] == inodes(place):
                return Run.open(place / "run")
            shutil.rmtree(place)  # a test put another file in the database's place
            shutil.rmtree(kept)
        place.mkdir(parents=True)
        run = make(place)
        self.inodes[name] = inodes(place)
        shutil.copytree(place, kept, symlinks=True)
        return run


def put_back(kept: Path, place: Path) -> None:
    """Gives `place` the content of `kept`; a file that is there stays the same file."""
    for path in sorted(place.rglob("*"), reverse=True):
        if path.is_symlink() or (path.is_file() and not (kept / path.relative_to(place)).is_file()):
            path.unlink()
        elif path.is_dir() and not (kept / path.relative_to(place)).is_dir():
            shutil.rmtree(path)
    shutil.copytree(kept, place, symlinks=True, dirs_exist_ok=True)


def inodes(place: Path) -> dict[Path, int]:
    """The inodes of the databases in `place`, by which a run knows its own."""
    return {path: path.stat().st_ino for path in place.glob("*.db")}
