"""Collations that only the application has: left out for the run, and put back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.hazards.collations import probe_collations
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import survey
from runbook.plan.plan import Plan

from .conftest import ROWS, SCHEMA


def folded(one: str, two: str) -> int:
    return (one.lower() > two.lower()) - (one.lower() < two.lower())


def execute(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.create_collation("folded", folded)
        connection.executescript(sql)


def sightings(path: Path) -> list[Sighting]:
    with closing(sqlite3.connect(path)) as connection:
        return list(probe_collations(survey(connection, Plan())))


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE labels (id INTEGER PRIMARY KEY, label TEXT UNIQUE COLLATE folded, z TEXT)",
        'CREATE TABLE labels (id INTEGER PRIMARY KEY, label VARCHAR(9) COLLATE "folded" UNIQUE'
        " DEFAULT 'a, b', z TEXT COLLATE Folded); CREATE INDEX i ON labels(z, label)",
        "CREATE TABLE labels (id INTEGER PRIMARY KEY, label TEXT, z TEXT);"
        "CREATE UNIQUE INDEX i ON labels(z, label COLLATE folded DESC) WHERE id > 0",
    ],
)
def test_an_index_by_a_collation_of_the_application(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "app.db"
    execute(path, SCHEMA + ROWS + sql + "; INSERT INTO labels VALUES (1,'B','x'), (2,'a','y')")
    with closing(sqlite3.connect(path)) as connection:
        schema = connection.execute("SELECT * FROM sqlite_schema").fetchall()
    (found,) = sightings(path)
    assert found.code == "collations_missing"
    assert "labels.label" in found.subject
    with closing(sqlite3.connect(path)) as connection:  # as everybody does who lacks the collation
        connection.executescript(found.remedy)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert sightings(path) == []
    back = found.remedy.split("application's own connection:\n")[1].replace("-- ", "")
    execute(path, back)
    with closing(sqlite3.connect(path)) as connection:
        connection.create_collation("folded", folded)
        assert connection.execute("SELECT * FROM sqlite_schema").fetchall() == schema
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_known_collations_and_columns_without_an_index(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    execute(
        path,
        SCHEMA + ROWS + "CREATE TABLE t (a TEXT UNIQUE COLLATE NOCASE, b TEXT COLLATE folded)",
    )
    assert sightings(path) == []
