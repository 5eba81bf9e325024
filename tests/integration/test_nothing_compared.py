"""A proof over no rows, no tables or no invariants is never a proof, wherever it would be made."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from runbook.audit import gate
from runbook.audit import verify as audit
from runbook.errors import Blocked, NotProven
from runbook.hazards import owners
from runbook.report.contents import read_contents
from runbook.report.outcome import judge
from runbook.report.proofs import footprint_proof, proofs, witnesses_proof
from runbook.run.folder import Run
from runbook.stages import migrate, preflight, verify
from tests.support.databases import execute
from tests.support.runs import agreed, begin, until_migrated, until_snapshot

SCHEMA = (
    "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT)",
    "CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT REFERENCES users(id),"
    " updated_at TEXT)",
)
ROWS = (
    "INSERT INTO users VALUES ('u1', 'ann@example.com')",
    "INSERT INTO projects VALUES ('p1', 'u1', '2024-01-01 10:00:00')",
)


def begun(tmp_path: Path, *rows: str) -> Run:
    execute(tmp_path / "app.db", *SCHEMA, *rows)
    return begin(tmp_path / "app.db", tmp_path / "run")


@pytest.fixture
def migrated(tmp_path: Path) -> Run:
    return until_migrated(begun(tmp_path, *ROWS))


def test_an_empty_database_is_refused_beforehand(tmp_path: Path) -> None:
    run = begun(tmp_path)
    with pytest.raises(Blocked, match="Nothing to migrate"):
        preflight.preflight(run)
    execute(tmp_path / "app.db", *ROWS)
    preflight.preflight(run, again=True)


def test_no_row_at_all_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "_nothing", lambda survey: ())
    run = until_snapshot(begun(tmp_path))
    with pytest.raises(NotProven, match="so nothing is proven"):
        migrate.migrate(run, agreed(run))
    contents = read_contents(run.folder)
    assert footprint_proof(contents).holds is not True
    assert judge(contents, proofs(contents)).verdict == "fail"


def test_a_gate_that_compares_no_table_lets_nothing_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = until_snapshot(begun(tmp_path, *ROWS))
    monkeypatch.setattr(gate, "table_pairs", lambda connection: [])
    with pytest.raises(NotProven, match="was not compared, so nothing is proven"):
        migrate.migrate(run, agreed(run))


def without(name: str, **nothing: Any) -> Any:
    """A witness that answers, but with nothing in these fields."""
    real = getattr(audit, name)
    return lambda *given: dataclasses.replace(real(*given), **nothing)


@pytest.mark.parametrize(
    ("witness", "nothing", "message"),
    [
        ("ask_duckdb_witness", {"differences": ()}, 'duckdb has not compared "projects"'),
        ("recompute", {"counts": {}}, 'pandas has not compared "projects"'),
    ],
)
def test_a_witness_that_compares_nothing_is_none(
    migrated: Run,
    monkeypatch: pytest.MonkeyPatch,
    witness: str,
    nothing: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setattr(audit, witness, without(witness, **nothing))
    record = verify.verify(migrated)
    assert record.verdict == "fail"
    assert any(message in f.message for f in record.findings)


def test_no_invariants_are_no_proof(migrated: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "ask_sqlite", lambda *given: {})
    record = verify.verify(migrated)
    assert record.verdict == "fail"
    assert any("no invariant was asked" in f.message for f in record.findings)
    contents = read_contents(migrated.folder)
    assert contents.verify
    silent = dataclasses.replace(contents.verify, footprint=(), invariants=())
    nobody = dataclasses.replace(contents, migrate=None, verify=silent)
    assert witnesses_proof(nobody).holds is False
