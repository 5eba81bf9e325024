"""A small clean database, and a way to plant something in it and see what is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from runbook.hazards import inspect_database
from runbook.plan.plan import Plan
from runbook.run.findings import Hazard, sample_line

SCHEMA = """
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT, name TEXT);
CREATE TABLE projects (
    id TEXT PRIMARY KEY,
    owner_id TEXT REFERENCES users(id),
    title TEXT,
    updated_at TEXT
);
"""

ROWS = """
INSERT INTO users VALUES
    ('u1', 'ann@example.com', 'Ann'), ('u2', 'bob@example.com', 'Bob'),
    ('u3', 'cleo@example.com', 'Cleo');
INSERT INTO projects VALUES
    ('p1', 'u1', 'one', '2024-01-01 10:00:00'), ('p2', 'u1', 'two', '2024-01-02 10:00:00'),
    ('p3', 'u2', 'three', '2024-01-03 10:00:00');
"""

Found = dict[str, list[Hazard]]
Plant = Callable[..., Found]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    run_sql(path, SCHEMA + ROWS)
    return path


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """`plant(sql, plan, schema=...)` gives the hazards found, by code."""

    def planted(
        sql: str = "", plan: Plan | None = None, *, schema: str = SCHEMA, rows: str = ROWS
    ) -> Found:
        path = tmp_path / "planted.db"
        path.unlink(missing_ok=True)
        run_sql(path, schema + rows + sql)
        return look(path, plan)

    return planted


def shown(hazard: Hazard) -> tuple[str, ...]:
    """The hazard's samples as people see them."""
    return tuple(map(sample_line, hazard.samples))


def run_sql(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)


def look(path: Path, plan: Plan | None = None) -> Found:
    found: Found = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        for hazard in inspect_database(connection, plan or Plan())[0]:
            found.setdefault(hazard.code, []).append(hazard)
    return found
