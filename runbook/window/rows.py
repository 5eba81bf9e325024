"""Makes a valid new row for a table of which only the schema and the rows are known.

The best model of a valid row is one that is there already: it is copied inside SQLite, and only
what must be unique gets new values. An empty table gets the least that its constraints ask for.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runbook.sqlite.quoting import quote_name, same_name
from runbook.sqlite.tables import Table

ATTEMPTS = 6
"""Kinds of new values that are tried, until the table's constraints let one pass."""

_COLUMNS_AT_ONCE = 500  # SQLite gives at most 2,000 results in a row, and two are asked of each

Value = str | int | float | bytes | None


@dataclass(frozen=True)
class Like:
    """What finds a row: the condition `where`, with `key` bound."""

    where: str
    key: tuple[Value, ...]


class NewRow(Like):
    """What finds a row that was made."""


_Model = Mapping[str, tuple[str, int]]
"""Storage class and length of every cell of the row that is copied."""


@dataclass(frozen=True)
class CannotMake:
    """No row could be made; `reason` is the last error."""

    reason: str


def make_row(
    connection: sqlite3.Connection,
    table: Table,
    fixed: Mapping[str, Value],
    like: Like | None = None,
) -> NewRow | CannotMake:
    """Inserts one more row into `table`, in the open transaction.

    Args:
        connection: inside a transaction; foreign keys are enforced if it says so.
        table: the table, as it is now.
        fixed: columns whose value is fixed.
        like: what finds a row to copy; None where there is none.
    """
    rules = _Rules.read(connection, table)
    model = _read_model(connection, table, rules.columns, like)
    source = _Source(connection, table, rules, model)
    reason = "no value passed its constraints"
    for attempt in range(ATTEMPTS):
        fresh = dict(source.fresh_values(fixed, attempt))
        names = [c for c in rules.columns if model is not None or c in fresh]
        if rules.automatic in names:
            names.remove(rules.automatic)
        connection.execute("SAVEPOINT one_row")
        try:
            cursor = connection.execute(*_insert(table, names, fresh, like if model else None))
        except sqlite3.Error as error:
            connection.execute("ROLLBACK TO one_row")
            reason = str(error)
        else:
            if cursor.rowcount == 1:
                return source.inserted(fresh, cursor.lastrowid)
            reason = "the INSERT was skipped without an error, as a trigger can do"
        finally:
            connection.execute("RELEASE one_row")
    return CannotMake(reason)


@dataclass(frozen=True)
class _Rules:
    """The constraints: columns that can be written, and those that must be new or must lead
    to another table."""

    columns: tuple[str, ...]
    key: tuple[str, ...]
    automatic: str | None
    unique: tuple[tuple[str, ...], ...]
    needed: tuple[str, ...]
    parents: Mapping[str, tuple[str, str | None]]
    types: Mapping[str, str]

    @classmethod
    def read(cls, connection: sqlite3.Connection, table: Table) -> _Rules:
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


def _read_model(
    connection: sqlite3.Connection, table: Table, columns: Sequence[str], like: Like | None
) -> _Model | None:
    if like is None:
        return None
    model: dict[str, tuple[str, int]] = {}
    # Each part finds the same row, since nothing is written in between and the plan is the same.
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        some = columns[start : start + _COLUMNS_AT_ONCE]
        cells = ", ".join(
            f"typeof({quote_name(c)}), coalesce(length({quote_name(c)}), 0)" for c in some
        )
        row = connection.execute(
            f"SELECT {cells} FROM {quote_name(table.name)} WHERE {like.where} LIMIT 1", like.key
        ).fetchone()
        if row is None:
            return None
        model |= zip(some, zip(row[::2], row[1::2], strict=True), strict=True)
    return model


@dataclass(frozen=True)
class _Source:
    """Where values of a new row come from: the table, its rules, and the row that is copied."""

    connection: sqlite3.Connection
    table: Table
    rules: _Rules
    model: _Model | None

    def fresh_values(self, fixed: Mapping[str, Value], attempt: int) -> Iterator[tuple[str, Value]]:
        """The columns that get a value of their own: fixed, unique, or needed in an empty table."""
        preset = {
            name: value
            for name in self.rules.columns
            for other, value in fixed.items()
            if same_name(name, other)
        }
        yield from preset.items()
        done = set(preset)
        if self.rules.automatic is not None and self.rules.automatic not in done:
            done.add(self.rules.automatic)  # SQLite gives it the next number
        # Longer rules last: a column that is fresh for one of them is fresh for the others too.
        for columns in sorted(self.rules.unique, key=len):
            if self.rules.automatic in columns or done.intersection(set(columns) - set(preset)):
                continue
            absent = self.model is not None and any(
                self.model[c][0] == "null" for c in columns if c not in preset
            )
            if absent and columns != self.rules.key:
                continue  # with a NULL in it, it is no duplicate
            free = [c for c in columns if c not in done]
            free.sort(key=lambda c: c in self.rules.parents)
            if not free:
                continue
            column = free[0]
            done.add(column)
            yield column, self._new_value(column, attempt)
        if self.model is None:
            for column in self.rules.needed:
                if column not in done:
                    done.add(column)
                    yield column, self._new_value(column, attempt)

    def _new_value(self, column: str, attempt: int) -> Value:
        """A value that the column does not hold yet, or the key of a row that it must lead to."""
        if column in self.rules.parents:
            parent, key = self.rules.parents[column]
            # A column that leads elsewhere cannot have an invented value; another parent may do.
            row = self.connection.execute(
                f"SELECT {quote_name(key or 'rowid')} FROM {quote_name(parent)} LIMIT 1 OFFSET ?",
                (attempt,),
            ).fetchone()
            value: Value = row[0] if row else None
            return value
        kind, length = _kind(self.rules.types[column]), 0
        if self.model is not None and self.model[column][0] != "null":
            kind, length = self.model[column]
        if kind == "integer":
            return self._next_number(column) + attempt
        if kind == "real":
            return float(self._next_number(column) + attempt)
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

    def _next_number(self, column: str) -> int:
        name = quote_name(column)
        (largest,) = self.connection.execute(
            f"SELECT max({name}) FROM {quote_name(self.table.name)} WHERE typeof({name})"
            " IN ('integer', 'real')"
        ).fetchone()
        number = int(largest or 0) + 1
        return number if number < 2**62 else -1

    def inserted(self, fresh: Mapping[str, Value], rowid: int | None) -> NewRow | CannotMake:
        """How the row is found again that was just inserted with these new values."""
        if self.table.rowid is not None:
            return NewRow(f"{quote_name(self.table.rowid)} = ?", (rowid,))
        # Without a rowid, the unique columns that got new values name the row.
        named = [c for c in fresh if any(c in columns for columns in self.rules.unique)]
        if not named:
            return CannotMake("a row was created, but nothing unique tells it from the others")
        where = " AND ".join(f"{quote_name(c)} IS ?" for c in named)
        key = tuple(fresh[c] for c in named)
        (rows,) = self.connection.execute(
            f"SELECT count(*) FROM {quote_name(self.table.name)} WHERE {where}", key
        ).fetchone()
        if rows != 1:
            return CannotMake("a row was created, but its key does not tell it from the others")
        return NewRow(where, key)


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


def _insert(
    table: Table, names: list[str], fresh: Mapping[str, Value], like: Like | None
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
    return (
        f"INSERT INTO {target} ({columns}) SELECT {cells} FROM {target} WHERE {like.where} LIMIT 1",
        (*bound, *like.key),
    )
