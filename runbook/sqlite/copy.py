"""Copies a database as SQLite itself does, with every row of its write-ahead log."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from runbook.files import create_private, sync_file, sync_folder
from runbook.progress import Progress, no_progress

PAGES_AT_ONCE = 4096


def copy_database(source: sqlite3.Connection, to: Path, progress: Progress = no_progress) -> None:
    """Copies a database to the new file `to` with the backup API, durably."""
    create_private(to)
    destination = sqlite3.connect(to)
    try:
        destination.execute("PRAGMA synchronous = OFF")  # one fsync at the end does it
        source.backup(
            destination,
            pages=PAGES_AT_ONCE,
            progress=lambda _, left, total: progress("Backup", total - left, total, "pages"),
            sleep=0.05,
        )
    finally:
        destination.close()
    sync_file(to)
    sync_folder(to.parent)
