"""Generated columns: which depend on another column, and whether stored ones are right.

A virtual column is a function of its row and of the text of the schema, so it is right where these
are. A stored one is bytes like any other; whether they are what its expression gives is found out
by SQLite itself, in a temporary table of the very same text.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

from runbook.sqlite.inequality import any_differs
from runbook.sqlite.quoting import IN_WORD, fold_name, quote_name, same_name, unquote_name
from runbook.sqlite.tables import Table

_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]"
    rf"|[{IN_WORD}]+|\S",
    re.DOTALL,
)


def generated_from(
    connection: sqlite3.Connection, table: str, columns: set[str], schema: str = "main"
) -> tuple[str, ...]:
    """The generated columns whose definition names one of `columns`, or one of those in turn."""
    generated = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM pragma_table_xinfo(?, ?) WHERE hidden IN (2, 3) ORDER BY cid",
            (table, schema),
        )
    ]
    if not generated:
        return ()
    row = connection.execute(
        f"SELECT sql FROM {quote_name(schema)}.sqlite_schema"
        " WHERE type = 'table' AND lower(name) = lower(?)",
        (table,),
    ).fetchone()
    words = dict(_definitions(row[0] if row else ""))
    reached = {fold_name(name) for name in columns}
    dependent: list[str] = []
    while more := [
        name
        for name in generated
        if name not in dependent and words.get(fold_name(name), frozenset()) & reached
    ]:
        dependent += more
        reached |= {fold_name(name) for name in more}
    return tuple(name for name in generated if name in dependent)


def count_wrong_stored(connection: sqlite3.Connection, table: Table, columns: set[str]) -> int:
    """Rows of `main` in which a stored column among `columns` is not what its expression gives.

    The table is filled once more as a temporary one, with its own text.
    """
    stored = [c for c in table.columns if c.generated == "stored" and c.name in columns]
    if not stored:
        return 0
    plain = [quote_name(c.name) for c in table.columns if c.generated == "no"]
    name = quote_name(table.name)
    (sql,) = connection.execute(
        "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?", (table.name,)
    ).fetchone()
    if table.rowid is not None:
        on = f"a.{quote_name(table.rowid)} = b.{quote_name(table.rowid)}"
        if not any(same_name(table.rowid, c.name) for c in table.columns):
            plain.insert(0, quote_name(table.rowid))
    else:
        on = " AND ".join(f"a.{quote_name(k)} IS b.{quote_name(k)}" for k in table.key)
    into = ", ".join(plain)
    connection.execute(re.sub(r"^CREATE\s", "CREATE TEMP ", sql, count=1, flags=re.IGNORECASE))
    try:
        connection.execute(f"INSERT INTO temp.{name} ({into}) SELECT {into} FROM main.{name}")
        (wrong,) = connection.execute(
            f"SELECT count(*) FROM temp.{name} AS a JOIN main.{name} AS b ON {on}"
            f" WHERE {any_differs((c, c) for c in stored)}"
        ).fetchone()
    finally:
        connection.execute(f"DROP TABLE temp.{name}")
    return int(wrong)


def _definitions(sql: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Name of each column in a CREATE TABLE, and the words of its definition, casefolded."""
    tokens = [t for t in _TOKEN.findall(sql) if not t.startswith(("--", "/*"))]
    depth = 0
    definition: list[str] = []
    for token in tokens:
        if token == ")":
            depth -= 1
        if (token == "," and depth == 1) or depth < 0 or (token == ")" and depth == 0):
            if definition:
                yield definition[0], frozenset(definition[1:])
            definition = []
        elif depth:
            definition.append(fold_name(unquote_name(token)))
        if token == "(":
            depth += 1
