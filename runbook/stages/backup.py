"""The backup, checked before a stage relies on it."""

from __future__ import annotations

from pathlib import Path

from runbook.errors import RunFolderError
from runbook.files import sha256
from runbook.run.folder import Run
from runbook.run.json_form import from_json
from runbook.run.records import Backup, SnapshotRecord
from runbook.script.footprint import Baseline, read_baseline

NOTHING_ELSE = "put the original back, without which nothing can be proven or restored"


def checked_backup(run: Run, remedy: str = NOTHING_ELSE) -> Path:
    """The backup's path, if it still is what the snapshot recorded; if not, `remedy` is advised.

    Raises:
        RunFolderError: the backup or the snapshot's record is missing or damaged.
    """
    taken = _backup(run)
    path = run.folder / taken.file
    if not path.is_file():
        what = "missing"
    elif sha256(path) != taken.sha256:
        what = "not what the snapshot recorded (its checksum differs)"
    else:
        return path
    raise RunFolderError(f"The backup {path} is {what}; {remedy}.")


def baseline(run: Run, backup: Path) -> Baseline:
    """Shape and footprint from before the migration, as the snapshot recorded or the backup has."""
    taken = run.result("snapshot", SnapshotRecord)
    if taken.shape is None:
        return read_baseline(backup, run.info.plan)
    return Baseline(taken.shape, taken.footprint)


def _backup(run: Run) -> Backup:
    record = run.record("snapshot")
    if record is None or record.result is None:
        raise RunFolderError(
            f"{run.record_path('snapshot')} is missing or incomplete, so the backup cannot be "
            "trusted; put the record back."
        )
    return from_json(SnapshotRecord, record.result).backup
