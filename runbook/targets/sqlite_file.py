"""Opening a SQLite file read-only, and saying clearly why it cannot be opened."""

from __future__ import annotations

import sqlite3
import urllib.parse
from pathlib import Path

from runbook.errors import TargetError


def open_readonly(path: Path) -> sqlite3.Connection:
    """A read-only connection."""
    if not path.is_file():
        raise TargetError(f"There is no database {path}; check the path.")
    uri = f"file:{urllib.parse.quote(str(path.resolve()))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as error:
        connection.close()
        raise TargetError(f"{path} is not a SQLite database ({error}); check it.") from error
    return connection
