"""The way back as statements that D1 can run by itself, without the backup at hand.

In SQLite a rollback takes old values from the attached backup. D1 has none, so what those
statements did on a copy is read off the copy, and written out as values, a few hundred rows at a
time. A guard at the beginning compares every table with what was looked at: if anybody has written
meanwhile, the whole file aborts.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runbook.errors import TargetError
from runbook.script.migration import GUARD, Script
from runbook.sqlite.quoting import quote_name, quote_value, unquote_name
from runbook.sqlite.tables import read_tables
from runbook.targets.d1.cells import RawText, literal
from runbook.targets.d1.migration_file import forget, spaced
from runbook.targets.d1.schema import StoredTable, sums_sql
from runbook.templates import sql_file

STATEMENT_CHARACTERS = 8_000
"""About the length of one statement: wrangler takes time that grows with the square of it."""

CHANGED = "written_to_since_it_was_looked_at"
"""Name of the guard's constraint."""

_NAME = r'"(?:[^"]|"")*"'
_RESTORES = re.compile(
    rf"\s*UPDATE ({_NAME}) AS r\s+SET ({_NAME}) = b\.\2\s+FROM before\.\1 AS b\b"
)
_REFERS = re.compile(r"\bbefore\.")


@dataclass(frozen=True)
class Note:
    """wrangler's note of the migration; `drop_table`: its table came with the migration."""

    table: str
    file: str
    drop_table: bool

    def forget(self) -> tuple[str, ...]:
        """Statements that take the note back."""
        if self.drop_table:
            return (f"DROP TABLE IF EXISTS {quote_name(self.table)};",)
        return forget(self.file, self.table)


def rollback_text(
    script: Script,
    tables: Sequence[StoredTable],
    copies: sqlite3.Connection,
    note: Note,
    first: Sequence[str] = (),
) -> str:
    """The script as a file for D1, which also takes back wrangler's note of the migration.

    Args:
        script: the way back, as it ran on the copy.
        tables: what D1 holds now.
        copies: a connection with the replica attached as `now`, and as `main` the copy on which
            the script ran.
        note: the note to take back.
        first: statements that go before everything else.

    Raises:
        TargetError: a statement needs the backup in a way that cannot be written out.
    """
    parts = [
        f"-- {' '.join(script.migration.split())}: the way back.\n"
        "-- For Cloudflare D1, which runs this file in a transaction of its own: all or nothing.",
        *first,
        *_guard(tables, copies),
        *_steps(script, copies),
        "-- Take back wrangler's note, so that the migration can be applied again",
        *note.forget(),
        f"DROP TABLE {GUARD};",
    ]
    return "\n\n".join(parts) + "\n"


def _steps(script: Script, copies: sqlite3.Connection) -> Iterator[str]:
    """The script's statements; what takes values from the backup is written out with them."""
    written: set[tuple[str, ...]] = set()
    for number, step in enumerate(script.steps):
        yield f"-- Step {number}: {step.title}"
        for statement in step.statements:
            code = re.sub(r"--[^\n]*\n?", "", statement)
            restored = _RESTORES.match(code)
            if restored and restored.groups() not in written:
                written.add(restored.groups())
                yield from _restored(copies, unquote_name(restored[1]), unquote_name(restored[2]))
            elif restored:
                continue
            elif _REFERS.search(code):
                raise TargetError(
                    f"The step {step.title!r} takes something from the backup that cannot be "
                    "written out for D1; roll back by Time Travel, or by hand."
                )
            else:
                yield spaced(statement)


def _guard(tables: Sequence[StoredTable], copies: sqlite3.Connection) -> Iterator[str]:
    """Aborts unless the sums of every table are those of the replica."""
    sums = []
    for table in tables:
        if table.name.startswith("sqlite_"):
            continue  # they follow from the others
        query = sums_sql(table)
        (was,) = copies.execute(query.replace(f" FROM {table.sql}", f" FROM now.{table.sql}", 1))
        sums.append({"table": quote_value(table.name), "now": query, "was": quote_value(was[0])})
    yield from sql_file("d1/guard_sums").statements(guard=GUARD, changed=CHANGED, sums=sums)


def _restored(copies: sqlite3.Connection, table: str, column: str) -> Iterator[str]:
    """UPDATEs that give a column the values that it has on the copy, where it has others now."""
    stored = next(t for t in read_tables(copies, "now") if t.name == table)
    keys = (stored.rowid,) if stored.rowid is not None else stored.key
    name = quote_name(table)
    names = [f"a.{quote_name(k)}" for k in keys]
    a, b = f"a.{quote_name(column)}", f"b.{quote_name(column)}"
    on = " AND ".join(f"a.{quote_name(k)} IS b.{quote_name(k)}" for k in keys)
    text = f"typeof({b}), CASE typeof({b}) WHEN 'text' THEN CAST({b} AS BLOB) ELSE {b} END"
    rows = copies.execute(
        f"SELECT {text}, {', '.join(names)} FROM now.{name} AS a"
        f" JOIN main.{name} AS b ON {on}"
        f" WHERE typeof({a}) <> typeof({b}) OR {a} IS NOT {b} COLLATE BINARY"
        f" ORDER BY {', '.join(names)}"
    )
    head = f"UPDATE {name} SET {quote_name(column)} = v.column1 FROM (VALUES\n"
    where = " AND ".join(f"{name}.{quote_name(k)} = v.column{n}" for n, k in enumerate(keys, 2))
    tail = f"\n) AS v WHERE {where};"
    pending: list[str] = []
    size = 0
    for kind, value, *key in rows:
        restored = _literal(value.decode("utf-8", "surrogateescape") if kind == "text" else value)
        line = f"({', '.join([restored, *map(_literal, key)])})"
        if pending and size + len(line) > STATEMENT_CHARACTERS:
            yield head + ",\n".join(pending) + tail
            pending, size = [], 0
        pending.append(line)
        size += len(line) + 2
    if pending:
        yield head + ",\n".join(pending) + tail


def _literal(value: str | bytes | int | float | None) -> str:
    """Readable where that is safe, exact in any case."""
    if isinstance(value, str):
        if value.isascii() and value.isprintable() and ";" not in value:
            return quote_value(value)
        raw = value.encode("utf-8", "surrogateescape")
        return literal(RawText(raw)).removeprefix("+")
    return literal(value)
