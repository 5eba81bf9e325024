"""A plan's names in the schema's own spelling, found once, when the plan meets the database.

SQLite takes `Updated_At` and `updated_at` for one column; Parquet files, DuckDB and records do
not. So everything after this speaks of `Updated_At`, if that is what the schema says.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from runbook.plan.plan import Plan, Resource, Users
from runbook.sqlite.quoting import fold_name, quote_name, same_name


def resolve(plan: Plan, connection: sqlite3.Connection) -> Plan:
    """The plan with the spelling of the schema; a name that is not there stays as it is.

    The adopter is the key of a user: where the key's column takes several spellings for one (with
    COLLATE NOCASE), it becomes the spelling of that user's key.
    """
    tables = [
        str(name)
        for (name,) in connection.execute(
            "SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'view')"
        )
    ]

    def table(name: str) -> str:
        return _spelled(name, tables)

    users = _users(plan.users, connection, table(plan.users.table))
    return replace(
        plan,
        users=users,
        resources=tuple(_resource(r, connection, table(r.table)) for r in plan.resources),
        triggers=replace(plan.triggers, may_write=tuple(map(table, plan.triggers.may_write))),
        unowned=replace(plan.unowned, adopter=_adopter(plan.unowned.adopter, connection, users)),
    )


def same_plan(one: Plan, other: Plan) -> bool:
    """Whether both plans say the same, be the names of tables and columns spelled as they may.

    One is as it stands in a file, the other as it was resolved when the run began. The adopter is
    no name but the key of a user: 'ann' and 'Ann' may be two, so its letters count.
    """
    return _folded(one) == _folded(other)


def _users(users: Users, connection: sqlite3.Connection, table: str) -> Users:
    columns = _columns(connection, table)
    return Users(
        table,
        _spelled(users.key, columns),
        None if users.email is None else _spelled(users.email, columns),
    )


def _resource(resource: Resource, connection: sqlite3.Connection, table: str) -> Resource:
    columns = _columns(connection, table)
    at = resource.updated_at
    return replace(
        resource,
        table=table,
        owner=_spelled(resource.owner, columns),
        updated_at=None if at is None else _spelled(at, columns),
    )


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    with contextlib.suppress(sqlite3.Error):  # a broken view has none
        rows = connection.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (table,))
        return [str(name) for (name,) in rows]
    return []


def _spelled(name: str, names: Iterable[str]) -> str:
    return next((n for n in names if same_name(n, name)), name)


def _adopter(adopter: str, connection: sqlite3.Connection, users: Users) -> str:
    """The key of the one user whom the column's own comparison finds; else the text as it is."""
    if not adopter:
        return adopter
    key = quote_name(users.key)
    with contextlib.suppress(sqlite3.Error):
        keys = connection.execute(
            f"SELECT {key} FROM main.{quote_name(users.table)}"
            f" WHERE {key} = ? AND typeof({key}) = 'text' LIMIT 2",
            (adopter,),
        ).fetchall()
        if len(keys) == 1:
            return str(keys[0][0])
    return adopter


def _folded(plan: Plan) -> Plan:
    """The plan with every name folded as SQLite folds it, for comparing only."""

    def fold(name: str | None) -> str | None:
        return None if name is None else fold_name(name)

    users = Users(fold_name(plan.users.table), fold_name(plan.users.key), fold(plan.users.email))
    return replace(
        plan,
        users=users,
        resources=tuple(
            replace(
                r,
                table=fold_name(r.table),
                owner=fold_name(r.owner),
                updated_at=fold(r.updated_at),
            )
            for r in plan.resources
        ),
        triggers=replace(
            plan.triggers, may_write=tuple(fold_name(name) for name in plan.triggers.may_write)
        ),
    )
