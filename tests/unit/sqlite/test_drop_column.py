"""Which texts DROP COLUMN rewrites is known beforehand, and nothing of the trial remains."""

from __future__ import annotations

import sqlite3

from runbook.sqlite.drop_column import rewritten_objects
from runbook.sqlite.tables import read_objects

SCHEMA = """
CREATE TABLE tickets (id INTEGER PRIMARY KEY, state TEXT DEFAULT "open" CHECK (state IN ("open")));
CREATE TABLE "plain one" ("id" INTEGER PRIMARY KEY, state TEXT DEFAULT 'open');
CREATE TABLE history (line TEXT);
CREATE TABLE Runbook_Probe (a, b);
CREATE VIEW tickets_open AS SELECT id FROM tickets WHERE state = "open";
CREATE VIEW named AS SELECT "id" FROM tickets;
CREATE VIEW broken AS SELECT "x" FROM gone WHERE a = "b";
CREATE TRIGGER t AFTER INSERT ON tickets BEGIN INSERT INTO history VALUES ("new " || NEW.id); END;
CREATE INDEX shut ON tickets(state) WHERE state = "shut";
"""


def test_exactly_the_rewritten_ones_are_named(connection: sqlite3.Connection) -> None:
    connection.executescript(SCHEMA)
    before = read_objects(connection)
    connection.execute("BEGIN")
    names = {each.name for each in rewritten_objects(connection)}
    assert names == {"tickets", "tickets_open", "t", "shut"}
    assert read_objects(connection) == before
    assert connection.in_transaction
    connection.execute("COMMIT")
    connection.execute("CREATE TABLE z (a, b)")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("ALTER TABLE z DROP COLUMN b")
    changed = set(before) - set(read_objects(connection))
    assert {each.name for each in changed} == names
