"""Assignments that the migration did not make are user data: counted, exported, refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from runbook.errors import Refused
from runbook.run.folder import Run
from runbook.sqlite.cells import decode
from runbook.stages import migrate, rollback
from runbook.targets.sqlite import SqliteTarget
from tests.support.databases import connected, execute
from tests.support.odd_tables import KEYS, SHAPES, TABLE, make
from tests.support.prepared import Prepared
from tests.support.runs import agreed, begin, until_snapshot

LATER = "'2031-01-01 00:00:00'"


def file_of(run: Run) -> Path:
    return Path(run.info.database)


def migrated(prepared: Prepared, shape: str, key: str = "TEXT", journal: str = "DELETE") -> Run:
    """A database in this shape, migrated."""

    def prepare(folder: Path) -> Run:
        path = make(folder / "app.db", shape, key, journal)
        run = until_snapshot(begin(path, folder / "run", folder / "plan.toml"))
        migrate.migrate(run, agreed(run))
        return run

    return prepared.take(f"migrated {shape} {key} {journal}", prepare)


def organization(run: Run, user: str) -> str:
    """The personal organization of a user, whose key is an SQL literal, as an SQL literal."""
    with connected(file_of(run)) as connection:
        (name,) = connection.execute(
            f"SELECT quote(id) FROM organizations WHERE owner_id = {user}"
        ).fetchone()
    return str(name)


def exported(run: Run) -> list[dict[str, object]]:
    return [
        {k: decode(v) if isinstance(v, bytes) else v for k, v in row.items()}
        for file in sorted(run.exports.glob("assignments-*.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_moved_to_another_organization(prepared: Prepared, shape: str, key: str) -> None:
    run = migrated(prepared, shape, key, "WAL")
    one, two, _ = KEYS[key]
    other = organization(run, two)
    execute(file_of(run), f"UPDATE {TABLE} SET organization_id = {other} WHERE title = '1'")
    assert rollback.preview(run).assignments == 1
    with pytest.raises(Refused, match=r"1 .*assign.*--discard-organizations") as refusal:
        rollback.rollback(run, agreed(run))
    assert "assignments-" in str(refusal.value)
    (row,) = exported(run)
    with connected(file_of(run)) as connection:
        owner = connection.execute(f"SELECT {one}").fetchone()[0]
    assert str(row["k"] if "k" in row and shape != "no key" else 1) == "1"
    assert (row["by"], row["organization_id"]) == (owner, other.strip("'"))
    record = rollback.rollback(run, agreed(run), discard_organizations=True)
    assert record.done
    assert record.discarded == 1


WRITES = {
    "to nobody": (f"UPDATE {TABLE} SET organization_id = NULL WHERE title = '1'", 1),
    "with other edits": (
        f"UPDATE {TABLE} SET organization_id = {{b}}, title = 'x', \"Changed At\" = {LATER}"
        " WHERE title = '1'",
        1,
    ),
    "owner without its organization": (f"UPDATE {TABLE} SET by = 'b' WHERE title = '1'", 0),
    "owner with its organization": (
        f"UPDATE {TABLE} SET by = 'b', organization_id = {{b}} WHERE title = '1'",
        0,
    ),
    "owner to nobody": (f"UPDATE {TABLE} SET by = NULL WHERE title = '1'", 0),
    "new, of its owner": (
        f"INSERT INTO {TABLE} (k, by, organization_id) VALUES (9, 'a', {{a}})",
        0,
    ),
    "new, of another": (f"INSERT INTO {TABLE} (k, by, organization_id) VALUES (9, 'a', {{b}})", 1),
    "new, without owner": (f"INSERT INTO {TABLE} (k, organization_id) VALUES (9, {{b}})", 1),
    "new, of nobody": (f"INSERT INTO {TABLE} (k, by) VALUES (9, 'a')", 0),
    "deleted": (f"DELETE FROM {TABLE} WHERE title = '1'", 0),
    "there and back": (f"UPDATE {TABLE} SET organization_id = {{a}} WHERE title = '1'", 0),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_counts_as_an_assignment(prepared: Prepared, shape: str, write: str) -> None:
    run = migrated(prepared, shape)
    statement, expected = WRITES[write]
    a, b = organization(run, "'a'"), organization(run, "'b'")
    execute(file_of(run), statement.format(a=a, b=b))
    assert rollback.preview(run).assignments == expected
    if expected:
        with pytest.raises(Refused, match="assign"):
            rollback.rollback(run, agreed(run))
        assert len(exported(run)) == expected
    record = rollback.rollback(run, agreed(run), discard_organizations=bool(expected))
    assert record.discarded == expected
    assert len(exported(run)) == expected


def test_rows_of_a_new_user_in_a_new_personal_organization(prepared: Prepared) -> None:
    run = migrated(prepared, "text key")
    execute(
        file_of(run),
        "INSERT INTO \"us ers\" VALUES ('c')",
        "INSERT INTO organizations (id, name, slug, owner_id, type) VALUES ('new', 'n', 'n', 'c', 'personal')",
        f"INSERT INTO {TABLE} (k, by, organization_id) VALUES (9, 'c', 'new')",
        "INSERT INTO organizations (id, name, slug, owner_id, type) VALUES ('team', 't', 't', 'c', 'team')",
        f"INSERT INTO {TABLE} (k, by, organization_id) VALUES (10, 'c', 'team')",
    )
    assessed = rollback.preview(run)
    assert (assessed.organizations_since, assessed.assignments) == (2, 1)
    with pytest.raises(Refused):
        rollback.rollback(run, agreed(run))
    assert [row["k"] for row in exported(run)] == ["10"]


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_that_a_stopped_migration_did_not_reach(
    prepared: Prepared, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no organization yet, and nobody took them out of one; a team's row was put in."""
    run = migrated(prepared, shape)
    b = organization(run, "'b'")
    execute(
        file_of(run),
        f"ATTACH '{run.backup}' AS backup",
        f'UPDATE {TABLE} SET organization_id = NULL, "Changed At" ='
        f' (SELECT "Changed At" FROM backup.{TABLE} AS old WHERE old.title = {TABLE}.title)'
        " WHERE title <> '2'",
    )
    with connected(file_of(run)) as connection:
        reached = connection.execute(
            f"SELECT count(*) FROM {TABLE} WHERE organization_id IS NULL AND by IS NOT NULL"
        ).fetchone()[0]
    assert reached > 0
    assert rollback.preview(run).assignments == reached  # of a migration that had ended
    monkeypatch.setattr(SqliteTarget, "partial", True)
    preview = rollback.preview(run)
    assert (preview.assignments, preview.resources[0].edited) == (0, 0)

    execute(file_of(run), f"UPDATE {TABLE} SET organization_id = {b} WHERE title = '1'")
    execute(file_of(run), f"UPDATE {TABLE} SET title = 'edited' WHERE title = '3'")
    preview = rollback.preview(run)
    assert (preview.assignments, preview.resources[0].edited) == (1, 2)
    with pytest.raises(Refused, match="assign"):
        rollback.rollback(run, agreed(run))
    record = rollback.rollback(run, agreed(run), discard_organizations=True)
    assert (record.done, record.discarded) == (True, 1)
