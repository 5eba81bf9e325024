"""Constraints that hold in an empty schema and would fail in certain rows."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runbook.hazards.row_trial import probe_rows
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import survey
from runbook.plan.plan import Plan, Resource, Users
from runbook.run.findings import sample_line
from runbook.sqlite.connect import open_readonly

from .conftest import run_sql

PLAN = Plan(users=Users("users", "id"), resources=(Resource("jobs", "user_id", "updated_at"),))
ROWS = """
CREATE TABLE users (id TEXT PRIMARY KEY); INSERT INTO users VALUES ('u1'), ('u2');
INSERT INTO jobs(id, user_id, updated_at, closed_at) VALUES
    (1, 'u1', '2024-05-06 07:08:09', '2024-05-06 07:08:09'),
    (2, 'u2', '2024-05-07 07:08:09', NULL),
    (3, 'u2', '2024-05-08 07:08:09', NULL);
"""


def sightings(path: Path, plan: Plan = PLAN) -> list[Sighting]:
    with closing(open_readonly(path)) as connection:
        before = connection.execute("PRAGMA ignore_check_constraints").fetchall()
        found = list(probe_rows(survey(connection, plan)))
        assert connection.execute("PRAGMA ignore_check_constraints").fetchall() == before
        assert connection.execute("SELECT count(*) FROM temp.sqlite_schema").fetchone() == (0,)
        return found


@pytest.mark.parametrize(
    ("columns", "after", "rows", "reason"),
    [
        ("CHECK (updated_at <= closed_at)", "", ["id=1"], "updated_at <= closed_at"),
        ("CONSTRAINT shut CHECK (jobs.updated_at <= closed_at)", "", ["id=1"], "shut"),
        ("UNIQUE (user_id, updated_at)", "", ["id=3"], "UNIQUE constraint failed: jobs.user_id"),
        (
            "UNIQUE (user_id, updated_at) ON CONFLICT REPLACE",
            "",
            ["id=3"],
            "UNIQUE constraint failed: jobs.user_id, jobs.updated_at",
        ),
        (
            "CHECK (1)",
            "CREATE UNIQUE INDEX i ON jobs(date(updated_at)) WHERE closed_at IS NULL;",
            ["id=3"],
            "UNIQUE constraint failed: index 'i'",
        ),
        (
            "y TEXT AS (substr(updated_at, 1, 4)) CHECK (y < '2025')",
            "",
            ["id=1", "id=2", "id=3"],
            "y < '2025'",
        ),
        ("CHECK (closed_at IS NOT '')", "", [], ""),
        ("UNIQUE (id, updated_at)", "", [], ""),
        ("CHECK (updated_at > '2000')", "", [], ""),
    ],
)
@pytest.mark.parametrize("form", ["", "WITHOUT ROWID", "STRICT"])
def test_rows_that_would_refuse(
    tmp_path: Path, columns: str, after: str, rows: list[str], reason: str, form: str
) -> None:
    path = tmp_path / "app.db"
    fields = "id INTEGER PRIMARY KEY, user_id TEXT, updated_at TEXT, closed_at TEXT"
    run_sql(path, f"CREATE TABLE jobs ({fields}, {columns}) {form};{after}" + ROWS)
    found = sightings(path)
    assert [list(map(sample_line, f.samples)) for f in found] == ([rows] if rows else [])
    if rows:
        assert (found[0].count, found[0].subject) == (len(rows), "jobs.updated_at")
        assert reason in found[0].detail
        assert "leave out updated_at" in found[0].remedy
        bare = replace(PLAN, resources=(Resource("jobs", "user_id"),))
        assert sightings(path, bare) == []


def test_what_is_violated_today_is_another_matter(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    fields = (
        "id INTEGER, user_id TEXT, updated_at TEXT UNIQUE, closed_at TEXT CHECK (closed_at > 5)"
    )
    run_sql(
        path,
        "PRAGMA ignore_check_constraints = ON;"
        + f"CREATE TABLE jobs ({fields});"
        + ROWS.replace("'2024-05-06 07:08:09'),", "''),"),
    )
    (found,) = sightings(path)
    assert found.count == 2
    assert tuple(map(sample_line, found.samples)) == ("rowid=2", "rowid=3")


@pytest.mark.parametrize(
    ("more", "refers"),
    [
        ("CREATE TABLE c (z TEXT REFERENCES jobs(updated_at) ON UPDATE CASCADE)", "c(z) refers to"),
        ("CREATE TABLE c (z TEXT, n, FOREIGN KEY (n, z) REFERENCES jobs(id, day))", "c(n, z)"),
        ("CREATE TABLE c (z TEXT REFERENCES nowhere)", ""),
    ],
)
def test_references_that_go_by_the_time(tmp_path: Path, more: str, refers: str) -> None:
    path = tmp_path / "app.db"
    fields = "id INTEGER PRIMARY KEY, user_id TEXT, updated_at TEXT, closed_at TEXT"
    day = "day TEXT AS (substr(updated_at, 1, 10)) STORED"
    run_sql(path, f"CREATE TABLE jobs ({fields}, {day});{ROWS}{more};")
    assert sightings(path) == []  # no row refers
    run_sql(path, "INSERT INTO c (z) VALUES ('2024-05-06 07:08:09')")
    if "n, z" in more:
        assert sightings(path) == []  # NULL refers to nothing
        run_sql(path, "UPDATE c SET n = 1, z = '2024-05-06'")
    assert [refers in f.detail and f.count == 1 for f in sightings(path)] == [True] * bool(refers)


def test_a_time_that_refers(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    fields = "id INTEGER PRIMARY KEY, user_id TEXT, updated_at TEXT REFERENCES clock, closed_at"
    run_sql(path, f"CREATE TABLE clock (t TEXT PRIMARY KEY); CREATE TABLE jobs ({fields});" + ROWS)
    (found,) = sightings(path)
    assert (found.count, found.detail) == (
        3,
        "FOREIGN KEY constraint failed: jobs(updated_at) refers to clock(t).",
    )
