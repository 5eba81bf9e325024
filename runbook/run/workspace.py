"""Where the runs of a workspace lie, and which of them is the latest.

A workspace is the folder that one works in: its runs stand below it, in `runs/`. The notebooks have
a folder of their own in it, so that, seen from there, the runs stand beside.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runbook.errors import RunFolderError
from runbook.run.folder import STAGES, Run, file_stem
from runbook.wording import counted, listed

RUNS = "runs"


@dataclass(frozen=True)
class Latest:
    """The latest run that was begun, and by what it was chosen, as half a sentence."""

    run: Run
    reason: str


def workspace(here: Path) -> Path:
    """The folder that one works in, standing in `here`: its parent, if `here` has the notebooks."""
    return here.parent if _has_notebooks(here) else here


def runs_for_new(here: Path) -> Path:
    """Where a new run of the workspace is made, as seen from `here`."""
    sibling = here.parent / RUNS
    own = here / RUNS
    return sibling if _has_notebooks(here) and (sibling.is_dir() or not own.is_dir()) else own


def new_folder(runs: Path, name: str) -> Path:
    """A new folder below `runs`, named after the time and `name`; two in one second are two.

    Raises:
        RunFolderError: it cannot be made.
    """
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}"
    for number in itertools.count(1):
        folder = runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True, mode=0o700)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunFolderError(
                f"The run folder {folder} cannot be made ({error.strerror}); choose another with "
                "--run-dir."
            ) from error
        return folder
    raise AssertionError  # the numbers never end


def latest(here: Path, database: str = "") -> Latest:
    """The run of the workspace that was begun last, by the time in its `run.json`.

    Args:
        here: the folder that one stands in.
        database: only runs of this one count; empty for all.

    Raises:
        RunFolderError: there is none; the message says what to do.
    """
    runs, unreadable = _runs(here)
    if database:
        names = {database, str(Path(database).resolve())}
        runs = [run for run in runs if run.info.database in names]
    places = listed([os.path.relpath(folder, here) for folder in _folders(here)])
    skipped = f"; {listed(unreadable)} cannot be read by this version" if unreadable else ""
    if not runs:
        of = f" of {database}" if database else ""
        raise RunFolderError(
            f"No run{of} was begun in this workspace (in {places}){skipped}; begin one with "
            "01_preflight or `runbook run`, or name its folder with the parameter run_dir."
        )
    newest = max(runs, key=lambda run: (run.info.created_at, run.folder.name))
    of = " of this database" if database else ""
    others = f"begun last of {counted(len(runs), 'run')}" if len(runs) > 1 else "the only run"
    return Latest(newest, f"{others}{of} in {places}{skipped}; run_dir names another")


def _has_notebooks(here: Path) -> bool:
    return any((here / f"{file_stem(stage)}.ipynb").is_file() for stage in STAGES)


def _folders(here: Path) -> tuple[Path, ...]:
    """Where runs of the workspace may lie: below `here`, and beside it if it has the notebooks."""
    own, sibling = here / RUNS, here.parent / RUNS
    if not _has_notebooks(here):
        return (own,)
    return (sibling, own) if own.is_dir() else (sibling,)


def _runs(here: Path) -> tuple[list[Run], list[str]]:
    """The runs of the workspace, and the names of folders that hold one but cannot be read.

    Raises:
        RunFolderError: a folder cannot be listed.
    """
    runs: list[Run] = []
    unreadable: list[str] = []
    for place in _folders(here):
        try:
            folders = sorted(place.iterdir()) if place.is_dir() else []
        except OSError as error:
            raise RunFolderError(
                f"The folder {place} cannot be read ({error.strerror}); correct its permissions, "
                "or name a run folder with the parameter run_dir."
            ) from error
        for folder in folders:
            try:
                if (folder / "run.json").is_file():
                    runs.append(Run.open(folder))
            except (RunFolderError, OSError):
                unreadable.append(folder.name)
    return runs, unreadable
