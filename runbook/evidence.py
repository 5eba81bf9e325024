"""What a stage relies on from the run folder, checked before it is used: backup and Parquet."""

from __future__ import annotations

from pathlib import Path

from runbook.audit.capture import read_capture
from runbook.errors import RunFolderError
from runbook.files import sha256
from runbook.records import Backup, SnapshotRecord, from_json
from runbook.run import Run


def checked_backup(run: Run) -> Path:
    """The backup's path, if it still is what the snapshot recorded.

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
    remedy = (
        "put the original back, without which nothing can be proven or restored"
        if run.unsettled("migrate") or run.finished("migrate")
        else "take a new snapshot"
    )
    raise RunFolderError(f"The backup {path} is {what}; {remedy}.")


def _backup(run: Run) -> Backup:
    record = run.record("snapshot")
    if record is None or record.result is None:
        raise RunFolderError(
            f"{run.record_path('snapshot')} is missing or incomplete, so the backup cannot be "
            "trusted; put the record back."
        )
    return from_json(SnapshotRecord, record.result).backup


def check_capture(folder: Path) -> None:
    """Looks at every Parquet file of a capture before something is concluded from it.

    Raises:
        RunFolderError: a file is missing or is not as it was written.
    """
    for table in read_capture(folder).tables:
        path = folder / table.file
        if not path.is_file() or sha256(path) != table.sha256:
            what = "not as it was written (its checksum differs)" if path.is_file() else "missing"
            raise RunFolderError(
                f'The snapshot file {path} of the table "{table.name}" is {what}; put the original '
                "back."
            )
