"""Makes a valid new row for a table that nothing is known of but its schema and its rows.

The best model of a valid row is one that is there already: it is copied inside SQLite, and only
what must be unique gets new values. An empty table gets the least that its constraints ask for.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runbook.sqlite.quoting import quote_name, same_name
from runbook.sqlite.tables import Table

ATTEMPTS = 6
"""Kinds of new values that are tried, until the table's constraints let one pass."""

Value = str | int | float | bytes | None


@dataclass(frozen=True)
class NewRow:
    """A row that was made: `where` finds it again, with `key` bound."""

    where: str
    key: tuple[Value, ...]


@dataclass(frozen=True)
class CannotMake:
    """No row could be made; `reason` is what the table said last."""

    reason: str


def make_row(
    connection: sqlite3.Connection,
    table: Table,
    fixed: Mapping[str, Value],
    like: tuple[str, tuple[Value, ...]] | None = None,
) -> NewRow | CannotMake:
    """Inserts one more row into `table`, in the open transaction.

    Args:
        connection: inside a transaction; foreign keys are enforced if it says so.
        table: the table, as it is now.
        fixed: columns whose value is given.
        like: a condition that finds a row to copy, and what it binds; None where there is none.
    """
    facts = _Facts.read(connection, table)
    model = None if like is None else _model(connection, table, facts, like)
    reason = "no value passed its constraints"
    for attempt in range(ATTEMPTS):
        fresh = dict(_fresh_values(connection, table, facts, fixed, model, attempt))
        names = [c for c in facts.columns if model is not None or c in fresh]
        if facts.automatic in names:
            names.remove(facts.automatic)
        connection.execute("SAVEPOINT one_row")
        try:
            cursor = connection.execute(*_insert(table, names, fresh, like if model else None))
        except sqlite3.Error as error:
            connection.execute("ROLLBACK TO one_row")
            reason = str(error)
        else:
            if cursor.rowcount == 1:
                return _found(connection, table, facts, fresh, cursor.lastrowid)
            reason = "the INSERT was passed over without an error, as a trigger can do"
        finally:
            connection.execute("RELEASE one_row")
    return CannotMake(reason)


@dataclass(frozen=True)
class _Facts:
    """What constraints say: columns that can be written, and those that must be new or must lead
    to another table."""

    columns: tuple[str, ...]
    key: tuple[str, ...]
    automatic: str | None
    unique: tuple[tuple[str, ...], ...]
    needed: tuple[str, ...]
    parents: Mapping[str, tuple[str, str | None]]
    types: Mapping[str, str]

    @classmethod
    def read(cls, connection: sqlite3.Connection, table: Table) -> _Facts:
        keys = [c.name for c in table.columns if c.primary_key_position]
        types = {c.name: c.type.upper() for c in table.columns}
        automatic = keys[0] if table.stable_rowid and keys else None
        unique = [tuple(keys)] if keys else []
        for name, is_unique in connection.execute(
            'SELECT name, "unique" FROM pragma_index_list(?)', (table.name,)
        ).fetchall():
            if is_unique:
                columns = connection.execute("SELECT name FROM pragma_index_info(?)", (name,))
                unique.append(tuple(c for (c,) in columns if c is not None))
        defaults = dict(
            connection.execute("SELECT name, dflt_value FROM pragma_table_xinfo(?)", (table.name,))
        )
        needed = [
            c.name
            for c in table.columns
            if (c.not_null or c.primary_key_position)
            and defaults.get(c.name) is None
            and c.generated == "no"
        ]
        parents = {
            child: (parent, column)
            for parent, child, column in connection.execute(
                'SELECT "table", "from", "to" FROM pragma_foreign_key_list(?)', (table.name,)
            )
        }
        written = tuple(c.name for c in table.columns if c.generated == "no")
        return cls(
            written,
            tuple(keys),
            automatic,
            tuple(filter(None, unique)),
            tuple(needed),
            parents,
            types,
        )


@dataclass(frozen=True)
class _Model:
    """Storage class and length of every cell of the row that is copied."""

    kinds: Mapping[str, str]
    lengths: Mapping[str, int]


def _model(
    connection: sqlite3.Connection,
    table: Table,
    facts: _Facts,
    like: tuple[str, tuple[Value, ...]],
) -> _Model | None:
    where, values = like
    asked = ", ".join(
        f"typeof({quote_name(c)}), coalesce(length({quote_name(c)}), 0)" for c in facts.columns
    )
    row = connection.execute(
        f"SELECT {asked} FROM {quote_name(table.name)} WHERE {where} LIMIT 1", values
    ).fetchone()
    if row is None:
        return None
    return _Model(
        dict(zip(facts.columns, row[::2], strict=True)),
        dict(zip(facts.columns, row[1::2], strict=True)),
    )


def _fresh_values(
    connection: sqlite3.Connection,
    table: Table,
    facts: _Facts,
    fixed: Mapping[str, Value],
    model: _Model | None,
    attempt: int,
) -> Iterator[tuple[str, Value]]:
    """The columns that get a value of their own: given, unique, or needed in an empty table."""
    given = {name: _given(name, fixed) for name in facts.columns if _is_given(name, fixed)}
    yield from given.items()
    done = set(given)
    if facts.automatic is not None and facts.automatic not in done:
        done.add(facts.automatic)  # SQLite gives it the next number
    # Longer rules last: a column that is fresh for one of them is fresh for the others too.
    for columns in sorted(facts.unique, key=len):
        if facts.automatic in columns or done.intersection(set(columns) - set(given)):
            continue
        absent = model is not None and any(
            model.kinds[c] == "null" for c in columns if c not in given
        )
        if absent and columns != facts.key:
            continue  # with a NULL in it, it is no duplicate
        free = [c for c in columns if c not in done]
        free.sort(key=lambda c: c in facts.parents)
        if not free:
            continue
        column = free[0]
        done.add(column)
        yield column, _new_value(connection, table, facts, column, model, attempt)
    if model is None:
        for column in facts.needed:
            if column not in done:
                done.add(column)
                yield column, _new_value(connection, table, facts, column, model, attempt)


def _is_given(name: str, fixed: Mapping[str, Value]) -> bool:
    return any(same_name(name, other) for other in fixed)


def _given(name: str, fixed: Mapping[str, Value]) -> Value:
    return next(value for other, value in fixed.items() if same_name(name, other))


def _new_value(
    connection: sqlite3.Connection,
    table: Table,
    facts: _Facts,
    column: str,
    model: _Model | None,
    attempt: int,
) -> Value:
    """A value that the column does not hold yet, or the key of a row that it must lead to."""
    if column in facts.parents:
        parent, key = facts.parents[column]
        # A column that leads elsewhere cannot have an invented value; another parent may do.
        row = connection.execute(
            f"SELECT {quote_name(key or 'rowid')} FROM {quote_name(parent)} LIMIT 1 OFFSET ?",
            (attempt,),
        ).fetchone()
        value: Value = row[0] if row else None
        return value
    kind, length = _kind(facts.types[column]), 0
    if model is not None and model.kinds[column] != "null":
        kind, length = model.kinds[column], model.lengths[column]
    if kind == "integer":
        return _next_number(connection, table, column) + attempt
    if kind == "real":
        return float(_next_number(connection, table, column) + attempt)
    if kind == "blob":
        return os.urandom(length or 16)
    token = uuid.uuid4()
    texts = (
        str(token),
        token.hex,
        (token.hex * (length // 32 + 1))[: length or 8],  # where the length is fixed
        f"runbook-{token.hex[:8]}@runbook.invalid",
        str(token.int)[: length or 8],  # where only digits may stand
        "2001-01-01 00:00:00",
    )
    return texts[attempt % len(texts)]


def _kind(declared: str) -> str:
    """The storage class that SQLite's rules of affinity give a value of the declared type."""
    if "INT" in declared:
        return "integer"
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if "BLOB" in declared:
        return "blob"
    if any(word in declared for word in ("REAL", "FLOA", "DOUB")):
        return "real"
    return "integer" if declared else "text"


def _next_number(connection: sqlite3.Connection, table: Table, column: str) -> int:
    name = quote_name(column)
    (largest,) = connection.execute(
        f"SELECT max({name}) FROM {quote_name(table.name)} WHERE typeof({name})"
        " IN ('integer', 'real')"
    ).fetchone()
    number = int(largest or 0) + 1
    return number if number < 2**62 else -1


def _insert(
    table: Table,
    names: list[str],
    fresh: Mapping[str, Value],
    like: tuple[str, tuple[Value, ...]] | None,
) -> tuple[str, tuple[Value, ...]]:
    target = quote_name(table.name)
    bound = tuple(fresh[n] for n in names if n in fresh)
    columns = ", ".join(map(quote_name, names))
    if like is None:
        if not names:
            return f"INSERT INTO {target} DEFAULT VALUES", ()
        marks = ", ".join("?" for _ in names)
        return f"INSERT INTO {target} ({columns}) VALUES ({marks})", bound
    cells = ", ".join("?" if n in fresh else quote_name(n) for n in names)
    where, values = like
    return (
        f"INSERT INTO {target} ({columns}) SELECT {cells} FROM {target} WHERE {where} LIMIT 1",
        (*bound, *values),
    )


def _found(
    connection: sqlite3.Connection,
    table: Table,
    facts: _Facts,
    fresh: Mapping[str, Value],
    rowid: int | None,
) -> NewRow | CannotMake:
    if table.rowid is not None:
        return NewRow(f"{quote_name(table.rowid)} = ?", (rowid,))
    # Without a rowid, the unique columns that got new values name the row.
    named = [c for c in fresh if any(c in columns for columns in facts.unique)]
    if not named:
        return CannotMake("a row was made, but nothing unique tells it from the others")
    where = " AND ".join(f"{quote_name(c)} IS ?" for c in named)
    key = tuple(fresh[c] for c in named)
    (rows,) = connection.execute(
        f"SELECT count(*) FROM {quote_name(table.name)} WHERE {where}", key
    ).fetchone()
    if rows != 1:
        return CannotMake("a row was made, but its key does not tell it from the others")
    return NewRow(where, key)
