"""What takes part in a run: from where, versions of the software, checksums of the SQL."""

from __future__ import annotations

import functools
import getpass
import importlib.metadata
import os
import platform
import sqlite3
from datetime import datetime

from runbook import __version__, templates
from runbook.run.identity import Identity

_OUTSIDE_A_RUN = {"explore", "fleet", "sample"}


def versions(identity: Identity) -> dict[str, str]:
    """Versions of everything that takes part in a run of that database."""
    packages = ("adbc-driver-sqlite", "duckdb", "pandas", "papermill", "pyarrow")
    return {
        "runbook": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: _version_of(name) for name in packages},
        **{name: v for name, v in identity.details.items() if name.startswith("wrangler")},
    }


@functools.cache
def _version_of(package: str) -> str:
    """As it was when the process first asked: what has been imported stays."""
    return importlib.metadata.version(package)


def account() -> str:
    """The name of the account; its number where it has none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def origin() -> dict[str, str]:
    """The host that works here, and its time zone."""
    now = datetime.now().astimezone()
    zone = f"{now:%z}"
    return {
        "host": platform.node() or "unknown",
        "time zone": f"{now.tzname()} (UTC{zone[:3]}:{zone[3:]})",
    }


def sql_checksums() -> dict[str, str]:
    """SHA-256 of every file in `sql/` that a run can read.

    What makes the sample, what a fleet notes of its databases and what a person asks afterwards are
    not among them: no verdict rests on those, and each of thousands of runs keeps this list.
    """
    return {
        name: digest
        for name, digest in templates.sql_checksums(templates.FOLDER).items()
        if name.partition("/")[0] not in _OUTSIDE_A_RUN
    }
