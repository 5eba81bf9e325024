"""Whether anything still writes to the database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

POLL_SECONDS = 0.1
"""Seconds between two readings of the data version."""

PATIENCE = 3
"""How many times the quiet time is waited for before the writer is given up on."""


@dataclass(frozen=True)
class Quiet:
    """`seconds` without a commit, out of `waited`; `version` is the data version at the end.

    `commits` counts the readings at which another connection had committed since the one before.
    """

    quiet: bool
    seconds: float
    waited: float
    commits: int
    version: int


def wait_until_quiet(
    reading: Callable[[], AbstractContextManager[sqlite3.Connection]], seconds: float
) -> Quiet:
    """Waits until no other connection has committed for `seconds`; about three times that at most.

    SQLite's `data_version` changes with every commit of another connection. Reading it takes
    microseconds and holds no lock in between, so no writer is kept from writing.

    Args:
        reading: opens a read-only connection to the database.
        seconds: how long it must be quiet.
    """
    limit = PATIENCE * seconds + 1
    with reading() as connection:
        began = quiet_from = time.monotonic()
        version, commits = _version(connection, None), 0
        # Not with tenacity: each commit restarts the quiet time, which is no retry of anything.
        while True:
            now = time.monotonic()
            quiet = now - quiet_from >= seconds
            if quiet or now - began >= limit:
                lasted, waited = round(now - quiet_from, 3), round(now - began, 3)
                return Quiet(quiet, lasted, waited, commits, version)
            time.sleep(min(POLL_SECONDS, max(seconds - (now - quiet_from), 0.001)))
            current = _version(connection, version)
            if current != version:
                version, quiet_from, commits = current, time.monotonic(), commits + 1


def _version(connection: sqlite3.Connection, known: int | None) -> int:
    """The data version; where a writer is just committing, one that differs from `known`."""
    try:
        return int(connection.execute("PRAGMA data_version").fetchone()[0])
    except sqlite3.OperationalError:
        return -1 if known != -1 else -2  # locked out by a commit: that is a writer too
