"""The capture that the rehearsal made, kept for a snapshot of the very same database.

It is used only if the snapshot's own backup is, by its SHA-256, the rehearsal's to the byte; else
it is thrown away, and everything is read anew.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from runbook.audit.snapshot import Capture, check_capture, read_capture
from runbook.errors import RunFolderError
from runbook.files import read_sealed, sync_folder, write_sealed
from runbook.run.findings import TableDigest
from runbook.run.folder import Run
from runbook.run.json_form import from_json, to_json
from runbook.script.footprint import Baseline

_NAME = "rehearsed.json"


@dataclass(frozen=True)
class Captured:
    """What is known of a database whose backup has this SHA-256, beside its Parquet files."""

    backup: str
    digests: tuple[TableDigest, ...]
    baseline: Baseline


def keep(run: Run, folder: Path, captured: Captured) -> None:
    """Keeps the capture in `folder`, which is moved, until the snapshot of `run`."""
    forget(run)
    write_sealed(folder / _NAME, to_json(captured))
    _move(folder, _place(run))


def take(run: Run, backup: str) -> tuple[Capture, Captured] | None:
    """The capture of the database whose backup has this SHA-256, moved to where `run` keeps it.

    None where there is none, where it is of another state of the database, or damaged.
    """
    place = _place(run)
    with contextlib.suppress(RunFolderError, OSError):
        captured = from_json(Captured, read_sealed(place / _NAME))
        if captured.backup == backup:
            check_capture(place)
            (place / _NAME).unlink()
            _move(place, run.before)
            return read_capture(run.before), captured
    forget(run)
    return None


def forget(run: Run) -> None:
    """Throws away what was kept."""
    shutil.rmtree(_place(run), ignore_errors=True)


def _move(folder: Path, to: Path) -> None:
    folder.replace(to)
    sync_folder(to.parent)


def _place(run: Run) -> Path:
    return run.before.with_name("rehearsed")
