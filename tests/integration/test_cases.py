"""Databases of the field: blocked with a remedy that keeps every row, or migrated and taken back."""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runbook.errors import Blocked
from runbook.run.findings import Hazard
from runbook.run.folder import Run
from runbook.run.records import PreflightRecord
from runbook.stages import migrate, preflight, rehearse, rollback, snapshot, verify
from tests.support.cases import CASES, Case, build, plan_text
from tests.support.runs import agreed, begin

SHARED = Path(__file__).parents[3] / "shared" / "cases" / "make.py"
OF_THIS_TEST = {
    "case_updated_at": "",
    "missing_parent": "parent_missing",
    "natural_join": "new_column_read",
    "instead_of": "writes_break",
    "trigger_on_missing_table": "",
    "app_function_trigger": "",
    "app_function_generated": "functions_missing",
    "app_collation": "collations_missing",
    "saas_own_orgs": "own_organizations",
    "null_in_notnull": "",
    "badjson": "generated_unreadable",
    "bad_utf8": "keys_not_text",
    "homebox_time": "updated_at_unknown",
    "check_times": "rows_refuse",
    "wide": "",
}


def blocking(run: Run) -> tuple[Hazard, ...]:
    """What preflight says against the run."""
    try:
        preflight.preflight(run, again=True)
    except Blocked as error:
        record = error.record
        assert isinstance(record, PreflightRecord)
        return tuple(h for h in record.hazards if h.level == "block")
    return ()


def row_counts(database: Path) -> list[int]:
    """Rows in each of the application's tables, whatever they are called."""

    def counts() -> Iterator[int]:
        with closing(sqlite3.connect(database)) as connection:
            names = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            ).fetchall()
            for (name,) in names:
                yield connection.execute(f'SELECT count(*) FROM "{name}" NOT INDEXED').fetchone()[0]

    return sorted(counts())


def dump(database: Path) -> list[object]:
    """Schema and rows, with rowids; Python's own dump cannot write wide tables."""
    with closing(sqlite3.connect(database)) as connection:
        connection.text_factory = bytes
        schema = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid"
        ).fetchall()
        tables = [row[1].decode() for row in schema if row[0] == b"table"]
        return [schema, *(connection.execute(f'SELECT * FROM "{t}"').fetchall() for t in tables)]


def there_and_back(database: Path, plan: Path, folder: Path) -> None:
    """A whole run and its rollback, after which everything is as it was."""
    before = dump(database)
    run = begin(database, folder, plan)
    assert blocking(run) == ()
    rehearse.rehearse(run)
    snapshot.snapshot(run)
    migrate.migrate(run, agreed(run))
    assert verify.verify(run).verdict == "pass"
    rollback.rollback(run, agreed(run))
    assert dump(database) == before


def follow(database: Path, plan: Path, hazards: tuple[Hazard, ...], without_times: str) -> None:
    """Does literally what the remedies say: the plan without its times, or the SQL."""
    for hazard in hazards:
        if hazard.remedy.startswith("In the plan"):
            assert "leave out updated_at" in hazard.remedy
            plan.write_text(without_times, encoding="utf-8")
            continue
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(hazard.remedy)


def judged(database: Path, plan: Path, hazard: str, without_times: str, tmp_path: Path) -> None:
    rows = row_counts(database)
    if hazard:
        found = blocking(begin(database, tmp_path / "first", plan))
        assert {h.code for h in found} == {hazard}
        assert all(".recover" not in h.remedy for h in found)
        follow(database, plan, found, without_times)
        assert row_counts(database) == rows
    there_and_back(database, plan, tmp_path / "run")


@pytest.mark.parametrize("name", CASES)
def test_a_case(name: str, tmp_path: Path) -> None:
    case: Case = CASES[name]
    database, plan = build(case, tmp_path)
    judged(database, plan, case.hazard, plan_text(case, updated_at=False), tmp_path)


@pytest.mark.long  # most stand among CASES too
@pytest.mark.skipif(not SHARED.exists(), reason="the shared cases are not beside the project")
@pytest.mark.parametrize("name", OF_THIS_TEST)
def test_a_shared_case(name: str, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make", SHARED)
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    make.make(name, tmp_path)
    plan = tmp_path / "plan.toml"
    lines = plan.read_text(encoding="utf-8").splitlines()
    without = "\n".join(line for line in lines if not line.startswith("updated_at"))
    judged(tmp_path / "app.db", plan, OF_THIS_TEST[name], without, tmp_path)
