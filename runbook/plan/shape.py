"""What the database adds to the plan: types, formats, keys and triggers.

A plan says *which* table and column; the script also has to know what type the users' key has,
in which format `updated_at` is kept, and which triggers the backfill would fire. Without a
database the specification's own shape is assumed.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from runbook.errors import PlanError
from runbook.plan import timestamps
from runbook.plan.plan import Plan, Resource
from runbook.sqlite.connect import open_immutable
from runbook.sqlite.generated_columns import generated_from
from runbook.sqlite.quoting import IN_WORD, fold_name, quote_name, unquote_name

KeyClass = Literal["text", "integer", "blob"]

# A declared type that may be repeated in CREATE TABLE as it stands, e.g. VARCHAR(36).
_PLAIN_TYPE = re.compile(
    r"[A-Za-z_][A-Za-z0-9_]*( [A-Za-z_][A-Za-z0-9_]*)*( ?\([0-9]+(, ?[0-9]+)?\))?"
)


@dataclass(frozen=True)
class Trigger:
    """A trigger of the application that the backfill would fire."""

    name: str
    table: str
    sql: str


@dataclass(frozen=True)
class Shape:
    """What the schema and the values show; the defaults are the specification's."""

    encoding: str = "UTF-8"
    key_type: str = "TEXT"
    key_class: KeyClass = "text"
    formats: Mapping[str, str] = field(default_factory=dict)
    """Resource table to format of its `updated_at`, one of `timestamps.FORMATS`."""
    row_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Table to the columns that name its rows: the declared key, or the rowid."""
    triggers: tuple[Trigger, ...] = ()
    suspended: tuple[Trigger, ...] = ()
    """All triggers of the tables that have one of `triggers`, in the order of their creation."""
    derived: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Resource table to its columns that are generated from `updated_at`."""

    def format_of(self, resource: Resource) -> str:
        """The format in which the resource's `updated_at` is written; the plan goes first."""
        return (
            resource.updated_at_format or self.formats.get(resource.table) or timestamps.SPECIFIED
        )


def read_backup_shape(backup: Path, plan: Plan) -> Shape:
    """The shape of the database from before the migration, as its backup holds it."""
    with contextlib.closing(open_immutable(backup)) as connection:
        return read_shape(connection, plan)


def read_shape(
    connection: sqlite3.Connection, plan: Plan, schema: str = "main", *, uniform: bool = False
) -> Shape:
    """The shape of the database's `schema`, for the tables and columns that the plan names.

    Formats that are mixed or unknown are left out: preflight reports them, and the plan decides.
    `uniform` says that it has just done so, and that the first value of a column tells them all.
    """
    key_type, key_class = _key(connection, plan, schema)
    formats = {}
    for resource in plan.resources:
        counts = formats_found(connection, resource, schema, uniform=uniform)
        if len(counts) == 1 and "unknown" not in counts:
            formats[resource.table] = next(iter(counts))
    names = [plan.users.table, *(r.table for r in plan.resources)]
    return Shape(
        encoding=connection.execute("PRAGMA encoding").fetchone()[0],
        key_type=key_type,
        key_class=key_class,
        formats=formats,
        row_keys={name: _row_key(connection, name, schema) for name in names},
        triggers=fired_triggers(connection, plan, schema),
        suspended=suspended_triggers(connection, plan, schema),
        derived={
            r.table: generated_from(connection, r.table, {fold_name(r.updated_at)}, schema)
            for r in plan.resources
            if r.updated_at
        },
    )


def formats_found(
    connection: sqlite3.Connection,
    resource: Resource,
    schema: str = "main",
    *,
    uniform: bool = False,
) -> dict[str, int]:
    """Format to number of rows for the resource's `updated_at`; NULLs are not counted.

    Where the column is known to be `uniform`, only its first value is read, and counted.
    """
    if resource.updated_at is None:
        return {}
    table = f"{quote_name(schema)}.{quote_name(resource.table)}"
    column = quote_name(resource.updated_at)
    kind = timestamps.classify_sql(column)
    first = connection.execute(
        f"SELECT {kind} FROM {table} WHERE {column} IS NOT NULL LIMIT 1"
    ).fetchone()
    if first is None:
        return {}
    if uniform:
        return {first[0]: 1}
    if first[0] != "unknown":
        # Nearly always one format fills the column: asking for that one takes half the time.
        values, matching = connection.execute(
            f"SELECT count({column}), sum({timestamps.matches_sql(first[0], column)}) FROM {table}"
        ).fetchone()
        if values == matching:
            return {first[0]: values}
    rows = connection.execute(f"SELECT {kind} AS format, count(*) FROM {table} GROUP BY 1")
    return {name: count for name, count in rows if name is not None}


def adopter_value(plan: Plan, shape: Shape) -> str | int | bytes | None:
    """The adopter's key as the key's own type; None where nothing is adopted.

    Raises:
        PlanError: the plan's text cannot be read as a key of that type.
    """
    if not plan.adopts:
        return None
    text = plan.unowned.adopter
    try:
        if shape.key_class == "integer":
            return int(text)
        if shape.key_class == "blob":
            return bytes.fromhex(text)
    except ValueError as error:
        expected = "a whole number" if shape.key_class == "integer" else "hexadecimal digits"
        raise PlanError(
            f"[unowned] adopter cannot be a key of {plan.users.table}; its keys are"
            f" {shape.key_class}, so write {expected}."
        ) from error
    return text


def _key(connection: sqlite3.Connection, plan: Plan, schema: str) -> tuple[str, KeyClass]:
    """Declared type of the users' key, and the storage class that its values have."""
    declared = ""
    for name, kind in connection.execute(
        "SELECT name, type FROM pragma_table_xinfo(?, ?)", (plan.users.table, schema)
    ):
        if fold_name(name) == fold_name(plan.users.key):
            declared = kind
    row = connection.execute(
        f"SELECT typeof({quote_name(plan.users.key)}) FROM"
        f" {quote_name(schema)}.{quote_name(plan.users.table)}"
        f" WHERE {quote_name(plan.users.key)} IS NOT NULL LIMIT 1"
    ).fetchone()
    by_affinity: KeyClass = (
        "integer" if "INT" in declared.upper() else "blob" if "BLOB" in declared.upper() else "text"
    )
    stored = row[0] if row else by_affinity
    key_class: KeyClass = stored if stored in ("text", "integer", "blob") else by_affinity
    # ANY keeps what it is given in a STRICT table, but means NUMERIC in the tables we create.
    if declared and (declared.upper() == "ANY" or not _PLAIN_TYPE.fullmatch(declared)):
        declared = {"text": "TEXT", "integer": "INTEGER", "blob": "BLOB"}[key_class]
    return declared, key_class


def _row_key(connection: sqlite3.Connection, table: str, schema: str) -> tuple[str, ...]:
    """Declared primary key of the table, or an alias of its rowid that no column hides."""
    columns = connection.execute(
        "SELECT name, pk FROM pragma_table_xinfo(?, ?)", (table, schema)
    ).fetchall()
    key = tuple(name for name, _ in sorted((c for c in columns if c[1]), key=lambda c: c[1]))
    if key:
        return key
    taken = {fold_name(name) for name, _ in columns}
    return tuple(a for a in ("rowid", "_rowid_", "oid") if a not in taken)[:1]


def fired_triggers(
    connection: sqlite3.Connection, plan: Plan, schema: str = "main"
) -> tuple[Trigger, ...]:
    """The triggers that an UPDATE of the resources' backfilled columns fires, in schema order."""
    triggers = []
    for resource in plan.resources:
        columns = {"organization_id", fold_name(resource.updated_at or "")}
        rows = connection.execute(
            f"SELECT name, tbl_name, sql FROM {quote_name(schema)}.sqlite_schema"
            " WHERE type = 'trigger' AND lower(tbl_name) = lower(?) ORDER BY rowid",
            (resource.table,),
        )
        for name, table, sql in rows:
            fired_by = _update_columns(sql)
            if fired_by is not None and (not fired_by or fired_by & columns):
                triggers.append(Trigger(name, table, sql))
    return tuple(triggers)


def suspended_triggers(
    connection: sqlite3.Connection, plan: Plan, schema: str = "main"
) -> tuple[Trigger, ...]:
    """Every trigger of a table of which one would fire, in the order of their creation.

    SQLite fires the trigger first that was created last, so all of them are created again.
    """
    tables = {fold_name(t.table) for t in fired_triggers(connection, plan, schema)}
    rows = connection.execute(
        f"SELECT name, tbl_name, sql FROM {quote_name(schema)}.sqlite_schema"
        " WHERE type = 'trigger' ORDER BY rowid"
    )
    return tuple(Trigger(*row) for row in rows if fold_name(row[1]) in tables)


_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]"
    rf"|[{IN_WORD}]+|\S",
    re.DOTALL,
)


def words(sql: str) -> set[str]:
    """Every name, keyword and literal of an SQL text, unquoted and casefolded; no comments."""
    tokens = _TOKEN.findall(sql)
    return {fold_name(unquote_name(t)) for t in tokens if not t.startswith(("--", "/*"))}


def _update_columns(sql: str) -> set[str] | None:
    """Columns of a trigger's `UPDATE OF`, empty for any UPDATE, None where no UPDATE fires it."""
    tokens = [t for t in _TOKEN.findall(sql) if not t.startswith(("--", "/*"))]
    for position, token in enumerate(tokens):
        word = token.upper()
        # The event is the first of these words that stands outside quotes, after the name.
        if position >= 3 and word in ("INSERT", "DELETE"):
            return None
        if position >= 3 and word == "UPDATE":
            if tokens[position + 1].upper() != "OF":
                return set()
            columns = set()
            for name in tokens[position + 2 :]:
                if name.upper() == "ON":
                    break
                if name != ",":
                    columns.add(fold_name(unquote_name(name)))
            return columns
    return None
