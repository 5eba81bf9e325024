"""What takes part in a run: versions of the software, checksums of the SQL."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import sqlite3

from runbook import __version__
from runbook.run.identity import Identity
from runbook.templates import FOLDER


def versions(identity: Identity) -> dict[str, str]:
    """Versions of everything that takes part in a run of that database."""
    packages = ("adbc-driver-sqlite", "duckdb", "pandas", "papermill", "pyarrow")
    return {
        "runbook": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: importlib.metadata.version(name) for name in packages},
        **{name: v for name, v in identity.details.items() if name.startswith("wrangler")},
    }


def sql_checksums() -> dict[str, str]:
    """SHA-256 of every file in `sql/`."""
    return {
        str(path.relative_to(FOLDER)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(FOLDER.rglob("*.sql"))
    }
