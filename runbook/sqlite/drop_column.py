"""What DROP COLUMN does to the texts of a schema besides the column that goes.

SQLite writes string literals in double quotes anew, in single quotes, wherever they stand: in any
table, index, view or trigger. They mean the same, and yet the schema is not what it was.
"""

from __future__ import annotations

import sqlite3

from runbook.sqlite.quoting import fold_name
from runbook.sqlite.tables import SchemaObject, read_objects

_PROBE = "runbook_probe"


def rewritten_objects(connection: sqlite3.Connection) -> tuple[SchemaObject, ...]:
    """The objects of `main`, as they are, whose text a DROP COLUMN in any table would rewrite.

    It is tried on an empty table inside a savepoint, of which nothing remains. Objects that are
    broken are passed over by SQLite, and keep their text.
    """
    before = read_objects(connection)
    taken, table = {fold_name(each.name) for each in before}, _PROBE
    while table in taken:
        table += "_"
    connection.execute(f"SAVEPOINT {_PROBE}")
    try:
        connection.execute(f"CREATE TABLE main.{table} (a, b)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(f"ALTER TABLE main.{table} DROP COLUMN b")
        after = set(read_objects(connection))
    finally:
        connection.execute("PRAGMA writable_schema = OFF")
        connection.execute(f"ROLLBACK TO {_PROBE}")
        connection.execute(f"RELEASE {_PROBE}")
    return tuple(each for each in before if each not in after)
