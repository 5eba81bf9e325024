"""Tables, indexes, triggers and views of two schemas, compared by their SQL text."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from runbook.sqlite.difference import Change
from runbook.sqlite.tables import SchemaObject, read_objects


@dataclass(frozen=True)
class ObjectDifference:
    """A table, index, trigger or view whose SQL text is not the same; None where it is missing."""

    change: Change
    type: str
    name: str
    before: str | None
    after: str | None


def compare_objects(
    connection: sqlite3.Connection, before: str = "before", after: str = "main"
) -> tuple[ObjectDifference, ...]:
    """Compare two schemas by the SQL text of their objects, automatic indexes included."""
    old = {(each.type, each.name): each for each in read_objects(connection, before)}
    new = {(each.type, each.name): each for each in read_objects(connection, after)}
    differences: list[ObjectDifference] = []
    for type_, name in sorted(old.keys() | new.keys()):
        was, now = old.get((type_, name)), new.get((type_, name))
        if was != now:
            change: Change = "added" if was is None else "removed" if now is None else "changed"
            differences.append(
                ObjectDifference(change, type_, name, object_text(was), object_text(now))
            )
    return tuple(differences)


def object_text(item: SchemaObject | None) -> str | None:
    """The SQL text of an object, for an automatic index words for it; None where it is missing."""
    if item is None:
        return None
    return item.sql if item.sql is not None else f"(automatic index of {item.tbl_name})"
