"""The folder of migrations: which files wrangler takes, where ours goes, and Drizzle's journal."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from runbook.errors import Refused
from runbook.targets.d1.migrations_folder import JOURNAL, MigrationsFolder, split_pending

NAME = "0005_add_organizations"


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("SELECT 1;\n")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.sql", ("2_two.sql", "0010_ten.sql", "notes.sql")),
        ("*/migration.sql", ("20240101120000_a/migration.sql", "b/migration.sql")),
        (
            "**/*.sql",
            (
                "2_two.sql",
                "0010_ten.sql",
                "20240101120000_a/migration.sql",
                "b/down.sql",
                "b/migration.sql",
                "notes.sql",
            ),
        ),
        ("{b,c}/migration.sql", ("b/migration.sql",)),
    ],
)
def test_the_files_are_those_of_wrangler_in_its_order(
    tmp_path: Path, pattern: str, expected: tuple[str, ...]
) -> None:
    fill(tmp_path, "0010_ten.sql", "2_two.sql", "notes.sql", ".hidden.sql", "readme.md")
    fill(tmp_path, "20240101120000_a/migration.sql", "b/migration.sql", "b/down.sql", "meta/x.json")
    assert MigrationsFolder(tmp_path, pattern).names() == expected
    assert MigrationsFolder(tmp_path / "absent", pattern).names() == ()


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("*.sql", f"{NAME}.sql"),
        ("**/*.sql", f"{NAME}.sql"),
        ("*/migration.sql", f"{NAME}/migration.sql"),
        ("*/*.sql", f"{NAME}/{NAME}.sql"),
    ],
)
def test_our_file_goes_where_wrangler_finds_it(tmp_path: Path, pattern: str, place: str) -> None:
    folder = MigrationsFolder(tmp_path, pattern)
    assert folder.place_of(NAME) == place
    folder.write(place, "SELECT 2;\n")
    assert folder.names() == (place,)
    # What stands beside it is never a migration.
    fill(tmp_path, f"{NAME}/rollback.sql.txt", f"{NAME}/verify.sql.txt")
    assert folder.names() == (place,)
    (tmp_path / NAME / "rollback.sql.txt").unlink()
    (tmp_path / NAME / "verify.sql.txt").unlink()
    folder.remove(place)
    assert folder.names() == ()


@pytest.mark.parametrize(
    ("files", "applied", "expected"),
    [
        ((), (), NAME),
        (("0001_a.sql", "0002_b.sql"), (), NAME),
        (("0001_a.sql", "0009_b.sql"), (), "0010_add_organizations"),
        (("0001_a.sql",), ("0007_gone.sql",), "0008_add_organizations"),
        (("0005_z_other.sql",), (), "0006_add_organizations"),
        (("0005_a_other.sql",), (), NAME),
        (("0009_b.sql", "0010_add_organizations.sql"), (), "0010_add_organizations"),
        (("00012_b.sql",), (), "00013_add_organizations"),
        (("notes.sql",), (), NAME),
    ],
)
def test_the_next_free_number(
    tmp_path: Path, files: tuple[str, ...], applied: tuple[str, ...], expected: str
) -> None:
    fill(tmp_path, *files)
    assert MigrationsFolder(tmp_path).free_name(NAME, applied) == expected


def test_a_timestamp_stays_one(tmp_path: Path) -> None:
    fill(tmp_path, "20240101120000_a/migration.sql")
    name = MigrationsFolder(tmp_path, "*/migration.sql").free_name(NAME)
    assert name > "20250101000000"
    assert len(name.partition("_")[0]) == 14
    fill(tmp_path, "99990101120000_b/migration.sql")
    name = MigrationsFolder(tmp_path, "*/migration.sql").free_name(NAME)
    assert name == "99990101120001_add_organizations"


def test_another_file_of_the_name_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, f"{NAME}.sql")
    with pytest.raises(Refused, match="is not the one that would be applied"):
        MigrationsFolder(tmp_path).write(f"{NAME}.sql", "SELECT 2;\n")


def test_drizzle_s_journal_gets_its_entry_and_loses_it(tmp_path: Path) -> None:
    journal = tmp_path / JOURNAL
    journal.parent.mkdir()
    first = {"idx": 0, "version": "6", "when": 9e15, "tag": "0000_first", "breakpoints": True}
    text = json.dumps({"version": "7", "dialect": "sqlite", "entries": [first]}, indent=2) + "\n"
    journal.write_text(text)
    known = journal.read_text()
    folder = MigrationsFolder(tmp_path)
    for _ in range(2):  # once is enough
        folder.write(f"{NAME}.sql", "SELECT 1;\n")
        entries = json.loads(journal.read_text())["entries"]
        assert entries[0] == first
        (ours,) = entries[1:]
        assert (ours["idx"], ours["tag"]) == (1, NAME)
        assert ours["when"] > first["when"]
    folder.remove(f"{NAME}.sql")
    assert json.loads(journal.read_text()) == json.loads(known)
    journal.write_text("{")
    with pytest.raises(Refused, match="Drizzle's journal"):
        folder.write(f"{NAME}.sql", "SELECT 1;\n")


def test_what_was_run_by_hand_is_not_pending(tmp_path: Path) -> None:
    folder = MigrationsFolder(tmp_path)
    files = {
        "0001_there.sql": "CREATE TABLE IF NOT EXISTS `a` (x);\nCREATE INDEX ax ON a (x);",
        "0002_column.sql": 'ALTER TABLE a ADD COLUMN "y" TEXT;',
        "0003_missing.sql": "CREATE TABLE a (x); CREATE TABLE missing (x);",
        "0004_column.sql": "-- CREATE TABLE a (x);\nALTER TABLE a ADD z;",
        "0005_rows.sql": "INSERT INTO a VALUES (1);",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with contextlib.closing(sqlite3.connect(":memory:")) as replica:
        replica.executescript("CREATE TABLE A (x, Y); CREATE INDEX ax ON A (x);")
        pending, unnoted = split_pending(folder, folder.names(), replica)
    assert unnoted == ("0001_there.sql", "0002_column.sql")
    assert pending == ("0003_missing.sql", "0004_column.sql", "0005_rows.sql")
