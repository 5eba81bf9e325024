"""Rows against their own schema: what each means, and remedies that keep every row."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.hazards.corruption import report_soundness
from runbook.hazards.generated_columns import probe_checks, probe_generated
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import survey
from runbook.plan.plan import Plan
from runbook.run.findings import sample_line
from runbook.sqlite.connect import open_readonly
from runbook.sqlite.soundness import check_soundness

from .conftest import ROWS, SCHEMA


def build(path: Path, sql: str) -> None:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("plain", 1, str.lower, deterministic=True)
        connection.executescript(SCHEMA + ROWS + sql)


def sightings(path: Path) -> list[Sighting]:
    with closing(open_readonly(path)) as connection:
        surveyed = survey(connection, Plan())
        soundness = check_soundness(connection, "integrity_check")
        return [
            *probe_generated(surveyed),
            *probe_checks(surveyed),
            *report_soundness(surveyed, soundness, path),
        ]


def shown(found: Sighting) -> list[str]:
    return [s if isinstance(s, str) else sample_line(s) for s in found.samples]


def follow(path: Path, remedy: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(remedy)


def schema_change(old: str, new: str) -> str:
    return (
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql ="
        f" replace(sql, '{old}', '{new}'); PRAGMA writable_schema = RESET;"
    )


@pytest.mark.parametrize("kind", ["INTEGER", ""])
@pytest.mark.parametrize("key", ["id INTEGER PRIMARY KEY", "id TEXT PRIMARY KEY", "id TEXT"])
def test_malformed_json_under_a_generated_column(tmp_path: Path, kind: str, key: str) -> None:
    path = tmp_path / "app.db"
    build(
        path,
        f"CREATE TABLE orders ({key}, details TEXT); INSERT INTO orders VALUES (1, '{{\"n\": 2}}'),"
        " (2, '{\"n\": '), (3, NULL), (4, 'half');"
        f"ALTER TABLE orders ADD COLUMN n {kind} AS (json_extract(details, '$.n'));",
    )
    (found,) = sightings(path)
    assert (found.code, found.subject, found.count) == ("generated_unreadable", "orders.n", 2)
    assert "id" in shown(found)[0]
    assert "malformed JSON" in found.detail
    follow(path, found.remedy)
    assert sightings(path) == []
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT details ->> '$', n FROM orders ORDER BY id").fetchall()
    assert rows == [('{"n":2}', 2), ('{"n": ', None), (None, None), ("half", None)]


@pytest.mark.parametrize("view", ["", "CREATE VIEW v AS SELECT low FROM labels;"])
def test_a_function_of_the_application(tmp_path: Path, view: str) -> None:
    path = tmp_path / "app.db"
    build(
        path,
        "CREATE TABLE labels (id INTEGER PRIMARY KEY, label TEXT,"
        ' low TEXT GENERATED ALWAYS AS (plain("label")) VIRTUAL, n INTEGER DEFAULT (1 + 2));'
        "CREATE INDEX by_low ON labels(low);"
        f"INSERT INTO labels(label) VALUES ('Red'); {view}",
    )
    (found,) = sightings(path)
    assert (found.code, found.subject) == ("functions_missing", "labels.low")
    assert found.samples == ("plain()",)
    follow(path, found.remedy)
    assert sightings(path) == []
    back = [line.removeprefix("-- ") for line in found.remedy.splitlines() if "-- " in line][1:]
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("plain", 1, str.lower, deterministic=True)
        for line in back:
            connection.execute(line)
        assert connection.execute("SELECT low, n FROM labels").fetchall() == [("red", 3)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_function_in_a_check_or_index_is_not_met(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    build(
        path,
        "CREATE TABLE labels (label TEXT CHECK (plain(label) <> ''));"
        "INSERT INTO labels VALUES ('Red');",
    )
    assert sightings(path) == []


@pytest.mark.parametrize(
    ("column", "unique"), [("TEXT", ""), ("INTEGER", ""), ("BLOB", ""), ("TEXT", "UNIQUE (l),")]
)
def test_null_in_a_column_declared_not_null_later(tmp_path: Path, column: str, unique: str) -> None:
    path = tmp_path / "app.db"
    build(
        path,
        f"CREATE TABLE rooms (id INTEGER PRIMARY KEY, l {column} , {unique} CHECK (id > 0));"
        "INSERT INTO rooms VALUES (1, 7), (2, NULL), (3, NULL);"
        + schema_change(f"l {column} ,", f"l {column} NOT NULL ,"),
    )
    (found,) = sightings(path)
    assert (found.code, found.subject, found.level) == ("nulls_in_not_null", "rooms.l", "warn")
    assert (found.count, shown(found)) == (2, ["id=2", "id=3"])
    follow(path, found.remedy)
    assert sightings(path) == []


def test_a_check_that_rows_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    build(
        path,
        "CREATE TABLE rooms (id INTEGER PRIMARY KEY, size INTEGER CHECK (size < 100),"
        " CONSTRAINT both CHECK (id <> size));"
        "INSERT INTO rooms VALUES (1, 7), (2, 50), (3, NULL);" + schema_change("< 100", "< 10"),
    )
    (found,) = sightings(path)
    assert (found.code, found.subject, found.count) == ("checks_unmet", "rooms", 1)
    assert shown(found) == ["id=2"]
    assert "CHECK (size < 10)" in found.detail
