"""Whether SQLite does the very same steps to read a view now as before.

SQLite makes a program of every query. Where the programs of a view over the database and over its
backup are the same, step by step, and open tables and indexes of the same names, they return the
same from the same rows: whatever a new column could change in the meaning of a name, of `*`, of
NATURAL JOIN or USING would stand in the program, and so would another order of reading.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from runbook.sqlite.quoting import fold_name, quote_name

_OPENS = ("OpenRead", "ReopenIdx")
_BEGINS = "Transaction"


def same_program(connection: sqlite3.Connection, view: str, columns: tuple[str, ...]) -> bool:
    """Whether these columns of a view are read by the same program from `main` and `before`.

    The rows must have been found to be the same in all that the view reads. Virtual tables have
    no program, so of a view over one it is never known.
    """
    chosen = ", ".join(map(quote_name, columns))
    programs = [
        _program(connection, schema, f"SELECT {chosen} FROM {schema}.{quote_name(view)}")
        for schema in ("before", "main")
    ]
    return programs[0] == programs[1]


def _program(connection: sqlite3.Connection, schema: str, query: str) -> list[tuple[Any, ...]]:
    """The steps of a query, with names in place of numbers of pages and schemas."""
    schemas = {number: name for number, name, _ in connection.execute("PRAGMA database_list")}
    places = _places(connection, schema)
    steps = connection.execute(f"EXPLAIN {query}").fetchall()
    return [_named(step[:7], schemas, schema, places) for step in steps]


def _named(
    step: tuple[Any, ...],
    schemas: Mapping[int, str],
    schema: str,
    places: Mapping[int, tuple[str, str]],
) -> tuple[Any, ...]:
    """A step: address, name, three numbers, what belongs to it, and flags."""
    address, name, one, two, three, more, flags = step
    if name == _BEGINS:  # the number of the schema, and its version
        return address, name, schemas.get(one) == schema, two
    if name in _OPENS and schemas.get(three) == schema:
        place = places.get(two)
        # With a table stands how many of its columns may be asked for, which is no step.
        more = None if place and place[0] == "table" and str(more).isdigit() else more
        return address, name, one, place, more, flags
    return address, name, one, two, three, more, flags


def _places(connection: sqlite3.Connection, schema: str) -> dict[int, tuple[str, str]]:
    """Each table and index by the page that it begins on."""
    rows = connection.execute(f"SELECT rootpage, type, name FROM {schema}.sqlite_schema")
    return {page: (kind, fold_name(name)) for page, kind, name in rows if page}
