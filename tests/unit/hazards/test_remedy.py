"""A remedy as D1 takes it: without a transaction of its own, whatever else it holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from runbook.hazards.remedy import for_d1

TRIGGER = (
    "CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO b VALUES ('x;\nBEGIN;\nCOMMIT;'); END;"
)


@pytest.mark.parametrize(
    ("script", "taken"),
    [
        ("BEGIN;\nDROP VIEW v;\nCOMMIT;", "DROP VIEW v;\n"),
        ("BEGIN IMMEDIATE;\nDELETE FROM a;\nCOMMIT;\nSELECT 1;", "DELETE FROM a;\nSELECT 1;"),
        (f"begin;\n{TRIGGER}\ncommit; -- done", f"{TRIGGER}\n -- done"),
        (TRIGGER, TRIGGER),
        ("Put the commit; begin anew.", "Put the commit; begin anew."),
        ("UPDATE a SET b = 'BEGIN;';", "UPDATE a SET b = 'BEGIN;';"),
        ("", ""),
    ],
)
def test_the_transaction_goes_and_nothing_else(script: str, taken: str) -> None:
    assert for_d1(script) == taken


def test_a_script_without_its_transaction_does_the_same() -> None:
    results = []
    script = f"BEGIN;\n{TRIGGER}\nINSERT INTO a VALUES (1);\nCOMMIT;"
    for text in (script, for_d1(script)):
        with closing(sqlite3.connect(":memory:")) as db:
            db.executescript("CREATE TABLE a (x); CREATE TABLE b (x);")
            db.executescript(text)
            schema = db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name")
            results.append((schema.fetchall(), db.execute("SELECT * FROM a, b").fetchall()))
    assert results[0] == results[1] != ([], [])


def test_what_d1_cannot_do_stays_a_script_for_sqlite() -> None:
    script = "BEGIN;\nCREATE TEMP TABLE k AS SELECT 1;\nPRAGMA writable_schema = ON;\nCOMMIT;"
    first, _, rest = for_d1(script).partition("\n")
    assert "no temporary tables and no PRAGMA writable_schema. See what" in first
    assert "wrangler d1 export NAME --output copy.sql" in first
    assert rest == script, "with its transaction"
    off = "PRAGMA foreign_keys = OFF;\nBEGIN;\nDELETE FROM a;\nCOMMIT;"
    assert for_d1(off).endswith(f"\n{off}")
    on = "PRAGMA foreign_keys = ON;\nBEGIN;\nSELECT 1;\nCOMMIT;"
    assert for_d1(on) == "PRAGMA foreign_keys = ON;\nSELECT 1;\n"
    assert for_d1('UPDATE a SET b = "TEMP";') == 'UPDATE a SET b = "TEMP";'
