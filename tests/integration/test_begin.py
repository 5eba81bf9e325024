"""Whatever somebody writes between the snapshot and the migration is found, whatever column."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.errors import NotProven, RunbookError
from runbook.run.folder import Run
from runbook.stages import migrate, rollback, snapshot, verify
from tests.support.databases import connected, dump, execute
from tests.support.faults.harness import FULL
from tests.support.odd_tables import KEYS, SHAPES, TABLE, make
from tests.support.prepared import Prepared
from tests.support.runs import agreed, begin, until_snapshot


def taken(prepared: Prepared, *shape: str) -> tuple[Path, Run]:
    """A database in this shape, with a run up to its snapshot."""

    def prepare(folder: Path) -> Run:
        path = make(folder / "app.db", *shape)
        return until_snapshot(begin(path, folder / "run", folder / "plan.toml"))

    run = prepared.take(" ".join(["snapshot", *shape]), prepare)
    return Path(run.info.database), run


CHANGES = {
    "the time of a row": (f"UPDATE {TABLE} SET \"Changed At\" = '2024-02-02 03:04:05' WHERE k = 2", "Changed At"),
    "a time where there was none": (f"UPDATE {TABLE} SET \"Changed At\" = '2024-01-02 03:04:05' WHERE k = 3", "Changed At"),
    "no time any more": (f'UPDATE {TABLE} SET "Changed At" = NULL WHERE k = 1', "Changed At"),
    "two times exchanged": (f"UPDATE {TABLE} SET \"Changed At\" = CASE k WHEN 3 THEN '2024-01-02 03:04:05' END WHERE k IN (1, 3)", 'it"ems'),
    "another value": (f"UPDATE {TABLE} SET title = 'x' WHERE k = 1", "title"),
    "a row more": (f"INSERT INTO {TABLE} (k, by) SELECT 9, by FROM {TABLE} WHERE k = 1", "added"),
    "a row less": (f"DELETE FROM {TABLE} WHERE k = 2", "removed"),
    "another table": ("UPDATE other SET body = 1.0 WHERE n = 1", "body"),
    "a user more": ('INSERT INTO "us ers" VALUES (99)', "added"),
    "a counter": ("UPDATE sqlite_sequence SET seq = 7 WHERE name = 'other'", "seq"),
    "user_version": ("PRAGMA user_version = 5", "user_version"),
    "application_id": ("PRAGMA application_id = 5", "application_id"),
    "an index": ("CREATE INDEX more ON other (body)", "more"),
    "a view": ("CREATE VIEW more AS SELECT 1 AS one", "more"),
}  # fmt: skip


# Every change in one shape, and those of the footprint in every shape.
PAIRS = [
    (shape, change)
    for shape in SHAPES
    for change in CHANGES
    if shape == "text key" or "time" in change
]


@pytest.mark.parametrize(("shape", "change"), PAIRS)
def test_every_write_since_the_snapshot_is_refused(
    prepared: Prepared, shape: str, change: str
) -> None:
    path, run = taken(prepared, shape)
    statement, named = CHANGES[change]
    if change == "a user more":
        statement = "INSERT INTO \"us ers\" VALUES ('c')"
    execute(path, statement)
    before = dump(path)
    with pytest.raises(NotProven, match=r"written to after the snapshot") as refusal:
        migrate.migrate(run, agreed(run))
    assert dump(path) == before
    assert refusal.value.exit_code == 1
    record = refusal.value.record
    assert named in str(record.findings)  # type: ignore[attr-defined]
    # What the message says to do works.
    snapshot.snapshot(run, again=True)
    assert migrate.migrate(run, agreed(run)).committed


# Every shape with every key, and with each journal; every combination in the long form.
COMBINATIONS = [
    (shape, key, journal)
    for row, shape in enumerate(SHAPES)
    for column, key in enumerate(KEYS)
    for place, journal in enumerate(["DELETE", "WAL"])
    if FULL or (row + column + place) % 2
]


@pytest.mark.parametrize(("shape", "key", "journal"), COMBINATIONS)
def test_the_time_alone_is_seen_whatever_the_key_and_generated_columns_are_recomputed(
    prepared: Prepared, shape: str, key: str, journal: str
) -> None:
    path, run = taken(prepared, shape, key, journal)
    execute(path, f"UPDATE {TABLE} SET \"Changed At\" = '2024-01-02 03:04:06' WHERE title = '1'")
    with pytest.raises(NotProven, match='"Changed At" was changed in 1 row of "it"ems"'):
        migrate.migrate(run, agreed(run))
    execute(path, f"UPDATE {TABLE} SET \"Changed At\" = '2024-01-02 03:04:05' WHERE title = '1'")
    before = dump(path)
    snapshot.snapshot(run, again=True)
    migrate.migrate(run, agreed(run))
    assert verify.verify(run).verdict == "pass"
    with connected(path) as connection:
        query = (
            f'SELECT count(*), sum(day = substr("Changed At", 1, 10) AND year > 2024) FROM {TABLE}'
        )
        assert connection.execute(query).fetchone() == (3, 3)
    rollback.rollback(run, agreed(run))
    assert dump(path) == before


HEADER = {
    "journal": ("PRAGMA journal_mode = WAL", "journal_mode in the header of the database was"),
    "page size": ("PRAGMA page_size = 1024; VACUUM", "page size was 4096 and is 1024"),
    "vacuum": ("PRAGMA auto_vacuum = INCREMENTAL; VACUUM", "auto_vacuum in the header of the"),
}


@pytest.mark.parametrize("change", HEADER)
def test_the_header_is_part_of_the_proof(prepared: Prepared, change: str) -> None:
    path, run = taken(prepared, "integer key")
    statements, message = HEADER[change]
    execute(path, *statements.split("; "))
    with pytest.raises(RunbookError, match=message):
        migrate.migrate(run, agreed(run))


def test_another_encoding_is_named_although_it_cannot_even_be_attached(prepared: Prepared) -> None:
    path, run = taken(prepared, "integer key")
    text = dump(path)
    path.write_bytes(b"")
    with connected(path) as connection:
        connection.execute("PRAGMA encoding = 'UTF-16le'")
        connection.executescript(text)
    with pytest.raises(RunbookError, match="encoding was UTF-8 and is UTF-16le"):
        migrate.migrate(run, agreed(run))


@pytest.mark.parametrize(
    "statement",
    ["PRAGMA user_version = 9", "PRAGMA application_id = 9", "PRAGMA journal_mode = WAL"],
)
def test_a_header_changed_after_the_commit_is_a_finding_of_verify(
    prepared: Prepared, statement: str
) -> None:
    path, run = taken(prepared, "integer key")
    migrate.migrate(run, agreed(run))
    execute(path, statement)
    record = verify.verify(run)
    assert record.verdict == "fail"
    name = statement.split()[1]
    assert any(f.column == name and "header" in f.message for f in record.findings)


def test_a_time_that_is_not_the_migrations_own_stays(prepared: Prepared) -> None:
    path, run = taken(prepared, "text key")
    migrate.migrate(run, agreed(run))
    execute(path, f"UPDATE {TABLE} SET \"Changed At\" = '2031-01-01 00:00:00' WHERE k = '1'")
    record = rollback.rollback(run, agreed(run))
    assert (record.restored, record.kept) == (2, 1)
    with connected(path) as connection:
        times = connection.execute(f'SELECT "Changed At" FROM {TABLE} ORDER BY title').fetchall()
    assert times == [("2031-01-01 00:00:00",), ("2024-01-02 03:04:05",), (None,)]
