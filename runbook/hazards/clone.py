"""Empty copies of a schema in memory, on which things can be tried that SQLite alone decides."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from runbook.sqlite.quoting import fold_name

_MISSING = re.compile(r"no such (function|collation sequence): (.+)$")
_ORDER = {"table": 0, "index": 1, "view": 2, "trigger": 3}


@dataclass(frozen=True)
class Entry:
    """One entry of the schema: a table, index, view or trigger."""

    kind: str
    name: str
    table: str
    sql: str


def empty_clone(entries: Iterable[Entry]) -> sqlite3.Connection:
    """A database in memory with the same schema and no rows, as far as SQLite can make it.

    Functions and collations that only the application has are stood in for.
    """
    # EXPLAIN of a statement that was compiled before a change of the schema would show the old one.
    clone = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
    for entry in sorted(entries, key=lambda e: _ORDER[e.kind]):
        # A virtual table whose module is not there, or its shadow tables made twice.
        with contextlib.suppress(sqlite3.Error):
            execute(clone, entry.sql)
    return clone


def execute(clone: sqlite3.Connection, statement: str) -> list[tuple[object, ...]]:
    """All rows of a statement; stands in for what only the application knows, once it is missed."""
    while True:
        try:
            return clone.execute(statement).fetchall()
        except sqlite3.Error as error:
            missing = _MISSING.search(str(error))
            if missing is None or not _stand_in(clone, *missing.groups()):
                raise


def compile_error(clone: sqlite3.Connection, statement: str) -> str | None:
    """What SQLite says against the statement when it compiles it; None where nothing."""
    try:
        execute(clone, f"EXPLAIN {statement}")
    except sqlite3.Error as error:
        return str(error)
    return None


def _stand_in(clone: sqlite3.Connection, kind: str, name: str) -> bool:
    """Whether the name could be given a stand-in."""
    with contextlib.suppress(sqlite3.Error):
        if kind == "function":
            clone.create_function(name, -1, lambda *_: None, deterministic=True)
        else:
            clone.create_collation(name, lambda one, two: (one > two) - (one < two))
        return True
    return False


def not_in_clone(entries: Iterable[Entry], names: Iterable[str]) -> dict[str, str]:
    """Tables of these names that SQLite cannot make anew from their text, with what it says."""
    wanted = {fold_name(name) for name in names}
    refused = {}
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as alone:
        for entry in entries:
            if entry.kind == "table" and fold_name(entry.name) in wanted:
                try:
                    execute(alone, entry.sql)
                except sqlite3.Error as error:
                    refused[entry.name] = str(error)
    return refused
