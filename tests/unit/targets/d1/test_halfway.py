"""A migration of which a service ran only a part: where it stands, and what is left."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from runbook.plan.plan import Plan
from runbook.plan.shape import read_shape
from runbook.sample.make import make_sample
from runbook.script.migration import render
from runbook.targets.d1.halfway import SENT, is_halfway, locate, locate_sent
from runbook.targets.d1.migration_file import file_text
from runbook.targets.d1.state_file import differences
from runbook.templates import split_statements
from tests.support.faults.harness import FULL

LEDGER_ROW = 2
"""The first statement makes the ledger, the second enters the row."""


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("halfway") / "backup.db"
    make_sample(path, users=8, projects=20)
    return path


@pytest.fixture(scope="module")
def text(backup: Path) -> str:
    with contextlib.closing(sqlite3.connect(backup)) as connection:
        return file_text(render(Plan(), read_shape(connection, Plan()), "this run"))


def run_part(backup: Path, to: Path, statements: tuple[str, ...], late: bool = True) -> Path:
    """A copy of the backup after those statements, at an instant of its own."""
    shutil.copy(backup, to)
    with contextlib.closing(sqlite3.connect(to, isolation_level=None)) as connection:
        for number, statement in enumerate(statements, 1):
            connection.execute(statement)
            if number == LEDGER_ROW and late:
                connection.execute("UPDATE runbook_ledger SET applied_at = '2031-01-01 00:00:00'")
    return to


def test_each_statement_is_recognized_and_the_rest_completes_it(
    backup: Path, text: str, tmp_path: Path
) -> None:
    statements = split_statements(text)
    whole = run_part(backup, tmp_path / "whole.db", statements)
    for number in range(LEDGER_ROW, len(statements) + 1, 1 if FULL else 5):
        now = run_part(backup, tmp_path / "now.db", statements[:number])
        half = locate(text, backup, now)
        assert half is not None
        assert half.rest == statements[number:]
        assert len(half.done) + len(half.left) == 9
        with contextlib.closing(sqlite3.connect(now, isolation_level=None)) as connection:
            tables = {"organizations", "organization_memberships", "runbook_guard"}
            rows = connection.execute("SELECT name FROM sqlite_schema").fetchall()
            ended = tables & {name for (name,) in rows} == tables - {"runbook_guard"}
            assert is_halfway(connection) is not ended
            for statement in half.rest:
                connection.execute(statement)
        assert differences(now, whole) == ()


def test_what_is_no_part_of_it_is_not_recognized(backup: Path, text: str, tmp_path: Path) -> None:
    assert locate(text, backup, backup) is None
    now = run_part(backup, tmp_path / "now.db", split_statements(text)[:9])
    with contextlib.closing(sqlite3.connect(now)) as connection, connection:
        connection.execute("UPDATE users SET email = 'x' WHERE rowid = 1")
    assert locate(text, backup, now) is None


def test_the_steps_are_named(backup: Path, text: str, tmp_path: Path) -> None:
    now = run_part(backup, tmp_path / "now.db", split_statements(text)[:7])
    here = shutil.copy(backup, tmp_path / "backup.db")
    assert locate_sent(Path(here), now) is None  # nothing was sent
    (tmp_path / SENT).write_text(text)
    half = locate_sent(Path(here), now)
    assert str(half).startswith("in between: it did Enter the migration in the ledger, ")
    assert "and not Create organization_memberships, " in str(half)
