"""Another program at the database: `python -m tests.support.faults.other DATABASE DEED SECONDS`."""

from __future__ import annotations

import sqlite3
import sys
import time


def main(database: str, deed: str, seconds: str) -> None:
    """Holds the write lock, holds a read, or writes and writes."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=30)
    until = time.monotonic() + float(seconds)
    if deed == "hold":
        connection.execute("BEGIN IMMEDIATE")
    elif deed == "read":
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM projects").fetchone()
    print("ready", flush=True)
    while time.monotonic() < until:
        if deed == "write":
            connection.execute("UPDATE users SET email = email || 'x' WHERE rowid = 1")
        time.sleep(0.02)
    connection.close()
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
