"""The migration in chunks, for a D1 database that is too large for one statement.

Cloudflare ends a statement after 30 seconds. So the work is cut into parts that are each one atomic
unit: the schema, the rows range by range, each index, each invariant, and the ledger last. A part
enters its number in a table as its first act, where a number fits only once: so no part can ever
happen twice, however often it is sent, and the highest number says where to go on.

Until the last part the ledger's row has another name, so that nobody takes the migration for done.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runbook.script.migration import RANGE, Script
from runbook.sqlite.quoting import quote_name, quote_value, same_name
from runbook.sqlite.tables import Table, read_tables
from runbook.targets.d1.cells import literal
from runbook.targets.d1.migration_file import spaced
from runbook.templates import sql_file

CHUNKS = "runbook_chunks"
"""Name of the table with a row for each part that has happened."""

UNFINISHED = " (in chunks, not finished)"
"""Behind the migration's name in the ledger, until the last part has happened."""


@dataclass(frozen=True)
class Part:
    """One atomic part of the migration; numbers count from 1."""

    number: int
    title: str
    text: str


@dataclass(frozen=True)
class Entry:
    """wrangler's note of the migration: its table, and the name that the file has there."""

    table: str
    file: str


def parts(script: Script, backup: sqlite3.Connection, rows: int, entry: Entry) -> tuple[Part, ...]:
    """The whole migration as parts of at most `rows` rows.

    They follow from the backup alone, so that every start makes the same ones.

    Args:
        script: the migration.
        backup: the database as it was before, where the ranges are found.
        rows: rows of a table in one part.
        entry: what the last part enters in wrangler's table of applied migrations.
    """
    work = list(_work(script, backup, rows, entry))
    digest = hashlib.sha256("\n".join(text for _, text in work).encode()).hexdigest()
    chunk = sql_file("d1/chunk")
    cut = []
    for number, (title, text) in enumerate(work, 1):
        # The last part drops the table with everything else that only the work needed.
        entered = chunk.statements(chunks=CHUNKS, number=number, digest=quote_value(digest))
        cut.append(Part(number, title, "\n\n".join([*entered, f"{text}\n"])))
    return tuple(cut)


def digest_of(whole: Sequence[Part]) -> str:
    """What tells one way of cutting a migration from another."""
    match = re.search(r"VALUES \(1, '([0-9a-f]{64})'\)", whole[0].text)
    assert match is not None
    return match[1]


def finishing_sql(migration: str) -> tuple[str, ...]:
    """Statements after which a migration in chunks looks finished, wherever it stopped."""
    return sql_file("d1/finish_chunks").statements(
        migration=quote_value(migration), unfinished=quote_value(migration + UNFINISHED)
    )


def _work(
    script: Script, backup: sqlite3.Connection, rows: int, entry: Entry
) -> Iterator[tuple[str, str]]:
    """Title and text of each part, without its entry."""
    steps = {step.name: step for step in script.steps}

    def text(statements: Sequence[str]) -> str:
        return "\n\n".join(_unfinished(spaced(s), script.migration) for s in statements)

    first = ("open_ledger", "add_organization_id", "create_organizations", "create_memberships")
    yield "Schema", text([s for name in first for s in steps[name].statements])
    tables = read_tables(backup)
    for chunked in script.chunks:
        table = next(t for t in tables if same_name(t.name, chunked.table))
        for number, condition in enumerate(_ranges(backup, table, rows), 1):
            title = f"{chunked.title}: {table.name}, range {number}"
            yield title, text([s.replace(RANGE, condition) for s in chunked.statements])
    for statement in steps["add_indexes"].statements:
        yield "Index", text([statement])
    for statement in steps["verify"].statements[:-1]:
        yield "Invariant", text([statement])
    note = sql_file("d1/note").statements(
        table=quote_name(entry.table), file=quote_value(entry.file)
    )
    yield "Ledger", "\n\n".join([*note, *finishing_sql(script.migration)])


def _ranges(backup: sqlite3.Connection, table: Table, rows: int) -> Iterator[str]:
    """Conditions on row `u` that share the table's rows out; the last one has no upper end."""
    keys = (table.rowid,) if table.rowid is not None else table.key
    names = ", ".join(map(quote_name, keys))
    columns = ", ".join(f"u.{quote_name(key)}" for key in keys)
    ends = backup.execute(
        f"SELECT {names} FROM (SELECT {names}, row_number() OVER (ORDER BY {names}) AS number"
        f" FROM {quote_name(table.name)}) WHERE number % {rows} = 0 ORDER BY {names}"
    )
    after = ""
    for end in ends:
        upto = ", ".join(map(literal, end))
        yield f"{after}({columns}) <= ({upto})"
        after = f"({columns}) > ({upto}) AND "
    yield after.removesuffix(" AND ") or "1"


def _unfinished(statement: str, migration: str) -> str:
    """The statement with the name that the ledger's row has until the end."""
    name = re.escape(quote_value(migration))
    other = quote_value(migration + UNFINISHED)
    return re.sub(
        rf"(WHERE migration = |^VALUES \(){name}",
        lambda m: m[1] + other,
        statement,
        flags=re.MULTILINE,
    )
