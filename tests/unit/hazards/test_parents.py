"""References to tables that are gone: named, and repaired without touching a row."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.hazards.parents import missing_references, probe_parents
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import survey
from runbook.plan.plan import Plan

from .conftest import ROWS, SCHEMA, run_sql

SHELVES = "CREATE TABLE shelves (id INTEGER PRIMARY KEY, label TEXT UNIQUE);"
FILL = """
INSERT INTO shelves VALUES (1, 'Left'), (2, 'Right');
INSERT INTO boxes(id, shelf) VALUES (1, 1), (2, 1), (3, 2), (4, NULL);
CREATE INDEX boxes_by_shelf ON boxes(shelf);
CREATE VIEW labels AS SELECT label FROM boxes JOIN shelves ON shelves.id = boxes.shelf;
CREATE VIEW broken AS SELECT * FROM nowhere;
CREATE TABLE log (line);
CREATE TRIGGER boxes_log AFTER UPDATE ON boxes BEGIN
    INSERT INTO log SELECT label FROM shelves WHERE id = NEW.shelf; END;
"""


def sightings(path: Path) -> list[Sighting]:
    with closing(sqlite3.connect(path)) as connection:
        return list(probe_parents(survey(connection, Plan())))


def content(path: Path) -> object:
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            n
            for (n,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
            )
        ]
        objects = connection.execute(
            "SELECT type, name, tbl_name FROM sqlite_schema ORDER BY type, name"
        ).fetchall()
        rows = {t: connection.execute(f'SELECT rowid, * FROM "{t}"').fetchall() for t in tables}
        return objects, rows, connection.execute("SELECT * FROM labels").fetchall()


@pytest.mark.parametrize(
    ("boxes", "goal"),
    [
        ("id INTEGER PRIMARY KEY, shelf INTEGER REFERENCES shelves_before(id)", "shelves"),
        ("id TEXT, shelf INTEGER REFERENCES SHELVES_OLD ON DELETE CASCADE, x REFERENCES boxes(id),"
         " UNIQUE (id)", "shelves"),
        ("id INTEGER PRIMARY KEY, shelf INTEGER, FOREIGN KEY (shelf) REFERENCES \"new shelves\"",
         "shelves"),
        ("id INTEGER PRIMARY KEY, shelf INTEGER REFERENCES racks(number) ON DELETE SET NULL"
         " DEFERRABLE INITIALLY DEFERRED CHECK (shelf > 0)", None),
        ("id INTEGER PRIMARY KEY, shelf INTEGER, CONSTRAINT r FOREIGN KEY (shelf) REFERENCES racks",
         None),
    ],
)  # fmt: skip
def test_the_remedy_repairs_the_schema(tmp_path: Path, boxes: str, goal: str | None) -> None:
    path = tmp_path / "app.db"
    run_sql(path, SCHEMA + ROWS + SHELVES + f"CREATE TABLE boxes ({boxes});" + FILL)
    before = content(path)
    (found,) = sightings(path)
    assert (found.code, found.count, found.level) == ("parent_missing", 3, None)
    assert found.samples == ("boxes(shelf)",)
    assert "DELETE FROM" not in found.remedy
    run_sql(path, found.remedy)
    assert sightings(path) == []
    assert content(path) == before
    with closing(sqlite3.connect(path)) as connection:
        keys = connection.execute("PRAGMA foreign_key_list(boxes)").fetchall()
        assert [k[2] for k in keys if k[3] == "shelf"] == ([goal] if goal else [])
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_rows_that_name_nothing_do_not_block(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    run_sql(path, SCHEMA + ROWS + "CREATE TABLE boxes (id, shelf REFERENCES shelves_before)")
    (found,) = sightings(path)
    assert (found.level, found.count) == ("warn", 0)


def test_without_such_references(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    run_sql(path, SCHEMA + ROWS)
    with closing(sqlite3.connect(path)) as connection:
        assert missing_references(survey(connection, Plan())) == ()
