"""A migrated database that is not built as it must be: a verdict that names what is wrong."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.audit.gate import Expectation, prove
from runbook.errors import Blocked, OutcomeUnknown, TargetError
from runbook.hazards.inspect_file import inspect_file
from runbook.plan.plan import Plan
from runbook.plan.shape import read_backup_shape, read_shape
from runbook.run.folder import Run
from runbook.run.records import MigrateRecord
from runbook.script.footprint import Baseline
from runbook.script.migration import render
from runbook.sqlite.connect import open_with_backup
from runbook.stages import preflight, verify
from tests.support.databases import connected, execute
from tests.support.mutants.bases import EMPTY, NOTHING
from tests.support.runs import begin, until_migrated
from tests.support.witnessed import ROWS, SCHEMA


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, bytes]:
    """A migrated run, and its database to the byte."""
    folder = tmp_path_factory.mktemp("migrated")
    path = folder / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA + ROWS)
    run = until_migrated(begin(path, folder / "run"))
    return run, path.read_bytes()


@pytest.fixture
def run(migrated: tuple[Run, bytes]) -> Run:
    """The run, with its database as the migration left it."""
    run, content = migrated
    Path(run.info.database).write_bytes(content)
    return run


@pytest.mark.parametrize(
    ("statement", "table", "change"),
    [
        ("DROP TABLE organization_memberships", "organization_memberships", "table missing"),
        ("ALTER TABLE projects RENAME TO others", "projects", "table missing"),
        ("ALTER TABLE users RENAME COLUMN nickname TO nick", "users", "column missing"),
        ("ALTER TABLE organizations DROP COLUMN settings", "organizations", "column missing"),
        ("ALTER TABLE organizations ADD COLUMN extra", "organizations", "table wrong"),
        ("DROP INDEX idx_projects_org", "idx_projects_org", "index missing"),
        ("UPDATE runbook_ledger SET checksum = 'x'", "runbook_ledger", "changed"),
        (
            "UPDATE runbook_ledger SET applied_at = substr(applied_at, 1, 20) || '999'",
            "runbook_ledger",
            "changed",
        ),
    ],
)
def test_it_fails_and_is_named(run: Run, statement: str, table: str, change: str) -> None:
    execute(Path(run.info.database), "PRAGMA foreign_keys = OFF", statement)
    record = verify.verify(run, again=True)
    assert record.verdict == "fail"
    assert (table, change) in {(f.table, f.change) for f in record.findings}


def test_an_index_of_another_text(run: Run) -> None:
    execute(
        Path(run.info.database),
        "DROP INDEX idx_projects_org",
        "CREATE INDEX idx_projects_org ON projects(title)",
    )
    (finding,) = verify.verify(run, again=True).findings
    assert finding.message == 'the index "idx_projects_org" is not as the migration creates it'


@pytest.mark.parametrize("value", ["CAST(x'ff' AS TEXT)", "1", "''"])
def test_a_ledger_of_another_run_is_looked_at(run: Run, value: str) -> None:
    execute(Path(run.info.database), f"UPDATE runbook_ledger SET run = {value}")
    with pytest.raises(OutcomeUnknown, match="does not hold this run"):
        verify.verify(run, again=True)


def test_a_ledger_without_its_columns_is_named(run: Run) -> None:
    execute(Path(run.info.database), "ALTER TABLE runbook_ledger DROP COLUMN run")
    with pytest.raises(TargetError, match='"runbook_ledger" was altered'):
        verify.verify(run, again=True)


def test_nothing_to_migrate_is_blocked(tmp_path: Path) -> None:
    """And the remedy: an empty database gets its schema by what `runbook render` prints."""
    path = tmp_path / "app.db"
    NOTHING.make(path)
    with pytest.raises(Blocked, match="Nothing to migrate"):
        preflight.preflight(begin(path, tmp_path / "run"))
    with connected(path) as connection:
        connection.executescript(render(Plan(), read_shape(connection, Plan())).text)
        tables = {n for (n,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert {"organizations", "organization_memberships", "users", "other"} <= tables


def test_one_row_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(EMPTY)
        connection.execute("INSERT INTO users VALUES ('u1', NULL)")
        connection.commit()
    everybody = dataclasses.replace(Plan().organizations, scope="all_users")
    plan = dataclasses.replace(Plan(), organizations=everybody)
    for each, blocked in ((Plan(), True), (plan, False)):
        hazards, _ = inspect_file(path, each, tmp_path)
        assert ("nothing_to_migrate" in {h.code for h in hazards}) == blocked


@pytest.mark.parametrize("column", ["applied_at", "migration"])
def test_the_gate_names_a_ledger_that_cannot_be_asked(run: Run, column: str) -> None:
    path = Path(run.info.database)
    migrated = run.result("migrate", MigrateRecord)
    assert migrated.ledger is not None
    shape = read_backup_shape(run.backup, run.info.plan)
    expected = Expectation(run.info.plan, Baseline(shape, migrated.footprint), migrated.ledger)
    execute(path, f"ALTER TABLE runbook_ledger RENAME COLUMN {column} TO extra")
    with open_with_backup(path, run.backup) as connection:
        findings = prove(connection, expected).findings
    assert ("runbook_ledger", "table wrong") in {(f.table, f.change) for f in findings}
