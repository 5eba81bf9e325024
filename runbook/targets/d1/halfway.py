"""How far a migration came of which D1 ran only a part, and what is left of it.

A service may break its word that a file is one unit. Then the database is neither before nor
after, and nobody may guess: the statements that were sent are run one by one on a copy of the
backup, until the copy holds exactly what D1 holds. What comes after that one is the way forward.
The way back is that, too, followed by the rollback, in one file.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import OutcomeUnknown
from runbook.script.migration import GUARD, LEDGER, NEW_TABLES
from runbook.sqlite.connect import open_immutable, open_writable
from runbook.sqlite.copy import copy_database
from runbook.targets.d1.inspect import Signs
from runbook.targets.d1.state_file import differences
from runbook.templates import split_statements
from runbook.wording import listed

SENT = "d1_migration.sql"
"""Name of the file, beside the backup, with the migration as it was sent."""

_STEP = re.compile(r"^-- Step \d+: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Halfway:
    """Titles of the steps that happened, wholly or in part, and of those that did not; the rest."""

    done: tuple[str, ...]
    left: tuple[str, ...]
    rest: tuple[str, ...]
    """The statements that did not happen, in their order."""

    def __str__(self) -> str:
        left = f"not {listed(self.left)}" if self.left else "all but wrangler's note of it"
        return f"in between: it did {listed(self.done)}, and {left}"


def part_of(signs: Signs, backup: Path | None, replica: Callable[[], Path]) -> Halfway | None:
    """How far a migration came of which D1 ran only a part; None where it did not.

    Args:
        signs: what D1 shows of it.
        backup: the run's backup, beside which the migration lies as it was sent.
        replica: makes a replica of what D1 holds.

    Raises:
        OutcomeUnknown: it is there in part, and yet at no point of what was sent.
    """
    if signs.ledger is None or signs.after(signs.ledger.run):
        return None
    if backup is None or not backup.with_name(SENT).is_file():
        return None
    half = locate_sent(backup, replica())
    if half is None and signs.broken:
        raise OutcomeUnknown(
            f"D1 holds a part of the migration {signs.ledger.migration} ({signs}), and what it "
            "holds matches no point in the script: another client wrote meanwhile; compare it with "
            "the backup by hand."
        )
    return half


def locate_sent(backup: Path | None, now: Path) -> Halfway | None:
    """Where a replica stands in the migration that was sent, as it lies beside the run's backup."""
    sent = backup.with_name(SENT) if backup is not None else None
    if backup is None or sent is None or not sent.is_file():
        return None
    return locate(sent.read_bytes().decode(), backup, now)


def locate(text: str, backup: Path, now: Path) -> Halfway | None:
    """After which statement of a migration D1 stands; None where after none of them.

    Args:
        text: the migration as it was sent, without wrangler's note.
        backup: the database before it.
        now: a replica of what D1 holds.
    """
    statements = split_statements(text)
    schema, instant = _schema(now), _instant(now)
    with tempfile.TemporaryDirectory(prefix="d1-copy-", dir=backup.parent) as folder:
        copy = Path(folder) / "copy.db"
        with contextlib.closing(open_immutable(backup)) as source:
            copy_database(source, copy)
        with contextlib.closing(open_writable(copy)) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            for number, statement in enumerate(statements, 1):
                connection.execute(statement)
                if instant:
                    connection.execute(f"UPDATE {LEDGER} SET applied_at = ?", (instant,))
                if _schema(copy) == schema and not differences(now, copy):
                    return _halfway(statements, number)
    return None


def is_halfway(replica: sqlite3.Connection) -> bool:
    """Whether a migration was begun, and a guard or a missing table shows that it did not end."""
    names = {name for (name,) in replica.execute("SELECT name FROM sqlite_schema")}
    return LEDGER in names and (GUARD in names or not set(NEW_TABLES) <= names)


def _halfway(statements: Sequence[str], number: int) -> Halfway:
    titles = [_STEP.findall(statement) for statement in statements]
    done = tuple(title for here in titles[:number] for title in here)
    left = tuple(title for here in titles[number:] for title in here)
    return Halfway(done, left, tuple(statements[number:]))


def _schema(path: Path) -> set[tuple[str, str]]:
    with contextlib.closing(open_immutable(path)) as connection:
        rows = connection.execute("SELECT type, name FROM sqlite_schema").fetchall()
    return {(str(kind), str(name)) for kind, name in rows}


def _instant(path: Path) -> str:
    """The migration's instant in the ledger, from which all its times are taken; "" without one."""
    with contextlib.closing(open_immutable(path)) as connection:
        try:
            row = connection.execute(f"SELECT max(applied_at) FROM {LEDGER}").fetchone()
        except sqlite3.OperationalError:
            return ""
    return str(row[0] or "")
