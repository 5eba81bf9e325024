"""The gate and the witnesses: whatever is planted outside the footprint is found and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.errors import NotProven
from runbook.run.findings import finding_sentence, render_sample
from runbook.run.folder import Run
from runbook.run.records import MigrateRecord, VerifyRecord
from runbook.sample.make import make_sample
from runbook.stages import migrate, snapshot, verify
from tests.support.databases import connected, dump, execute
from tests.support.matrix import add_columns, changes, plant
from tests.support.prepared import Prepared
from tests.support.runs import agreed, begin, until_migrated, until_snapshot

TABLES = ("projects", "notes")
"""A table that the plan names, and one that it does not."""


def wide(folder: Path) -> Run:
    """A run of the sample with a column for each planted change, in both kinds of table."""
    path = folder / "wide.db"
    make_sample(path)
    with connected(path) as connection:
        connection.execute("CREATE TABLE notes (id TEXT PRIMARY KEY, body TEXT)")
        connection.execute("INSERT INTO notes VALUES ('n1', 'one'), ('n2', 'two')")
        for table in TABLES:
            add_columns(connection, table, changes())
    return begin(path, folder / "run")


@pytest.fixture
def migrated_wide(prepared: Prepared) -> Run:
    return prepared.take("wide, migrated", lambda folder: until_migrated(wide(folder)))


def database(run: Run) -> Path:
    return Path(run.info.database)


def refused(run: Run) -> MigrateRecord:
    """What the gate found, after it refused and left the database as it was."""
    path = database(run)
    before = dump(path)
    with pytest.raises(NotProven) as caught:
        migrate.migrate(run, agreed(run))
    assert caught.value.exit_code == 1
    assert dump(path) == before
    record = caught.value.record
    assert isinstance(record, MigrateRecord)
    assert not record.committed
    return record


def seen(record: MigrateRecord | VerifyRecord, witness: str) -> set[tuple[str, str]]:
    return {(f.table, f.column) for f in record.findings if f.witness == witness and f.column}


@pytest.mark.parametrize("table", TABLES)
def test_the_gate_sees_every_single_cell(prepared: Prepared, table: str) -> None:
    run = prepared.take("wide, snapshot", lambda folder: until_snapshot(wide(folder)))
    with connected(database(run)) as connection:
        for change in changes():
            plant(connection, table, change, "rowid = 1")
    record = refused(run)
    assert len(changes()) >= 60
    assert seen(record, "gate") == {(table, change.column) for change in changes()}
    assert all(f.rows == 1 and f.samples[0].before and f.samples[0].after for f in record.findings)
    assert "take a new snapshot" in finding_sentence(record.findings[0], committed=False)


@pytest.mark.parametrize("table", TABLES)
def test_the_witnesses_see_every_single_cell(migrated_wide: Run, table: str) -> None:
    with connected(database(migrated_wide)) as connection:
        for change in changes():
            plant(connection, table, change, "rowid = 1")
    record = verify.verify(migrated_wide)
    assert record.verdict == "fail"
    expected = {(table, change.column) for change in changes()}
    assert seen(record, "sqlite") == expected
    assert seen(record, "duckdb") == expected


def test_nothing_is_found_in_an_untouched_database(migrated_wide: Run) -> None:
    record = verify.verify(migrated_wide)
    assert record.findings == ()
    assert record.verdict == "pass"


@pytest.mark.parametrize(
    ("statement", "table", "change"),
    [
        (
            "INSERT INTO users (id, email, name, created_at) VALUES ('new', 'n@example.com', 'N', '')",
            "users",
            "added",
        ),
        ("DELETE FROM comments WHERE rowid = 1", "comments", "removed"),
        ("DROP INDEX idx_projects_owner", "idx_projects_owner", "index removed"),
        ("CREATE INDEX extra ON projects(name)", "extra", "index added"),
        (
            "CREATE TRIGGER extra AFTER INSERT ON users BEGIN SELECT 1; END",
            "extra",
            "trigger added",
        ),
        ("CREATE VIEW extra AS SELECT 1", "extra", "view added"),
        ("CREATE TABLE extra (id)", "extra", "table added"),
        ("ALTER TABLE comments ADD COLUMN extra TEXT", "comments", "table changed"),
    ],
)
def test_rows_and_objects(snapshotted: Run, statement: str, table: str, change: str) -> None:
    with connected(database(snapshotted)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(statement)
    assert (table, change) in {(f.table, f.change) for f in refused(snapshotted).findings}


def test_a_changed_view(snapshotted: Run) -> None:
    execute(
        database(snapshotted),
        "DROP VIEW project_overview",
        "CREATE VIEW project_overview AS SELECT 1",
    )
    (finding,) = refused(snapshotted).findings
    assert (finding.table, finding.change) == ("project_overview", "view changed")
    assert render_sample(finding.samples[0]).after == "CREATE VIEW project_overview AS SELECT 1"


@pytest.mark.parametrize(
    ("planted", "finding"),
    [
        # one user's rows go to somebody else's organization, and their owner with them
        (
            (
                "WHERE organization_id IS NULL;",
                "WHERE organization_id IS NULL;\nUPDATE projects SET organization_id = (SELECT max(id)"
                " FROM organizations) WHERE owner_id = (SELECT min(owner_id) FROM projects);",
            ),
            ("projects", "invariant resources_of_another_owner"),
        ),
        # one row is skipped
        (
            ("WHERE organization_id IS NULL;", "WHERE organization_id IS NULL AND rowid <> 1;"),
            ("projects", "invariant resources_without_organization"),
        ),
        # a timestamp of its own, which no invariant sees
        (
            (
                "WHERE organization_id IS NULL;",
                "WHERE organization_id IS NULL;\nUPDATE projects SET updated_at = '2020-01-01 00:00:00'"
                " WHERE rowid = 7;",
            ),
            ("projects", "wrong value"),
        ),
        # a name that is not the rule's
        (
            (
                "WHERE organization_id IS NULL;",
                "WHERE organization_id IS NULL;\nUPDATE organizations SET name = 'x' WHERE rowid = 3;",
            ),
            ("organizations", "wrong value"),
        ),
        # a write far from the migration
        (
            (
                "WHERE organization_id IS NULL;",
                "WHERE organization_id IS NULL;\nUPDATE users SET name = name || ' ' WHERE rowid = 3;",
            ),
            ("users", "changed"),
        ),
    ],
)
def test_a_planted_fault_in_the_script(
    snapshotted: Run,
    monkeypatch: pytest.MonkeyPatch,
    planted: tuple[str, str],
    finding: tuple[str, str],
) -> None:
    from runbook.templates import SqlFile

    honest = SqlFile.render

    def faulty(self: SqlFile, **values: object) -> str:
        text = honest(self, **values)
        return text.replace(*planted) if self.name == "06_assign_resources" else text

    monkeypatch.setattr(SqlFile, "render", faulty)
    record = refused(snapshotted)
    assert finding in {(f.table, f.change) for f in record.findings}
    assert all(f.samples for f in record.findings)


LOGGER = (
    "CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT)",
    "CREATE TRIGGER logger AFTER UPDATE ON projects BEGIN"
    " INSERT INTO log (project) VALUES (new.id); END",
    "INSERT INTO log (project) VALUES ('earlier')",
)


def test_what_a_trigger_writes_is_a_finding(sample: Path, tmp_path: Path) -> None:
    execute(sample, *LOGGER)
    plan = tmp_path / "plan.toml"
    plan.write_text('[triggers]\npolicy = "fire"\n')
    run = until_snapshot(begin(sample, tmp_path / "run", plan))
    assert ("log", "added") in {(f.table, f.change) for f in refused(run).findings}


def test_what_the_plan_lets_a_trigger_write_is_none(sample: Path, tmp_path: Path) -> None:
    execute(sample, *LOGGER)
    plan = tmp_path / "plan.toml"
    plan.write_text('[triggers]\npolicy = "fire"\nmay_write = ["log"]\n')
    run = until_migrated(begin(sample, tmp_path / "run", plan))
    record = verify.verify(run)
    assert record.verdict == "pass", record.findings
    (line,) = [f for f in record.footprint if f.table == "log"]
    assert set(line.counts.values()) == {1000}


def test_a_suspended_trigger_does_not_fire_and_is_there_again(sample: Path, tmp_path: Path) -> None:
    execute(sample, *LOGGER)
    plan = tmp_path / "plan.toml"
    plan.write_text('[triggers]\npolicy = "suspend"\n')
    run = until_migrated(begin(sample, tmp_path / "run", plan))
    assert verify.verify(run).verdict == "pass"
    with connected(sample) as connection:
        assert connection.execute("SELECT count(*) FROM log").fetchone() == (1,)
        (sql,) = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE name = 'logger'"
        ).fetchone()
    assert sql == LOGGER[1]


def test_after_drift_a_new_snapshot_lets_the_run_go_on(snapshotted: Run) -> None:
    execute(database(snapshotted), "UPDATE users SET name = 'Somebody' WHERE rowid = 1")
    refused(snapshotted)
    assert not snapshotted.finished("snapshot")
    snapshot.snapshot(snapshotted)
    assert migrate.migrate(snapshotted, agreed(snapshotted)).committed


def test_the_plans_own_table_is_named_first(snapshotted: Run) -> None:
    """A renamed project is found in the search index too, which is called something else."""
    with connected(database(snapshotted)) as connection:
        connection.execute("UPDATE projects SET name = 'another' WHERE rowid = 1")
        connection.execute("UPDATE comments SET body = 'another' WHERE rowid = 1")
    with pytest.raises(NotProven, match=r'The proof failed before the commit: .*"projects"'):
        migrate.migrate(snapshotted, agreed(snapshotted))


def test_untouched_tables_may_be_compared_after_the_commit(sample: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[proof]\nuntouched = "after"\n')
    run = until_snapshot(begin(sample, tmp_path / "run", plan))
    execute(sample, "UPDATE comments SET body = 'drifted' WHERE rowid = 1")
    record = migrate.migrate(run, agreed(run))
    assert record.committed
    assert "comments" in record.proven_after_commit
    assert "projects" not in record.proven_after_commit
    verified = verify.verify(run)
    assert verified.verdict == "fail"
    assert ("comments", "body") in seen(verified, "sqlite")


@pytest.mark.parametrize("name", ["chinook", "northwind"])
def test_public_databases(public: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    path = public(name)
    plan = Path(__file__).parent.parent / "plans" / f"{name}.toml"
    run = until_migrated(begin(path, tmp_path / "run", plan))
    record = verify.verify(run)
    assert record.verdict == "pass", record.findings
    assert all(
        i.holds and set(i.violations) == {"sqlite", "duckdb", "pandas"} for i in record.invariants
    )
