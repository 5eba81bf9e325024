"""Keys whose bytes are no text: named, and put right with what refers to them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.hazards.key_text import probe_key_text
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import survey
from runbook.plan.plan import Plan
from runbook.sqlite.connect import readable_text

from .conftest import ROWS, SCHEMA, run_sql


def sightings(path: Path) -> list[Sighting]:
    with closing(sqlite3.connect(path)) as connection, readable_text(connection):
        return list(probe_key_text(survey(connection, Plan())))


@pytest.mark.parametrize("form", ["", "WITHOUT ROWID"])
def test_a_key_that_is_not_utf8(tmp_path: Path, form: str) -> None:
    path = tmp_path / "app.db"
    run_sql(
        path,
        SCHEMA.replace("name TEXT\n)", f"name TEXT\n) {form}")
        + ROWS
        + """
        CREATE TABLE logins (id INTEGER PRIMARY KEY, who TEXT REFERENCES users);
        INSERT INTO users VALUES ('é', 'e@example.com', 'E'), ('añ', 'n@example.com', 'N'),
            (CAST(x'E9' AS TEXT), 'f@example.com', 'F'), (CAST(x'61E9' AS TEXT), NULL, 'G');
        INSERT INTO projects VALUES ('p4', CAST(x'61E9' AS TEXT), 'four', '2024-01-01 10:00:00');
        INSERT INTO logins VALUES (1, CAST(x'E9' AS TEXT));
        """,
    )
    (found,) = sightings(path)
    assert (found.code, found.subject, found.count) == ("keys_not_text", "users.id", 2)
    assert len(found.samples) == 2
    run_sql(path, "PRAGMA foreign_keys = ON;\n" + found.remedy)
    assert sightings(path) == []
    with closing(sqlite3.connect(path)) as connection:
        names = dict(connection.execute("SELECT name, id FROM users").fetchall())
        assert (names["F"], names["G"], names["E"]) == ("é-e9", "aé", "é")
        owner = connection.execute("SELECT owner_id FROM projects WHERE id = 'p4'").fetchone()
        assert owner == ("aé",)
        assert connection.execute("SELECT who FROM logins").fetchone() == ("é-e9",)


def test_other_text_is_no_hazard(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    run_sql(path, SCHEMA + ROWS + "INSERT INTO users VALUES ('ü', NULL, NULL), (x'E9', NULL, '')")
    assert sightings(path) == []


def test_half_a_character_in_utf16(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    run_sql(path, "PRAGMA encoding = 'UTF-16le';" + SCHEMA + ROWS)
    run_sql(path, "INSERT INTO users VALUES (CAST(x'610000D8' AS TEXT), NULL, 'H')")
    (found,) = sightings(path)
    run_sql(path, found.remedy)
    assert sightings(path) == []
