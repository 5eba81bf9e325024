import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from runbook.errors import PlanError
from runbook.plan.plan import Plan
from runbook.plan.read import parse_plan
from runbook.plan.shape import Shape, read_shape
from runbook.script.migration import render
from tests.support.databases import connected, dump, execute

STEPS = [
    "open_ledger",
    "add_organization_id",
    "create_organizations",
    "create_memberships",
    "backfill_organizations",
    "backfill_memberships",
    "assign_resources",
    "add_indexes",
    "verify",
]


def shell(database: Path, script: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("sqlite3") is None:
        pytest.skip("the sqlite3 shell is not installed")
    return subprocess.run(
        ["sqlite3", "-bail", str(database)], input=script, capture_output=True, text=True
    )


def test_the_steps_are_the_specification_s() -> None:
    script = render(Plan(), Shape())
    assert [step.name for step in script.steps] == STEPS
    assert all(step.title and step.why for step in script.steps)
    assert all(sqlite3.complete_statement(s) for step in script.steps for s in step.statements)


def test_the_checksum_is_of_the_script_not_of_the_run() -> None:
    first, second = render(Plan(), Shape(), "a"), render(Plan(), Shape(), "b")
    assert first.checksum == second.checksum
    assert first.text != second.text
    other = render(parse_plan('[organizations]\nfor = "all_users"'), Shape())
    assert other.checksum != first.checksum


def test_the_rendered_script_migrates_under_the_shell(sample: Path) -> None:
    script = render(Plan(), Shape()).text
    assert shell(sample, script).returncode == 0
    with connected(sample) as connection:
        assert connection.execute("SELECT count(*) FROM organizations").fetchone() == (180,)
        assert connection.execute(
            "SELECT count(*) FROM projects WHERE organization_id IS NULL"
        ).fetchone() == (0,)
        objects = connection.execute("SELECT name FROM sqlite_schema").fetchall()
        assert ("runbook_guard",) not in objects
    migrated = dump(sample)
    again = shell(sample, script)
    assert again.returncode != 0
    assert "runbook_ledger.migration" in again.stderr
    assert dump(sample) == migrated


@pytest.mark.parametrize(
    ("damage", "guard"),
    [
        (
            "UPDATE projects SET owner_id = 'ghost' WHERE rowid = 1",
            "resources_of_missing_organization",
        ),
        (
            "CREATE TRIGGER thief AFTER UPDATE ON projects BEGIN"
            " DELETE FROM projects WHERE rowid = 1; END",
            "rows_lost_or_gained",
        ),
        (
            "CREATE TRIGGER mover AFTER UPDATE ON projects WHEN new.rowid = 2 BEGIN UPDATE projects"
            " SET organization_id = (SELECT max(id) FROM organizations) WHERE rowid = 2; END",
            "resources_of_another_owner",
        ),
    ],
)
def test_a_guard_stops_the_shell_and_nothing_remains(sample: Path, damage: str, guard: str) -> None:
    with connected(sample) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(damage)
    before = dump(sample)
    ended = shell(sample, render(Plan(), Shape()).text)
    assert ended.returncode != 0
    assert f"CHECK constraint failed: {guard}" in ended.stderr
    assert dump(sample) == before


def test_owner_columns_take_the_declared_type_of_the_key(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(
        path,
        'CREATE TABLE "My Users" ("the key" VARCHAR(36) PRIMARY KEY)',
        'CREATE TABLE "order" ("group" VARCHAR(36), "select" TEXT)',
    )
    plan = parse_plan(
        '[users]\ntable = "My Users"\nkey = "the key"\n'
        '[[resources]]\ntable = "order"\nowner = "group"\nupdated_at = "select"'
    )
    with connected(path) as connection:
        shape = read_shape(connection, plan)
        for step in render(plan, shape).steps:
            for statement in step.statements:
                connection.execute(statement)
        columns = {
            (table, name): kind
            for table in ("organizations", "organization_memberships")
            for name, kind in connection.execute(
                "SELECT name, type FROM pragma_table_info(?)", (table,)
            )
        }
    assert columns["organizations", "owner_id"] == "VARCHAR(36)"
    assert columns["organization_memberships", "user_id"] == "VARCHAR(36)"
    assert columns["organization_memberships", "invited_by"] == "VARCHAR(36)"


def test_no_index_repeats_what_a_constraint_already_indexes(sample: Path) -> None:
    shell(sample, render(Plan(), Shape()).text)
    with connected(sample) as connection:
        for table in ("organizations", "organization_memberships", "projects"):
            indexed = [
                tuple(r[0] for r in connection.execute("SELECT name FROM pragma_index_info(?)", i))
                for i in connection.execute(
                    "SELECT name FROM pragma_index_list(?) ORDER BY seq", (table,)
                ).fetchall()
            ]
            for columns in indexed:
                others = [i for i in indexed if i is not columns]
                assert not any(o[: len(columns)] == columns for o in others), (table, columns)


def test_an_adopter_is_read_as_the_key_s_own_type() -> None:
    plan = parse_plan('[unowned]\npolicy = "adopt"\nadopter = "x7"')
    with pytest.raises(PlanError, match="write a whole number"):
        render(plan, Shape(key_class="integer"))
    with pytest.raises(PlanError, match="write hexadecimal"):
        render(plan, Shape(key_class="blob"))
    assert "'x7'" in render(plan, Shape()).text
