"""Stage 03: the backup, restored once to show that it can be, and exact Parquet of every table."""

from __future__ import annotations

import contextlib
import shutil
import time
from concurrent.futures import Executor
from pathlib import Path

from runbook.audit.snapshot import Capture, capture, digests
from runbook.errors import NotAllowedNow, RunFolderError
from runbook.files import same_content, sha256
from runbook.progress import Progress, no_progress
from runbook.run.approvals import bind_snapshot
from runbook.run.folder import Run
from runbook.run.records import Backup, SnapshotRecord
from runbook.script.footprint import read_baseline
from runbook.sqlite.connect import open_immutable
from runbook.sqlite.copy import copy_database
from runbook.sqlite.header import read_file_header
from runbook.sqlite.soundness import Method, check_soundness, method_for
from runbook.stages.rehearsal_capture import Captured, take
from runbook.targets.open_target import target_of
from runbook.workers import is_small, workers


def snapshot(run: Run, *, progress: Progress = no_progress, again: bool = False) -> SnapshotRecord:
    """Backs the database up into the run folder and captures every table of it.

    Raises:
        Refused: the database or the disk does not allow it; nothing was changed.
    """
    taken = run.perform(
        "snapshot",
        SnapshotRecord,
        lambda _: _snapshot(run, progress),
        again=again,
        guard=lambda: _check_not_migrated(run),
    )
    bind_snapshot(run)
    return taken


def _snapshot(run: Run, progress: Progress) -> SnapshotRecord:
    target = target_of(run)
    path = run.backup
    began = time.perf_counter()
    for leftover in path.parent.iterdir():  # of an earlier snapshot, or of one that was killed
        leftover.unlink()
    target.backup(path, progress)
    if run.before.exists():
        shutil.rmtree(run.before)
    progress("Checksum of the backup")
    digest = sha256(path)
    # Nobody writes the backup, so that it can be restored and captured at the same time.
    with workers(2, small=is_small(path)) as pool:
        restoring = pool.submit(_restore, run, digest, began)
        known = take(run, digest) or _captured(run, digest, pool, progress)
        progress("Restoring the backup to try it")
        backup = restoring.result()
    captured, what = known
    return SnapshotRecord(
        backup=backup,
        tables=len(captured.tables),
        rows=sum(t.rows for t in captured.tables),
        digests=what.digests,
        shape=what.baseline.shape,
        footprint=what.baseline.footprint,
        header=read_file_header(path),
    )


def _captured(
    run: Run, digest: str, pool: Executor, progress: Progress
) -> tuple[Capture, Captured]:
    """The capture of the backup, made now, and what it says."""
    path, plan = run.backup, run.info.plan
    reading = pool.submit(read_baseline, path, plan)
    captured = capture(path, run.before, immutable=True, progress=progress)
    baseline = reading.result()
    digested = digests(captured, plan, baseline.shape, progress=progress)
    return captured, Captured(digest, digested, baseline)


def _check_not_migrated(run: Run) -> None:
    """A backup of the migrated database must never take the place of the one from before."""
    target = target_of(run)
    row = target.ledger(run.info.plan.migration.name)
    if row is None:
        return
    own = row.run == run.info.run
    raise NotAllowedNow(
        f'The ledger says that the run "{row.run}" migrated this database at {row.applied_at}, so '
        "there can be no snapshot from before it; "
        + ("run migrate, which finds the record again." if own else "go on in that run's folder.")
    )


def _restore(run: Run, digest: str, began: float) -> Backup:
    """Restores the backup into a scratch file, which must equal it to the byte.

    `digest` is the backup's SHA-256; `began` is when it was begun, by the clock of
    `time.perf_counter`.
    """
    path, scratch = run.backup, run.backup.with_name("restored.tmp")
    try:
        with contextlib.closing(open_immutable(path)) as connection:
            copy_database(connection, scratch)
        tables, method = _check_restored(scratch)
        if not same_content(path, scratch):
            raise RunFolderError(
                f"The backup {path} does not restore to an identical copy; check the disk, and "
                "take the snapshot again."
            )
    finally:
        scratch.unlink(missing_ok=True)
    return Backup(
        file=str(path.relative_to(run.folder)),
        bytes=path.stat().st_size,
        sha256=digest,
        seconds=round(time.perf_counter() - began, 3),
        tables_compared=tables,
        restored_equal=True,
        checked_by=method,
    )


def _check_restored(scratch: Path) -> tuple[int, Method]:
    """Number of tables in the restored file, which must be sound, and how that was checked."""
    with contextlib.closing(open_immutable(scratch)) as connection:
        soundness = check_soundness(connection, method_for(scratch.stat().st_size))
        if soundness.damaged:
            first = [*soundness.pages, *soundness.indexes.values()][0]
            raise RunFolderError(
                f"The restored backup is damaged ({first}); check the disk and the database."
            )
        (tables,) = connection.execute(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"
        ).fetchone()
        return int(tables), soundness.method
