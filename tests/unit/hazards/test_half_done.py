"""A migration by hand, stopped after each step; the way out leads back to the very same schema."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import look, run_sql

SPECIFICATION = Path(__file__).parents[4] / "shared" / "database-backfill-migration.md"
SHELL = shutil.which("sqlite3")

pytestmark = [
    pytest.mark.skipif(
        not SPECIFICATION.exists(), reason="the specification is not beside the project"
    ),
    pytest.mark.skipif(SHELL is None, reason="the sqlite3 shell is not installed"),
]


def script() -> list[str]:
    """The specification's steps 1 to 7."""
    (text,) = re.findall(
        r"```sql\n(-- migrations/0005_add.*?)```", SPECIFICATION.read_text(), re.DOTALL
    )
    parts = re.split(r"-- STEP \d+: .*\n-- =+\n", text)[1:]
    return parts[:7]


def rollback() -> str:
    (text,) = re.findall(
        r"```sql\n(-- migrations/0005_rollback.*?)```", SPECIFICATION.read_text(), re.DOTALL
    )
    return str(text)


def shell(path: Path, sql: str) -> None:
    assert SHELL
    subprocess.run([SHELL, str(path)], input=sql, text=True, capture_output=True, check=False)


def schema(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [r[0] for r in connection.execute("SELECT sql FROM sqlite_schema ORDER BY rowid")]


STEPS = {
    1: "step 1 of 7 (add organization_id)",
    2: "step 2 of 7 (create organizations)",
    3: "step 3 of 7 (create organization_memberships)",
    4: "step 4 of 7 (backfill personal organizations)",
    5: "step 5 of 7 (backfill owner memberships)",
    6: "step 6 of 7 (assign resources)",
    7: "step 7 of 7 (add the index for organization lookups)",
}


@pytest.mark.parametrize("step", STEPS)
def test_each_prefix_is_named_and_has_a_way_out(database: Path, step: int) -> None:
    before = schema(database)
    shell(database, "\n".join(script()[:step]))
    found = look(database)
    assert set(found) == {"half_done"}
    (hazard,) = found["half_done"]
    assert (hazard.level, hazard.subject) == ("block", STEPS[step])
    assert ("only a backup" in hazard.meaning) == (step >= 6)
    shell(database, "PRAGMA foreign_keys = ON;\n" + hazard.remedy)
    assert schema(database) == before
    assert look(database) == {}


@pytest.mark.parametrize("step", [6, 7])
def test_what_the_specifications_rollback_leaves(database: Path, step: int) -> None:
    before = schema(database)
    shell(database, "\n".join(script()[:step]))
    shell(database, rollback())
    found = look(database)
    assert set(found) == {"half_done"}
    (hazard,) = found["half_done"]
    assert "rolled back by hand" in hazard.subject
    shell(database, hazard.remedy)
    assert schema(database) == before
    assert look(database) == {}


def test_a_step_that_failed_while_the_shell_went_on(database: Path) -> None:
    failing = script()
    failing[3] = "INSERT INTO organizations SELECT * FROM nowhere;"
    shell(database, "\n".join(failing))
    (hazard,) = look(database)["half_done"]
    assert hazard.subject.startswith("step 7 of 7")
    assert hazard.subject.endswith("without steps 4 and 5")


def test_what_people_added_since_is_not_passed_over(database: Path) -> None:
    shell(database, "\n".join(script()))
    run_sql(
        database,
        "INSERT INTO organizations (id, name, slug, owner_id, type)"
        " VALUES ('acme', 'Acme', 'acme', 'u1', 'team');",
    )
    found = look(database)
    (hazard,) = found["own_organizations"]
    assert set(found) == {"own_organizations"}
    assert "1 organization that no rule of the migration gives" in hazard.meaning
    shell(database, hazard.remedy)
    assert all(h.level == "note" for hazards in look(database).values() for h in hazards)
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT count(*) FROM organizations_own JOIN organization_memberships_own"
        assert connection.execute(query).fetchone() == (6,)


def test_an_application_with_organizations_of_its_own_is_not_half_done(database: Path) -> None:
    run_sql(
        database,
        "CREATE TABLE organizations (org_no INTEGER PRIMARY KEY, title TEXT);"
        "ALTER TABLE projects ADD COLUMN organization_id INTEGER;",
    )
    assert set(look(database)) == {"names_taken", "column_taken"}
