"""A migration cut into parts comes to what the whole one comes to, however small the parts are."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbook.plan.read import parse_plan
from runbook.plan.shape import read_shape
from runbook.sample.make import make_sample
from runbook.script.migration import Script, render
from runbook.targets.d1.chunks import (
    CHUNKS,
    UNFINISHED,
    Entry,
    Part,
    digest_of,
    finishing_sql,
    parts,
)
from tests.support.databases import dump_lines

PLANS = {
    "specified": "",
    "everyone": '[organizations]\nfor = "all_users"',
    "adopted": '[unowned]\npolicy = "adopt"\nadopter = "5"',
    "no rowid": '[[resources]]\ntable = "notes"\nowner = "owner"\nupdated_at = "at"',
    "two tables": '[[resources]]\ntable = "projects"\nowner = "owner_id"\nupdated_at = "updated_at"\n'
    '[[resources]]\ntable = "notes"\nowner = "owner"\nupdated_at = "at"',
}
NAME = parse_plan("").migration.name
ROWS = """
CREATE TABLE notes (a TEXT COLLATE NOCASE, b INTEGER, owner INTEGER, at TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO notes
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
SELECT char(96 + i % 3) || 'ä;', i, 1 + i % 9, '2025-01-01 00:00:00' FROM n;
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parts") / "before.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);"
            "CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id INTEGER, name TEXT, updated_at TEXT);"
            + ROWS
        )
        connection.executemany(
            "INSERT INTO users VALUES (?, ?)", [(n, f"u{n}@example.com") for n in range(-3, 12)]
        )
        connection.executemany(
            "INSERT INTO projects VALUES (?, ?, 'p', '2025-01-01 00:00:00')",
            [(f"p{n}", n % 10) for n in range(57)],
        )
        connection.commit()
    return path


def made(path: Path, plan: str, rows: int) -> tuple[Script, tuple[Part, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        parsed = parse_plan(plan)
        script = render(parsed, read_shape(connection, parsed), "a run")
        return script, parts(script, connection, rows, Entry("d1_migrations", "0005.sql"))


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table in the order of its values, with the migration's instant cut out."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            " AND name <> 'd1_migrations'"
        ).fetchall()
        found = {
            name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names
        }
    return {
        name: sorted((tuple("now" if str(v)[:4] > "2025" and str(v)[4:5] == "-" else v for v in row)
                      for row in rows), key=repr)
        for name, rows in found.items()
    }  # fmt: skip


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@settings(deadline=None, max_examples=8)
@given(rows=st.integers(3, 70))
@example(rows=1)
def test_all_parts_make_the_whole(
    before: Path, tmp_path_factory: pytest.TempPathFactory, plan: str, rows: int
) -> None:
    folder = tmp_path_factory.mktemp("both")
    source = Path(shutil.copy(before, folder / "source"))
    if "adopt" in plan:
        with contextlib.closing(sqlite3.connect(source)) as connection, connection:
            connection.execute("UPDATE projects SET owner_id = 99 WHERE id IN ('p3', 'p44')")
    script, cut = made(source, plan, rows)
    assert made(source, plan, rows)[1] == cut  # so that every start makes the same ones
    for name, texts in (
        ("whole", [s for step in script.steps for s in step.statements]),
        ("parts", [part.text for part in cut]),
    ):
        shutil.copy(source, folder / name)
        with contextlib.closing(sqlite3.connect(folder / name)) as connection:
            connection.executescript("PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF")
            for text in texts:
                connection.executescript(text)
    whole, by_parts = content(folder / "whole"), content(folder / "parts")
    assert whole == by_parts
    assert whole["runbook_ledger"] == [(NAME, "a run", script.checksum, "now")]


def test_a_part_happens_once(before: Path, tmp_path: Path) -> None:
    """Sent again, each part but the last is refused as a whole; the last has nothing to enter."""
    cut = made(before, "", 20)[1]
    copy = Path(shutil.copy(before, tmp_path / "copy.db"))
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        for part in cut:
            connection.executescript(f"BEGIN; {part.text} COMMIT;")
            content = list(dump_lines(connection))
            with pytest.raises(sqlite3.Error, match=r"UNIQUE|already exists|no such table"):
                connection.executescript(f"BEGIN; {part.text} COMMIT;")
            connection.execute("ROLLBACK")
            assert list(dump_lines(connection)) == content


def test_until_the_last_part_the_ledger_does_not_say_that_it_happened(
    before: Path, tmp_path: Path
) -> None:
    cut = made(before, "", 20)[1]
    copy = Path(shutil.copy(before, tmp_path / "copy.db"))
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        for part in cut[:-1]:
            connection.executescript(part.text)
            named = connection.execute("SELECT migration FROM runbook_ledger").fetchall()
            assert named == [(NAME + UNFINISHED,)]
            numbers = connection.execute(f"SELECT number, digest FROM {CHUNKS}").fetchall()
            assert numbers == [(n, digest_of(cut)) for n in range(1, part.number + 1)]
        for statement in finishing_sql(NAME):
            connection.execute(statement)
        assert connection.execute("SELECT migration FROM runbook_ledger").fetchall() == [(NAME,)]


def test_other_sizes_are_told_apart(before: Path) -> None:
    assert digest_of(made(before, "", 20)[1]) != digest_of(made(before, "", 21)[1])


def test_a_table_without_rows_is_one_part(tmp_path: Path) -> None:
    make_sample(tmp_path / "sample.db", users=3, projects=0)
    titles = [part.title for part in made(tmp_path / "sample.db", "", 5)[1]]
    assert titles.count("Assign resources: projects, range 1") == 1
