"""Runs that are brought to a stage once, and given to each test as if they had just come there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runbook.run.folder import Run


@dataclass(frozen=True)
class Prepared:
    """Each run has a place of its own, since `run.json` names the path of the database.

    A test gets it back there as it was first, whatever the test before has done to it. So a test
    has one run of a kind at a time.
    """

    folder: Path

    def take(self, name: str, make: Callable[[Path], Run]) -> Run:
        """The run of this name; `make` makes it, with its database, in the folder that it is given."""
        place, kept = self.folder / name, self.folder / f"{name} as it was"
        if not kept.exists():
            place.mkdir(parents=True)
            run = make(place)
            shutil.copytree(place, kept, symlinks=True)
            return run
        shutil.rmtree(place)
        shutil.copytree(kept, place, symlinks=True)
        return Run.open(place / "run")
