"""The way back: what it restores, keeps and refuses, and that a wrong one never commits."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from runbook.audit.samples import SAMPLES
from runbook.errors import NotProven, Refused
from runbook.migration.assess import assess
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.migration.rollback import restore_backup, roll_back
from runbook.plan.plan import Plan, Triggers
from runbook.plan.read import read_plan
from runbook.run.records import Assessment, RollbackRecord
from runbook.sqlite.inequality import any_differs
from runbook.targets.sqlite import SqliteTarget
from runbook.templates import sql_files
from tests.support.databases import connected, dump, execute
from tests.support.later_writes import NEW_ORGANIZATION
from tests.support.paths import PLANS

EARLIER = "2020-01-01 00:00:00"
LATER = "2031-01-01 00:00:00"


class Migrated:
    """A migrated database with its backup, and the calls that take it back."""

    def __init__(self, path: Path, plan: Plan | None = None) -> None:
        self.path = path
        self.plan = plan or Plan()
        self.target = SqliteTarget(path)
        self.backup = path.with_name("backup.db")
        self.exports = path.with_name("exports")
        self.before = dump(path)
        self.target.backup(self.backup)
        migrate(Job(self.target, self.plan, "run", self.backup))

    def sql(self, *statements: str) -> None:
        execute(self.path, *statements)

    def one(self, query: str) -> object:
        with connected(self.path) as connection:
            row = connection.execute(query).fetchone()
            return row[0] if row else None

    @property
    def instant(self) -> str:
        """The migration's instant as `updated_at` holds it."""
        return str(self.one("SELECT substr(applied_at, 1, 19) FROM runbook_ledger"))

    def assess(self) -> Assessment:
        return assess(Job(self.target, self.plan, "run", self.backup))

    def back(self, *, discard: bool = False, run: str = "run") -> RollbackRecord:
        return roll_back(
            Job(self.target, self.plan, run, self.backup, wait=1),
            self.exports,
            discard_organizations=discard,
        )

    def refused(self, says: str, *, discard: bool = False, run: str = "run") -> Refused:
        """The refusal, which left the database as it was."""
        now = dump(self.path)
        with pytest.raises(Refused, match=says) as caught:
            self.back(discard=discard, run=run)
        assert caught.value.exit_code == 1
        assert dump(self.path) == now
        return caught.value


@pytest.fixture
def migrated(sample: Path) -> Migrated:
    return Migrated(sample)


# -- nobody wrote --------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_without_edits_everything_is_as_it_was_and_may_be_migrated_again(
    sample: Path, journal: str
) -> None:
    execute(sample, f"PRAGMA journal_mode = {journal}")
    db = Migrated(sample)
    assert dump(sample) != db.before
    record = db.back()
    assert dump(sample) == db.before
    assert db.one("PRAGMA journal_mode") == journal
    assert db.one("PRAGMA integrity_check") == "ok"
    assert (record.done, record.restored, record.kept, record.discarded) == (True, 1000, 0, 0)
    assert record.assessment is not None
    assert record.assessment.lost_by_restore == 0
    migrate(Job(db.target, db.plan, "second", db.backup))
    assert db.one("SELECT run FROM runbook_ledger") == "second"


@pytest.mark.parametrize("name", ["chinook", "northwind"])
def test_the_dump_of_a_public_database_is_the_same_to_the_byte(
    public: Callable[[str], Path], name: str
) -> None:
    shell = shutil.which("sqlite3")
    if shell is None:
        pytest.skip("the sqlite3 shell is not installed")
    path = public(name)

    def dumped() -> bytes:
        return subprocess.run([shell, path, ".dump"], check=True, capture_output=True).stdout

    before = dumped()
    db = Migrated(path, read_plan(PLANS / f"{name}.toml"))
    migrated = dumped()
    assert migrated != before
    record = db.back()
    assert dumped() == before
    assert record.restored == 0  # there is no updated_at
    again = path.with_name("again.db")
    db.target.backup(again)
    migrate(Job(db.target, db.plan, "run", again))
    assert len(dumped()) == len(migrated)


def test_a_ledger_that_was_there_before_keeps_its_earlier_rows(sample: Path) -> None:
    execute(
        sample,
        "CREATE TABLE runbook_ledger (migration TEXT PRIMARY KEY, run TEXT NOT NULL,"
        " checksum TEXT NOT NULL, applied_at TEXT NOT NULL)",
        "INSERT INTO runbook_ledger VALUES ('earlier', 'r', 'c', '2020-01-01 00:00:00.000')",
    )
    db = Migrated(sample)
    db.back()
    assert dump(sample) == db.before


def test_suspended_triggers_neither_fire_nor_change(sample: Path) -> None:
    execute(
        sample,
        "CREATE TRIGGER touch AFTER UPDATE ON projects BEGIN"
        " INSERT INTO audit_log (action) VALUES ('touched; really'); END",
    )
    db = Migrated(sample, Plan(triggers=Triggers("suspend")))
    text = db.one("SELECT sql FROM sqlite_schema WHERE name = 'touch'")
    db.back()
    assert db.one("SELECT count(*) FROM audit_log WHERE action LIKE 'touched%'") == 0
    assert db.one("SELECT sql FROM sqlite_schema WHERE name = 'touch'") == text
    assert sorted(dump(sample).splitlines()) == sorted(db.before.splitlines())


def test_a_trigger_made_since_does_not_fire_either(migrated: Migrated) -> None:
    migrated.sql(
        "CREATE TRIGGER touch AFTER UPDATE OF updated_at ON projects BEGIN"
        " UPDATE projects SET name = 'touched' WHERE id = new.id; END"
    )
    record = migrated.back()
    assert migrated.one("SELECT count(*) FROM projects WHERE name = 'touched'") == 0
    assert record.assessment is not None
    assert record.assessment.objects_kept == ('trigger "touch" (added)',)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW broken AS SELECT x FROM nowhere",
        "CREATE TRIGGER broken AFTER INSERT ON tags BEGIN INSERT INTO nowhere VALUES (1); END",
    ],
)
def test_a_broken_view_or_trigger_elsewhere_does_no_harm_and_is_named(
    migrated: Migrated, statement: str
) -> None:
    migrated.sql(statement)
    record = migrated.back()
    assert "broken" in record.note
    assert migrated.one("SELECT sql FROM sqlite_schema WHERE name = 'broken'") == statement
    migrated.sql(f"DROP {statement.split()[1]} broken")
    assert dump(migrated.path) == migrated.before


def test_statistics_of_what_goes_go_with_it(sample: Path) -> None:
    execute(sample, "ANALYZE")
    db = Migrated(sample)
    db.sql("ANALYZE")
    assert db.one("SELECT count(*) FROM sqlite_stat1 WHERE idx = 'idx_projects_org'") == 1
    db.back()
    assert db.one("SELECT count(*) FROM sqlite_stat1 WHERE idx LIKE '%org%'") == 0
    assert sorted(dump(sample).splitlines()) == sorted(db.before.splitlines())


# -- people wrote --------------------------------------------------------------------------------


def test_what_was_written_since_is_counted_and_kept(migrated: Migrated) -> None:
    at = migrated.instant
    first, second, third, fourth, fifth = (
        f"(SELECT id FROM projects LIMIT 1 OFFSET {n})" for n in range(5)
    )
    migrated.sql(
        f"UPDATE projects SET name = 'later', updated_at = '{LATER}' WHERE id = {first}",
        f"UPDATE projects SET name = 'in the same second' WHERE id = {second}",
        f"UPDATE projects SET updated_at = '{LATER}' WHERE id = {third}",
        f"UPDATE projects SET organization_id = (SELECT max(id) FROM organizations)"
        f" WHERE id = {fourth}",
        f"DELETE FROM projects WHERE id = {fifth}",
        "INSERT INTO projects (id, owner_id, name, updated_at)"
        f" SELECT 'new', min(id), 'new', '{EARLIER}' FROM users",
        "INSERT INTO projects (id, owner_id, name, updated_at)"
        f" SELECT 'new in the same second', min(id), 'new', '{at}' FROM users",
        "UPDATE users SET name = 'renamed' WHERE id = (SELECT min(id) FROM users)",
        "DELETE FROM comments WHERE id = 1",
        "CREATE TABLE made_since (x)",
        "INSERT INTO made_since VALUES (1), (2)",
    )
    found = migrated.assess()
    (projects,) = found.resources
    assert (projects.edited, projects.inserted, projects.deleted) == (4, 2, 1)
    assert (projects.moved, projects.undated, projects.restored) == (1, 1, 995)
    others = {t.table: (t.edited, t.inserted, t.deleted) for t in found.others}
    assert others == {"users": (1, 0, 0), "comments": (0, 0, 1), "made_since": (0, 2, 0)}
    assert found.kept == 7
    assert found.lost_by_restore == 11
    assert (found.assignments, found.discarded) == (1, 1)
    with pytest.raises(Refused, match="1 of the assignments"):
        migrated.back()
    record = migrated.back(discard=True)
    assert (record.restored, record.kept, record.discarded) == (995, 7, 1)
    assert migrated.one("SELECT updated_at FROM projects WHERE name = 'later'") == LATER
    assert migrated.one("SELECT updated_at FROM projects WHERE name = 'in the same second'") == at
    assert migrated.one("SELECT updated_at FROM projects WHERE id = 'new'") == EARLIER
    assert migrated.one("SELECT count(*) FROM projects WHERE id LIKE 'new%'") == 2
    assert migrated.one("SELECT count(*) FROM projects") == 1001
    assert migrated.one("SELECT name FROM users ORDER BY id LIMIT 1") == "renamed"
    with connected(migrated.path) as connection:
        connection.execute("ATTACH ? AS old", (str(migrated.backup),))
        differing = "SELECT count(*) FROM (SELECT * FROM {} EXCEPT SELECT * FROM {})"
        now = connection.execute(differing.format("main.projects", "old.projects")).fetchone()
        assert now == (6,)  # four edited (one moved in that second), two new


def test_rows_whose_rowid_moved_are_found_by_their_key(migrated: Migrated) -> None:
    migrated.sql(
        "UPDATE projects SET rowid = rowid + 100000 WHERE rowid % 3 = 0",
        "UPDATE projects SET name = 'edited' WHERE rowid = 100003",
    )
    record = migrated.back()
    assert record.restored == 999
    assert (record.assessment.kept if record.assessment else None) == 1
    with connected(migrated.path) as connection:
        connection.execute("ATTACH ? AS old", (str(migrated.backup),))
        rows = connection.execute(
            "SELECT count(*) FROM (SELECT * FROM projects EXCEPT SELECT * FROM old.projects)"
        ).fetchone()
        assert rows == (1,)


def test_after_a_dump_and_load_the_rollback_still_restores(
    migrated: Migrated, tmp_path: Path
) -> None:
    migrated.sql("DELETE FROM projects WHERE rowid <= 10")
    text = dump(migrated.path)
    migrated.path.unlink()
    with connected(migrated.path) as connection:
        # The search table is SQLite's business; its shadow tables cannot be loaded by hand.
        if "writable_schema" in text:
            pytest.skip("this SQLite has full-text search, whose dump cannot be loaded at once")
        connection.executescript(text)
    assert migrated.back().restored == 990


# -- what stands in the way ----------------------------------------------------------------------

NEW_MEMBERSHIP = (
    "INSERT INTO organization_memberships (id, organization_id, user_id, role)"
    " SELECT 'm', min(o.id), (SELECT max(id) FROM users), 'member' FROM organizations AS o"
)


@pytest.mark.parametrize(
    ("statement", "organizations", "memberships"),
    [
        (NEW_ORGANIZATION, 1, 0),
        (NEW_MEMBERSHIP, 0, 1),
        ("UPDATE organizations SET name = 'Renamed' WHERE rowid = 1", 1, 0),
        ("UPDATE organization_memberships SET role = 'admin' WHERE rowid < 3", 0, 2),
    ],
)
def test_organizations_made_by_people_are_exported_and_not_discarded_unasked(
    migrated: Migrated, statement: str, organizations: int, memberships: int
) -> None:
    migrated.sql(statement)
    error = migrated.refused("--discard-organizations")
    found = migrated.assess()
    assert (found.organizations_since, found.memberships_since) == (organizations, memberships)
    assert isinstance(error.record, RollbackRecord)
    assert error.record.discarded == organizations + memberships
    assert {p.name for p in migrated.exports.iterdir()} == {
        "organizations.parquet",
        "organizations.csv",
        "organization_memberships.parquet",
        "organization_memberships.csv",
    }
    record = migrated.back(discard=True)
    assert record.discarded == organizations + memberships
    assert dump(migrated.path) == migrated.before


def test_deleted_organizations_are_no_reason_to_refuse(migrated: Migrated) -> None:
    migrated.sql("DELETE FROM organization_memberships WHERE rowid = 1")
    assert migrated.back().discarded == 0
    assert dump(migrated.path) == migrated.before


def test_the_export_holds_every_row_exactly(migrated: Migrated) -> None:
    migrated.sql(
        NEW_ORGANIZATION,
        "UPDATE organizations SET name = 'a, \"b\"\n\u00e9', settings = NULL, type = x'00ff'"
        " WHERE id = 'team'",
    )
    migrated.refused("discard")
    table = pq.read_table(migrated.exports / "organizations.parquet")
    assert table.num_rows == migrated.one("SELECT count(*) FROM organizations")
    row = next(r for r in table.to_pylist() if r["id"] == b"tteam")
    assert row["name"].decode() == "t" + 'a, "b"\n\u00e9'
    assert (row["settings"], row["type"]) == (b"n", b"b00FF")
    text = (migrated.exports / "organizations.csv").read_text(encoding="utf-8")
    assert '"a, ""b""\n\u00e9"' in text
    assert text.count("personal-") >= table.num_rows - 1


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("CREATE VIEW v AS SELECT p.organization_id FROM projects AS p", 'DROP VIEW "v"'),
        ("CREATE VIEW v AS SELECT count(*) AS n FROM [Organizations]", 'DROP VIEW "v"'),
        ("CREATE INDEX i ON projects (organization_id, name)", 'DROP INDEX "i"'),
        ("CREATE INDEX i ON projects (name) WHERE organization_id = 'x'", 'DROP INDEX "i"'),
        (
            "CREATE TRIGGER t AFTER INSERT ON projects BEGIN UPDATE projects SET organization_id ="
            " 'x' WHERE id = new.id; END",
            'DROP TRIGGER "t"',
        ),
        (
            "CREATE TABLE teams (id TEXT, organization_id TEXT REFERENCES organizations(id))",
            'DROP TABLE "teams"',
        ),
        ("ALTER TABLE projects ADD COLUMN colour TEXT", "was altered"),
        ("ALTER TABLE projects RENAME COLUMN name TO title", "name is not there"),
        ("ALTER TABLE projects RENAME TO plans", "altered or dropped"),
        (
            "DROP INDEX idx_projects_org; CREATE INDEX idx_projects_org ON"
            " projects (name, organization_id)",
            'DROP INDEX "idx_projects_org"',
        ),
    ],
)
def test_what_needs_the_column_is_named_with_the_remedy(
    migrated: Migrated, statement: str, says: str
) -> None:
    for each in statement.split("; ") if "DROP INDEX" in statement else [statement]:
        migrated.sql(each)
    migrated.refused(says, discard=True)


def test_additions_to_the_tables_that_go_are_discarded_only_on_request(migrated: Migrated) -> None:
    migrated.sql(
        "ALTER TABLE organizations ADD COLUMN colour TEXT",
        "CREATE INDEX i ON organizations (name)",
    )
    error = migrated.refused('index "i"')
    assert 'column "colour"' in str(error)
    migrated.back(discard=True)
    assert dump(migrated.path) == migrated.before


def test_a_comment_about_organizations_is_no_obstacle(migrated: Migrated) -> None:
    migrated.sql("CREATE VIEW v AS SELECT 1 AS one -- not of organizations\n")
    migrated.back()
    assert migrated.one("SELECT one FROM v") == 1


def test_another_run_and_a_database_that_was_never_migrated_are_refused(
    migrated: Migrated,
) -> None:
    migrated.refused('the run "run" migrated this database', run="another")
    migrated.back()
    migrated.refused("does not hold the migration")


def test_a_locked_database_is_refused_in_time(migrated: Migrated) -> None:
    with connected(migrated.path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Refused, match="locked"):
            migrated.back()
        other.execute("ROLLBACK")
    assert migrated.back().done


# -- a wrong script never commits ----------------------------------------------------------------

FAULTS = [
    # The restore step gives too little, too much, or the wrong value.
    ("WHERE {{ pair }}", "WHERE r.rowid <> 7 AND {{ pair }}", "not restored", 1),
    (" = b.{{ resource.updated_at }}", " = datetime('now')", "not restored", 998),
    ("WHERE {{ pair }}\n", "WHERE b.rowid = r.rowid + 1\n", "not restored", 998),
    ("+r.{{ column.name }} IS +b.{{ column.name }} COLLATE BINARY", "TRUE", "not kept", 1),
    # Another step does what is not its business.
    ("DROP TABLE IF EXISTS organizations;", "", "table left", 1),
    (
        "DROP INDEX IF EXISTS",
        "DROP INDEX IF EXISTS idx_tasks_project; DROP INDEX IF EXISTS",
        "index missing",
        1,
    ),
    (
        "DROP TABLE IF EXISTS organizations;",
        "DROP TABLE IF EXISTS organizations; UPDATE users SET email = 'x' || email;",
        "write denied",
        1,
    ),
    (
        "DROP TABLE IF EXISTS organizations;",
        "DROP TABLE IF EXISTS organizations; UPDATE projects SET name = 'x';",
        "write denied",
        1,
    ),
    (
        "DROP TABLE IF EXISTS organizations;",
        "DROP TABLE IF EXISTS organizations; DELETE FROM comments;",
        "write denied",
        1,
    ),
    (
        "DROP TABLE IF EXISTS organizations;",
        "DROP TABLE IF EXISTS organizations; DROP TABLE tags;",
        "write denied",
        1,
    ),
    (
        "DROP TABLE IF EXISTS organizations;",
        "DROP TABLE IF EXISTS organizations; DELETE FROM projects WHERE rowid = 3;",
        "write denied",
        1,
    ),
    (
        "DROP TABLE IF EXISTS organizations;",
        "DROP TABLE IF EXISTS organizations; CREATE TABLE extra (x);",
        "table left",
        1,
    ),
    ("DROP TABLE runbook_ledger;", "", "table left", 1),
]


@pytest.mark.parametrize(("old", "new", "change", "rows"), FAULTS)
def test_a_fault_in_the_script_is_caught_before_the_commit(
    migrated: Migrated,
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
    change: str,
    rows: int,
) -> None:
    migrated.sql(
        "UPDATE projects SET name = 'edited' WHERE rowid = 1",
        f"UPDATE projects SET updated_at = '{LATER}' WHERE rowid = 2",
    )
    files = [dataclasses.replace(f, body=f.body.replace(old, new)) for f in sql_files("rollback")]
    assert [f.body for f in files] != [f.body for f in sql_files("rollback")]
    monkeypatch.setattr("runbook.script.rollback.sql_files", lambda folder: files)
    now = dump(migrated.path)
    with pytest.raises(NotProven) as caught:
        migrated.back()
    assert dump(migrated.path) == now
    record = caught.value.record
    assert isinstance(record, RollbackRecord)
    assert not record.done
    assert (change, rows) in {(f.change, f.rows) for f in record.findings}
    for finding in record.findings:
        if finding.change in ("not restored", "not kept"):
            assert len(finding.samples) == min(finding.rows, SAMPLES)
    monkeypatch.undo()  # and it was the fault alone
    assert migrated.back().restored == 998


def test_ctrl_c_while_the_guard_is_asked_is_no_denial(
    migrated: Migrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("runbook.audit.rollback_gate.WriteGuard.__call__", interrupt)
    now = dump(migrated.path)
    with pytest.raises(KeyboardInterrupt):
        migrated.back()
    assert dump(migrated.path) == now
    monkeypatch.undo()
    assert migrated.back().restored == 1000


def test_a_wrong_judgement_of_what_was_written_is_caught_too(
    migrated: Migrated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script and the proof judge apart from each other, so either one's fault shows."""
    migrated.sql("UPDATE projects SET name = 'edited' WHERE rowid = 1")
    now = dump(migrated.path)
    right = any_differs
    for wrong in (lambda columns: "0", lambda columns: f"({right(columns)} OR b.rowid = 5)"):
        monkeypatch.setattr("runbook.audit.later_writes.any_differs", wrong)
        with pytest.raises(NotProven):
            migrated.back()
        assert dump(migrated.path) == now
    monkeypatch.undo()
    assert migrated.back().restored == 999


# -- the other way -------------------------------------------------------------------------------


def restore(db: Migrated) -> RollbackRecord:
    return restore_backup(Job(db.target, db.plan, "run", db.backup, wait=0.5), db.exports)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_full_restore_counts_what_it_loses_and_puts_the_backup_back(
    sample: Path, journal: str
) -> None:
    execute(sample, f"PRAGMA journal_mode = {journal}")
    db = Migrated(sample)
    db.sql(
        "UPDATE projects SET name = 'edited' WHERE rowid = 1",
        "DELETE FROM comments WHERE id <= 2",
        NEW_ORGANIZATION,
    )
    with connected(sample) as reader:
        reader.execute("SELECT count(*) FROM users").fetchone()
        record = restore(db)
        # A connection that was open all the time sees the restored database.
        assert reader.execute("SELECT count(*) FROM comments").fetchone()
    assert dump(sample) == db.before
    assert (record.how, record.done, record.discarded) == ("restore", True, 4)
    assert db.one("PRAGMA journal_mode") == journal
    assert (db.exports / "organizations.csv").exists()


def test_a_restore_of_a_locked_database_gives_up_in_time(migrated: Migrated) -> None:
    now = dump(migrated.path)
    with connected(migrated.path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Refused, match="locked"):
            restore(migrated)
        other.execute("ROLLBACK")
    assert dump(migrated.path) == now


def test_a_restore_of_something_else_is_noticed(
    migrated: Migrated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    shutil.copy(migrated.backup, other)
    execute(other, "UPDATE users SET name = 'x' WHERE rowid = 1")
    real = SqliteTarget.restore
    monkeypatch.setattr(SqliteTarget, "restore", lambda self, backup, *rest: real(self, other))
    with pytest.raises(NotProven, match=r'"users" .* 1 row'):
        restore(migrated)


def test_a_connection_in_python_sees_no_temporary_table_left(migrated: Migrated) -> None:
    migrated.back()
    with sqlite3.connect(migrated.path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_temp_schema").fetchone() == (0,)
    connection.close()
