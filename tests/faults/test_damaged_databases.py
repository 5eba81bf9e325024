"""Random damage in a database file, judged as SQLite's own `integrity_check` judges it."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runbook.errors import TargetError
from runbook.hazards.inspect_file import inspect_file
from runbook.plan.plan import Plan
from runbook.sqlite.soundness import Soundness, check_soundness

FULL = os.environ.get("RUNBOOK_FAULTS") == "full"
FILES = 2000 if FULL else 200
INSPECTED = 200 if FULL else 8
DAMAGE = {"integrity_errors", "index_incomplete", "unique_unmet", "nulls_in_not_null"}
SCHEMA = """
PRAGMA page_size = 1024;
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT UNIQUE, name TEXT NOT NULL);
CREATE TABLE projects (id INTEGER PRIMARY KEY, owner_id TEXT REFERENCES users(id), title TEXT,
    updated_at TEXT);
CREATE INDEX by_title ON projects(title);
CREATE INDEX some ON projects(owner_id) WHERE title > 'k';
CREATE TABLE k (x TEXT PRIMARY KEY, y BLOB) WITHOUT ROWID;
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 120)
INSERT INTO users SELECT 'u' || i, i || '@example.org', 'name' || i FROM r;
INSERT INTO projects SELECT NULL, id, char(97 + length(id) % 26) || name, '2024-01-02 03:04:05'
    FROM users;
INSERT INTO k SELECT id, zeroblob(20) FROM users;
"""


def damaged_files(folder: Path, number: int) -> Iterator[Path]:
    """Copies of one database, each with some bytes of its pages changed."""
    whole, path = folder / "whole.db", folder / "damaged.db"
    with closing(sqlite3.connect(whole)) as connection:
        connection.executescript(SCHEMA)
    content, draw = whole.read_bytes(), random.Random(number)
    for _ in range(number):
        changed = bytearray(content)
        for _ in range(draw.choice((1, 1, 2, 8))):
            start = draw.randrange(100, len(changed))
            length = draw.choice((1, 1, 4, 64))
            for place in range(start, min(start + length, len(changed))):
                changed[place] = draw.randrange(256)
        path.write_bytes(changed)
        yield path


def is_sound(path: Path) -> bool:
    """What SQLite says of the file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        except (sqlite3.DatabaseError, UnicodeDecodeError):  # the latter: it quotes damaged text
            return False


def clean(soundness: Soundness) -> bool:
    return not any(
        (
            soundness.damaged,
            soundness.repeated,
            soundness.nulls,
            soundness.checks,
            soundness.types,
            soundness.unreadable,
        )
    )


def test_every_file_is_judged_as_by_integrity_check(tmp_path: Path) -> None:
    unsound = 0
    for path in damaged_files(tmp_path, FILES):
        sound = is_sound(path)
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            assert clean(check_soundness(connection, "integrity_check")) == sound
        unsound += not sound
    assert unsound > FILES / 4


def test_preflight_says_so_in_its_own_words(tmp_path: Path) -> None:
    for path in damaged_files(tmp_path, INSPECTED):
        sound = is_sound(path)
        try:
            hazards, _ = inspect_file(path, Plan(), tmp_path)
        except TargetError:
            assert not sound
            continue
        assert bool(DAMAGE & {h.code for h in hazards}) != sound


@pytest.mark.parametrize("pages", [1, 3])
def test_a_file_that_is_cut_off(tmp_path: Path, pages: int) -> None:
    path = next(damaged_files(tmp_path, 1))
    whole = path.with_name("whole.db").read_bytes()
    path.write_bytes(whole[: -1024 * pages])
    with pytest.raises(TargetError, match="truncated"):
        inspect_file(path, Plan(), tmp_path)
