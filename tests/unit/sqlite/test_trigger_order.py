"""The order of triggers, read and compared."""

from __future__ import annotations

import sqlite3

from runbook.sqlite.trigger_order import changed_order, read_trigger_order


def test_the_order_is_that_of_creation_and_sqlite_fires_it_backwards(
    connection: sqlite3.Connection,
) -> None:
    connection.execute('CREATE TABLE "a t" (x)')
    connection.execute("CREATE TABLE log (what)")
    for name in "cab":
        connection.execute(
            f"CREATE TRIGGER {name} AFTER INSERT ON \"a t\" BEGIN INSERT INTO log VALUES ('{name}'); END"
        )
    assert read_trigger_order(connection) == {"a t": ("c", "a", "b")}
    connection.execute('INSERT INTO "a t" VALUES (1)')
    assert [w for (w,) in connection.execute("SELECT what FROM log")] == ["b", "a", "c"]


def test_only_triggers_that_both_have_count() -> None:
    before = {"t": ("a", "b", "c"), "u": ("x", "y"), "gone": ("z",)}
    assert changed_order(before, {"t": ("a", "c", "new"), "u": ("x", "y")}) == ()
    assert changed_order(before, {"t": ("a", "b", "c"), "u": ("y", "x")}) == ("u",)
