"""Which wrangler drives a database: the application's own wherever it can.

An older workerd cannot open local state that a newer one has written, and a newer one changes the
state so that the application's own cannot open it any more. So the application's own is taken where
its version is between the two that are tested, and one that we bring where it is not.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import TargetError
from runbook.sqlite.connect import open_immutable
from runbook.targets.d1.config import D1Config
from runbook.targets.d1.install import (
    NEWEST,
    OVERRIDE,
    PINNED,
    Tool,
    Version,
    read_package,
    script_of,
    tool_at,
)

_OWN = Path("node_modules") / "wrangler" / "bin" / "wrangler.js"
_FORM = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True)
class Choice:
    """The wrangler that is used, and the version of the application's own, "" where it has none."""

    tool: Tool
    own: str = ""


def choose(config: D1Config, state_file: Path | None = None) -> Choice:
    """The wrangler for a database: RUNBOOK_WRANGLER's, the application's own, or one of ours.

    Args:
        config: the database's entry; the application's wrangler is looked for in its folder and
            in those above it, as Node does.
        state_file: the file of a local database; None for a remote one.

    Raises:
        TargetError: there is none; the message says how to get it.
    """
    own = next(filter(Path.is_file, (p / _OWN for p in config.path.parents)), None)
    version = str(read_package(own)["version"]) if own is not None else ""
    named = os.environ.get(OVERRIDE)
    if named:
        return Choice(tool_at(script_of(Path(named))), version)
    if own is not None and is_supported(version):
        return Choice(tool_at(own), version)
    newer = state_file is not None and is_newer_state(state_file)
    if newer and not NEWEST.is_installed:
        raise TargetError(
            f"The local state of the D1 database {config.name} was written by a newer wrangler "
            f"than {PINNED.version}; run `{NEWEST.command}`, or let {OVERRIDE} name the "
            "application's own."
        )
    return Choice((NEWEST if newer else PINNED).tool(), version)


def is_supported(version: str) -> bool:
    """Whether a version of wrangler is between the two that are tested, or a patch of the newer."""
    number = _number(version)
    newest = _number(NEWEST.version)
    return _number(PINNED.version) <= number and number[:2] <= newest[:2]


def is_newer_state(state_file: Path) -> bool:
    """Whether local state was written by an engine that is newer than the pinned one.

    Newer ones keep the name of an object in their table of alarms, beside the databases.
    """
    notes = state_file.with_name("metadata.sqlite")
    if not notes.is_file():
        return False
    with contextlib.closing(_reading(notes)) as connection:
        try:
            rows = connection.execute("SELECT name FROM pragma_table_info('_cf_ALARM')").fetchall()
        except sqlite3.Error:
            return False
    return len(rows) > 2


def _reading(path: Path) -> sqlite3.Connection:
    """A connection that only reads; what is still in the write-ahead log is read, too."""
    if not path.with_name(f"{path.name}-wal").exists():
        return open_immutable(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _number(version: str) -> Version:
    match = _FORM.match(version)
    return tuple(map(int, match.groups())) if match else (0, 0, 0)
