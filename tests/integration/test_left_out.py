"""What is left out because something else proves the same: planted, it is found all the same.

Each of these is also tried with what is relied upon blinded. Then the planted fault passes, so
nothing else would have found it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.audit import invariants, witness_duckdb
from runbook.audit.gate import Expectation, prove
from runbook.audit.rule_values import RuleCheck
from runbook.audit.snapshot import capture
from runbook.audit.verify import ask_sqlite_witness
from runbook.audit.witness_duckdb import diff_snapshots
from runbook.errors import NotProven, RunbookError
from runbook.migration.job import Job
from runbook.run.folder import Run
from runbook.run.identity import LedgerRow
from runbook.run.records import MigrateRecord
from runbook.script.footprint import Baseline, read_baseline
from runbook.script.migration import SUBSUMED, guard_query
from runbook.sqlite.difference import TableDifference
from runbook.stages import migrate, preflight, rehearse
from runbook.templates import SqlFile, sql_files
from runbook.window.workflows import try_workflows
from tests.support.databases import dump
from tests.support.runs import agreed, begin
from tests.support.witnessed import ROWS, SCHEMA, Migrated, execute
from tests.support.witnessed import migrate as make_migrated

# -- a guard that the gate subsumes ---------------------------------------------------------------

ASSIGNED = "WHERE organization_id IS NULL;"
ONE_TO_ANOTHER = (
    f"{ASSIGNED}\nUPDATE projects SET organization_id = (SELECT id FROM organizations WHERE owner_id"
    " <> projects.owner_id LIMIT 1) WHERE rowid = 1;"
)


@pytest.fixture
def misassigning(snapshotted: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose script puts one project into the organization of somebody else."""
    honest = SqlFile.render

    def faulty(self: SqlFile, **values: object) -> str:
        text = honest(self, **values)
        assigning = self.name == "06_assign_resources"
        return text.replace(ASSIGNED, ONE_TO_ANOTHER) if assigning else text

    monkeypatch.setattr(SqlFile, "render", faulty)
    return snapshotted


def test_what_the_guard_would_find_the_gate_finds(misassigning: Run) -> None:
    path = Path(misassigning.info.database)
    before = dump(path)
    with pytest.raises(NotProven, match="belongs to its owner's organization") as caught:
        migrate.migrate(misassigning, agreed(misassigning))
    record = caught.value.record
    assert isinstance(record, MigrateRecord)
    assert [(f.table, f.change, f.rows) for f in record.findings] == [
        ("projects", "invariant resources_of_another_owner", 1)
    ]
    assert dump(path) == before


def test_nothing_but_the_gate_would_find_it(
    misassigning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RuleCheck, "faults_of", lambda *_: ())
    monkeypatch.setattr(RuleCheck, "resource", lambda *_: iter(()))
    record = migrate.migrate(misassigning, agreed(misassigning))
    assert record.committed, "the guard has run: it is not left to the gate any more"
    (left,) = (f for f in sql_files("invariants") if f.name in SUBSUMED)
    with closing(sqlite3.connect(misassigning.info.database)) as connection:
        shape = read_baseline(misassigning.backup, misassigning.info.plan).shape
        ((_, query),) = guard_query(left, misassigning.info.plan, shape)
        assert len(connection.execute(query).fetchall()) == 1


# -- invariants that follow from a proof that found nothing -----------------------------------------


def proven(done: Migrated, connection: sqlite3.Connection) -> bool:
    """Whether the proof finds nothing in what the connection sees."""
    baseline = read_baseline(done.before, done.plan)
    row = connection.execute(
        "SELECT migration, run, checksum, applied_at FROM runbook_ledger"
    ).fetchone()
    expected = Expectation(done.plan, Baseline(done.shape, baseline.footprint), LedgerRow(*row))
    return not prove(connection, expected, "sqlite").findings


def moved_to(table: str, user: str) -> str:
    """Makes the row of u1 in a new table the one that the rule would give another user."""
    row = "id = '{0}-{1}', {2} = '{1}'"
    if table == "organizations":
        values = row.format("org", user, "owner_id") + ", name = 'nobody''s Workspace',"
        return f"UPDATE organizations SET {values} slug = 'personal-' || lower(hex('{user}')) WHERE owner_id = 'u1';"
    values = row.format("mem", user, "user_id") + f", organization_id = 'org-{user}'"
    return f"UPDATE organization_memberships SET {values} WHERE user_id = 'u1';"


@pytest.mark.parametrize(
    ("planted", "violated"),
    [
        # u4 has no rows, so that there are as many organizations as before, each by the rule.
        (
            [moved_to("organizations", "u4"), moved_to("organization_memberships", "u4")],
            {"resources_of_missing_organization", "users_without_organization"},
        ),
        (
            [moved_to("organization_memberships", "u4")],
            {
                "references_to_nothing",
                "organizations_without_owner_membership",
                "users_without_organization",
            },
        ),
    ],
)
def test_what_follows_from_the_proof_follows_only_with_its_premises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: list[str], violated: set[str]
) -> None:
    done = make_migrated(tmp_path, SCHEMA, ROWS)
    execute(done.after, *planted)
    with closing(sqlite3.connect(done.after, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS before", (str(done.before),))
        assert proven(done, connection), "each row is what the rule gives somebody"

        def ask(by_proof: bool) -> set[str]:
            answers = invariants.ask_sqlite(connection, done.plan, done.shape, by_proof)
            return {name for name, answer in answers.items() if answer.violations}

        assert ask(True) == ask(False) >= violated
        monkeypatch.setattr(
            invariants, "SHOWN_BY_PROOF", dict.fromkeys(invariants.SHOWN_BY_PROOF, ())
        )
        assert not violated <= ask(True), "without the premises something is hidden"


@pytest.mark.parametrize(
    "planted",
    [
        "UPDATE organization_memberships SET role = 'viewer' WHERE user_id = 'u1';",
        "UPDATE organization_memberships SET user_id = 'nobody' WHERE user_id = 'u1';",
        "UPDATE organization_memberships SET invited_by = 'nobody' WHERE user_id = 'u1';",
        "UPDATE organizations SET owner_id = 'u2' WHERE owner_id = 'u1';",
        "DELETE FROM organization_memberships WHERE user_id = 'u1';",
    ],
)
def test_where_the_proof_finds_something_everything_is_asked(tmp_path: Path, planted: str) -> None:
    done = make_migrated(tmp_path, SCHEMA.replace("owner_id TEXT", "owner_id TEXT"), ROWS)
    execute(done.after, planted)
    with closing(sqlite3.connect(done.after, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS before", (str(done.before),))
        in_full = invariants.ask_sqlite(connection, done.plan, done.shape)
        row = connection.execute(
            "SELECT migration, run, checksum, applied_at FROM runbook_ledger"
        ).fetchone()
    baseline = read_baseline(done.before, done.plan)
    expected = Expectation(done.plan, baseline, LedgerRow(*row))
    asked = ask_sqlite_witness(done.after, expected, done.before)
    assert asked.invariants == in_full
    references = [f.table for f in asked.proof.findings if f.change == "broken reference"]
    assert bool(references) == ("nobody" in planted)


# -- columns whose bytes are the same -----------------------------------------------------------------


def by_duckdb(folder: Path, setup: str, change: str) -> TableDifference:
    """What DuckDB says of the table `t` before and after a change."""
    captures = []
    path = folder / "app.db"
    for number, statements in enumerate((setup, change)):
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(statements)
        captures.append(capture(path, folder / str(number)))
    (difference,) = diff_snapshots(captures[0], captures[1], expected={"t": ("at",)})
    return difference


THREE = (
    "CREATE TABLE t (id {key} PRIMARY KEY, v, w, at);"
    "INSERT INTO t VALUES (1, 'x', 1, 'a'), (2, 'y', 1, 'a'), (3, 'x', 1, 'a');"
)
STAMPED = "UPDATE t SET at = 'b';"


@pytest.mark.parametrize("key", ["INTEGER", "TEXT"])
@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ("", {"at": 3}),
        ("UPDATE t SET v = 'z' WHERE id = 2;", {"at": 3, "v": 1}),
        # Two rows exchange a cell: each column holds what it held, in another order.
        ("UPDATE t SET v = CASE id WHEN 1 THEN 'y' WHEN 2 THEN 'x' ELSE v END;", {"at": 3, "v": 2}),
        ("UPDATE t SET w = 1.0 WHERE id = 3;", {"at": 3, "w": 1}),
        ("UPDATE t SET w = CAST('1' AS BLOB) WHERE id = 3;", {"at": 3, "w": 1}),
    ],
)
def test_rows_side_by_side(tmp_path: Path, key: str, change: str, changed: dict[str, int]) -> None:
    difference = by_duckdb(tmp_path, THREE.format(key=key), STAMPED + change)
    assert dict(difference.changed) == changed
    assert (difference.added, difference.removed) == (0, 0)
    assert {sample.column for sample in difference.samples} == changed.keys() - {"at"}


def test_rows_in_the_same_place_are_not_the_same_rows_under_other_rowids(tmp_path: Path) -> None:
    """`v` and `w` have the very bytes that they had, and yet row 3 has another `v`."""
    moved = (
        "DELETE FROM t; INSERT INTO t VALUES (1, 'x', 1, 'b'), (3, 'y', 1, 'b'), (4, 'x', 1, 'b');"
    )
    difference = by_duckdb(tmp_path, THREE.format(key="INTEGER"), moved)
    assert (difference.added, difference.removed) == (1, 1)
    assert dict(difference.changed) == {"v": 1, "at": 2}


def test_a_column_that_is_said_to_be_the_same_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness_duckdb, "same_columns", lambda *_: {"v"})
    change = STAMPED + "UPDATE t SET v = 'z', w = 2 WHERE id = 2;"
    difference = by_duckdb(tmp_path, THREE.format(key="INTEGER"), change)
    assert "w" in dict(difference.changed)
    monkeypatch.setattr(witness_duckdb, "same_columns", lambda *_: {"v", "w"})
    (tmp_path / "app.db").unlink()
    assert dict(by_duckdb(tmp_path, THREE.format(key="INTEGER"), change).changed) == {"at": 3}


# -- SQLite's comparison of the rehearsal's copy, which the gate has done --------------------------


def check_rehearsal_fails(run: Run) -> None:
    preflight.preflight(run)
    with pytest.raises(RunbookError):
        rehearse.rehearse(run)
    assert not run.finished("rehearse")


@pytest.mark.parametrize(
    "written",
    [
        "UPDATE users SET name = 'written' WHERE rowid = 1;",
        "DELETE FROM comments WHERE rowid = 1;",
        "UPDATE projects SET organization_id = (SELECT max(id) FROM organizations) WHERE rowid < 9;",
        "UPDATE organizations SET name = 'written' WHERE rowid = 1;",
        "DROP INDEX idx_projects_owner;",
    ],
)
def test_what_is_written_to_the_copy_after_its_commit_fails_the_rehearsal(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    real = rehearse.migrate

    def careless(job: Job, **named: Baseline) -> MigrateRecord:
        done = real(job, **named)
        execute(tmp_path / "run" / "rehearsal" / "copy.db", written)
        return done

    monkeypatch.setattr(rehearse, "migrate", careless)
    check_rehearsal_fails(begin(sample, tmp_path / "run"))


# -- what the workflows leave behind on the rehearsal's copy -------------------------------------------


@pytest.mark.parametrize(
    "left",
    [
        "UPDATE users SET name = 'left' WHERE rowid = 1;",
        "DELETE FROM comments WHERE rowid = 1;",
        "UPDATE projects SET updated_at = '2030-01-01 00:00:00' WHERE rowid = 1;",
        "DELETE FROM organization_memberships WHERE rowid = 1;",
        "CREATE TABLE left_behind (a);",
    ],
)
def test_what_the_workflows_leave_behind_fails_the_rehearsal(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    def careless(database: Path, *given: object, **named: object) -> object:
        outcome = try_workflows(database, *given, **named)  # type: ignore[arg-type]
        execute(database, left)
        return outcome

    monkeypatch.setattr(rehearse, "try_workflows", careless)
    check_rehearsal_fails(begin(sample, tmp_path / "run"))
