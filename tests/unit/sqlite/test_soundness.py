"""Pages, indexes and rows told apart, and compared with SQLite's own check on damaged files."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.sqlite.soundness import (
    ALWAYS_BYTES,
    Method,
    check_soundness,
    method_for,
    partial_condition,
)

METHODS: tuple[Method, ...] = ("integrity_check", "indexes counted")
SCHEMA = """
PRAGMA page_size = 1024;
CREATE TABLE "a.b" (id INTEGER PRIMARY KEY, "c d" TEXT, n INTEGER CHECK (n < 500), u TEXT UNIQUE);
CREATE INDEX by_text ON "a.b"("c d");
CREATE INDEX "index of some" ON "a.b"(n) WHERE "c d" > 'k' AND n IN (1, 2, 3);
CREATE TABLE k (x TEXT PRIMARY KEY, y BLOB) WITHOUT ROWID;
CREATE INDEX k_y ON k(y);
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 400)
INSERT INTO "a.b" SELECT i, char(97 + i % 26) || i, i % 7, 'u' || i FROM r;
INSERT INTO k SELECT u, zeroblob(20) FROM "a.b";
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    change(path, SCHEMA)
    return path


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)


def schema_change(path: Path, old: str, new: str) -> None:
    change(
        path,
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql ="
        f" replace(sql, '{old}', '{new}'); PRAGMA writable_schema = RESET;",
    )


def add_behind_index(path: Path, index: str, rows: str) -> None:
    """Adds rows that the index lacks, in a file whose pages are all sound."""
    with closing(sqlite3.connect(path)) as connection:
        entry = connection.execute(
            "SELECT * FROM sqlite_schema WHERE name = ?", (index,)
        ).fetchone()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = ?", (index,))
        connection.execute("PRAGMA writable_schema = RESET")
        connection.commit()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f'INSERT INTO "a.b" {rows}')
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", entry)
        connection.commit()


def checked(path: Path, method: Method):  # type: ignore[no-untyped-def]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return check_soundness(connection, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_sound_file(database: Path, method: Method) -> None:
    soundness = checked(database, method)
    assert not soundness.damaged
    assert not any((soundness.unreadable, soundness.nulls, soundness.checks, soundness.repeated))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("index", ["by_text", "index of some"])
def test_an_index_that_lacks_rows(database: Path, method: Method, index: str) -> None:
    add_behind_index(database, index, "VALUES (1000, 'x', 2, 'new')")
    soundness = checked(database, method)
    assert list(soundness.indexes) == [index]
    assert not soundness.pages
    change(database, f'REINDEX "{index}"')
    assert not checked(database, method).damaged


def test_rows_against_their_table_are_no_damage(database: Path) -> None:
    change(database, 'UPDATE "a.b" SET "c d" = NULL WHERE id < 100')
    schema_change(database, '"c d" TEXT', '"c d" TEXT NOT NULL')
    schema_change(database, "n < 500", "n < 5")
    for method in METHODS:
        with closing(sqlite3.connect(database)) as connection:  # SQLite reads no CHECK in mode=ro
            soundness = check_soundness(connection, method)
        assert not soundness.damaged
        assert list(soundness.nulls) == [("a.b", "c d")]
        assert list(soundness.checks) == ["a.b"]


def test_damage_behind_thousands_of_bad_rows_is_found(database: Path) -> None:
    change(
        database,
        "CREATE TABLE many (x TEXT); WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1"
        " FROM r WHERE i < 3000) INSERT INTO many SELECT NULL FROM r;"
        "CREATE TABLE z (x TEXT, y INTEGER); CREATE INDEX zz ON z(x); INSERT INTO z VALUES (1, 2);",
    )
    schema_change(database, "many (x TEXT)", "many (x TEXT NOT NULL)")
    with closing(sqlite3.connect(database)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'zz'"
        ).fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * 1024)
        file.write(random.Random(7).randbytes(100))
    assert checked(database, "integrity_check").pages


def test_a_table_that_cannot_be_read_leaves_the_others(database: Path) -> None:
    change(
        database,
        "CREATE TABLE orders (details TEXT); INSERT INTO orders VALUES ('{');"
        "ALTER TABLE orders ADD COLUMN pieces INTEGER AS (json_extract(details, '$.pieces'));",
    )
    add_behind_index(database, "by_text", "VALUES (1000, 'x', 2, 'new')")
    for method in METHODS:
        soundness = checked(database, method)
        assert soundness.unreadable == {"orders": "malformed JSON"}
        assert list(soundness.indexes) == ["by_text"]
        assert not soundness.pages


def test_equal_entries_of_a_unique_index(database: Path) -> None:
    change(database, "CREATE TABLE e (x TEXT); CREATE INDEX ex ON e(x);"
           "INSERT INTO e VALUES ('a'), ('a')")  # fmt: skip
    schema_change(database, "CREATE INDEX ex", "CREATE UNIQUE INDEX ex")
    soundness = checked(database, "integrity_check")
    assert list(soundness.repeated) == ["ex"]
    assert not soundness.damaged


def test_what_fits_the_time() -> None:
    assert method_for(ALWAYS_BYTES) == "integrity_check"
    assert method_for(10**12) == "indexes counted"


def test_the_condition_of_a_partial_index() -> None:
    assert partial_condition("CREATE INDEX i ON t(a) WHERE b > 'WHERE'") == " WHERE b > 'WHERE'"
    assert partial_condition('CREATE INDEX "WHERE" ON t("WHERE")') == ""
