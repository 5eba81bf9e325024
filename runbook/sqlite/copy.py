"""Copies a database as SQLite itself does, with every row of its write-ahead log."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from runbook.files import sync_folder
from runbook.progress import Progress, no_progress

PAGES_AT_ONCE = 4096


def copy_database(source: sqlite3.Connection, to: Path, progress: Progress = no_progress) -> None:
    """Copies a database to the new file `to` with the backup API, durably."""
    handle = os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.close(handle)
    destination = sqlite3.connect(to)
    try:
        destination.execute("PRAGMA synchronous = OFF")  # one fsync at the end does it
        source.backup(
            destination,
            pages=PAGES_AT_ONCE,
            progress=lambda _, left, total: progress("Backup", total - left, total),
            sleep=0.05,
        )
    finally:
        destination.close()
    handle = os.open(to, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    sync_folder(to.parent)
