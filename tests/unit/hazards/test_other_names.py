"""A database file with several names, and what may lie beside the other ones."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from runbook.hazards.other_names import probe_other_names

from .conftest import run_sql

HALF_A_TRANSACTION = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE t SET v = 'half'")
db.execute("PRAGMA cache_spill = 1")
db.execute("INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
           " WHERE i < 5000) SELECT i + 10, hex(zeroblob(200)) FROM n")
os._exit(0)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    run_sql(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a')")
    return path


def die_within(path: Path) -> None:
    subprocess.run(["python3", "-c", HALF_A_TRANSACTION, str(path)], check=True)


def shell(command: str) -> None:
    """A remedy, followed literally."""
    subprocess.run(["bash", "-c", command], check=True, capture_output=True)


def values(path: Path) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        return [v for (v,) in connection.execute("SELECT v FROM t ORDER BY id")]


def test_one_name_is_no_hazard(database: Path) -> None:
    (database.parent / "app.db-wal").touch()
    (database.parent / "app.db-shm").touch()
    (database.parent / "else.db").symlink_to("nowhere")
    (database.parent / "round").symlink_to("round")
    assert list(probe_other_names(database)) == []


def test_a_hard_link_beside_is_named_and_taken_away(database: Path) -> None:
    other = database.with_name("it's.db")
    other.hardlink_to(database)
    (hazard,) = probe_other_names(database)
    assert (hazard.code, hazard.samples) == ("several_names", (str(other),))
    shell(hazard.remedy)
    assert list(probe_other_names(database)) == []
    assert values(database) == ["a"]


def test_a_hard_link_elsewhere_can_be_found(database: Path) -> None:
    (database.parent / "far").mkdir()
    other = database.parent / "far" / "b.db"
    other.hardlink_to(database)
    (hazard,) = probe_other_names(database)
    assert "-samefile" in hazard.remedy
    listed = subprocess.run(
        [
            "bash",
            "-c",
            hazard.remedy.replace("find '/'", f"find '{database.parent}'"),
        ],
        capture_output=True,
        text=True,
    ).stdout.split()
    assert str(other) in listed


def test_a_half_transaction_under_a_hard_link(database: Path) -> None:
    other = database.with_name("other.db")
    other.hardlink_to(database)
    die_within(other)
    assert other.with_name("other.db-journal").exists()
    journal, links = probe_other_names(database)
    assert (journal.code, links.code) == ("journal_of_another_name", "several_names")
    assert journal.subject == "other.db-journal"
    shell(journal.remedy)
    shell(links.remedy)
    assert list(probe_other_names(database)) == []
    assert values(database) == ["a"]


def test_a_half_transaction_beside_a_symbolic_link(database: Path) -> None:
    for folder in (database.parent, database.parent / "far"):
        folder.mkdir(exist_ok=True)
        link = folder / "link.db"
        link.symlink_to(database)
        die_within(database)
        database.with_name("app.db-journal").rename(link.with_name("link.db-journal"))
        (hazard,) = probe_other_names(link)
        assert hazard.subject == "link.db-journal"
        shell(hazard.remedy)
        assert list(probe_other_names(link)) == []
        assert values(database) == ["a"]


def test_the_folder_shows_links_that_the_path_does_not(database: Path) -> None:
    database.with_name("link.db").symlink_to("app.db")
    die_within(database)
    database.with_name("app.db-journal").rename(database.with_name("link.db-journal"))
    assert [h.code for h in probe_other_names(database)] == ["journal_of_another_name"]


def test_a_log_beside_another_name(database: Path) -> None:
    run_sql(database, "PRAGMA journal_mode = WAL")
    other = database.with_name("other.db")
    other.hardlink_to(database)
    script = "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None)"
    script += "; db.execute(\"UPDATE t SET v = 'b'\"); os._exit(0)"
    subprocess.run(["python3", "-c", script, str(other)], check=True)
    assert Path(f"{other}-wal").stat().st_size
    log, links = probe_other_names(database)
    assert log.subject == "other.db-wal"
    shell(log.remedy)
    shell(links.remedy)
    assert list(probe_other_names(database)) == []
    assert values(database) == ["b"]
