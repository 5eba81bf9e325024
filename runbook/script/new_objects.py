"""What the migration adds to the schema, with the texts that it must have there."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from runbook.cache import Cache
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.script.footprint import is_new_table, new_indexes
from runbook.script.migration import render
from runbook.sqlite.quoting import fold_name, quote_name
from runbook.sqlite.tables import SchemaObject, read_objects, read_tables

_objects: Cache[Mapping[tuple[str, str], SchemaObject]] = Cache(16)
_columns: Cache[Mapping[str, tuple[str, ...]]] = Cache(16)


def new_objects(plan: Plan, shape: Shape) -> Mapping[tuple[str, str], SchemaObject]:
    """Every table and index of the migration by type and casefolded name.

    The script's own statements make them in an empty database, automatic indexes included.
    """
    return _objects.get((repr(plan), repr(shape)), lambda: _make_objects(plan, shape))


def _make_objects(plan: Plan, shape: Shape) -> Mapping[tuple[str, str], SchemaObject]:
    indexes = {fold_name(name) for name, _ in new_indexes(plan)}
    with _created(plan, shape) as connection:
        objects = {
            (each.type, fold_name(each.name)): each
            for each in read_objects(connection)
            if is_new_table(each.tbl_name) or fold_name(each.name) in indexes
        }
    return MappingProxyType(objects)


def new_columns(plan: Plan, shape: Shape) -> Mapping[str, tuple[str, ...]]:
    """Every table of the migration with its columns."""
    return _columns.get((repr(plan), repr(shape)), lambda: _make_columns(plan, shape))


def _make_columns(plan: Plan, shape: Shape) -> Mapping[str, tuple[str, ...]]:
    with _created(plan, shape) as connection:
        tables = [table for table in read_tables(connection) if is_new_table(table.name)]
    return MappingProxyType({table.name: table.column_names for table in tables})


@contextlib.contextmanager
def _created(plan: Plan, shape: Shape) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for resource in plan.resources:
            connection.execute(f"CREATE TABLE {quote_name(resource.table)} (organization_id TEXT)")
        for step in render(plan, shape).steps:
            for statement in step.statements:
                if statement.startswith(("CREATE TABLE", "CREATE INDEX")):
                    connection.execute(statement)
        yield connection
