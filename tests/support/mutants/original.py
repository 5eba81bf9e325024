"""What a mutant is, and what its maker knows of the original, the database that it is made of."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from runbook.script.migration import Script
from tests.support.mutants.content import quoted

Kind = Literal["SQL", "data before the gate", "data after the commit", "header", "schema"]
KINDS: tuple[Kind, ...] = (
    "SQL",
    "data before the gate",
    "data after the commit",
    "header",
    "schema",
)

AT_BEGIN, AFTER_COMMIT = -1, 99
"""Moments besides the numbers of the steps after which something is done."""


@dataclass(frozen=True)
class Mutant:
    """One thing that goes wrong, at a moment; `statement` replaces one of the script's for SQL."""

    kind: Kind
    name: str
    moment: int
    sql: tuple[str, ...]
    statement: tuple[int, int] | None = None
    """Step and number of the statement that is replaced by `sql`."""

    @property
    def is_before(self) -> bool:
        """Whether the gate has to find it."""
        return self.moment != AFTER_COMMIT


@dataclass(frozen=True)
class TableProfile:
    """One table: its columns, those that can be written, the key, and how many rows."""

    name: str
    columns: tuple[str, ...]
    writable: tuple[str, ...]
    key: tuple[str, ...]
    rowid: str | None
    rows: int
    where: str
    """Which of the groups of the published table it belongs to."""

    def row(self, number: int) -> str:
        """The condition for one row."""
        names = (self.rowid,) if self.rowid else tuple(map(quoted, self.key))
        listed = ", ".join(names)
        pick = f"SELECT {listed} FROM {quoted(self.name)} ORDER BY {listed} LIMIT 1 OFFSET {number}"
        return f"({listed}) = ({pick})" if len(names) > 1 else f"{listed} = ({pick})"

    def other(self, column: str, number: int) -> str:
        """The value of a column in another row."""
        return (
            f"(SELECT {quoted(column)} FROM {quoted(self.name)} ORDER BY 1 LIMIT 1 OFFSET {number})"
        )


@dataclass(frozen=True)
class Original:
    """What the generator knows: tables and objects before and after, and the script."""

    before: tuple[TableProfile, ...]
    after: tuple[TableProfile, ...]
    objects: tuple[tuple[str, str, str, str], ...]
    """Type, name, table and text of what the application made."""
    script: Script
    draw: random.Random = field(default_factory=lambda: random.Random(0))

    def seeded(self, seed: int) -> Original:
        """The same with another seed."""
        return replace(self, draw=random.Random(seed))


def read_tables(path: Path, where: Callable[[str], str]) -> tuple[TableProfile, ...]:
    """The tables that have rows to be changed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
                " AND name NOT LIKE 'sqlite_schema' ORDER BY name"
            )
        ]
        return tuple(_read_table(connection, name, where(name)) for name in names)


def _read_table(connection: sqlite3.Connection, name: str, where: str) -> TableProfile:
    columns = connection.execute(
        "SELECT name, pk, hidden FROM pragma_table_xinfo(?)", (name,)
    ).fetchall()
    (rows,) = connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()
    (without,) = connection.execute(
        "SELECT wr FROM pragma_table_list WHERE name = ? AND schema = 'main'", (name,)
    ).fetchone()
    taken = {c.casefold() for c, _, _ in columns}
    free = next((a for a in ("rowid", "_rowid_", "oid") if a not in taken), None)
    return TableProfile(
        name,
        tuple(c for c, _, _ in columns),
        tuple(c for c, _, hidden in columns if not hidden),
        tuple(c for c, pk, _ in sorted(columns, key=lambda c: c[1]) if pk),
        None if without else free,
        rows,
        where,
    )
