"""A database of 100,000 users migrates every time: random names never collide."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.plan.plan import Plan
from runbook.sample.make import make_sample
from runbook.targets.sqlite import SqliteTarget
from tests.support.databases import connected
from tests.support.faults.harness import FULL

TIMES, PROJECTS = (10, 300_000) if FULL else (3, 120_000)


@pytest.mark.slow
@pytest.mark.long
def test_every_time(tmp_path: Path) -> None:
    made = make_sample(tmp_path / "sample.db", users=100_000, projects=PROJECTS)
    expected = made.users - made.users_without_projects
    for attempt in range(TIMES):
        path = Path(shutil.copy(made.path, tmp_path / "app.db"))
        record = migrate(Job(SqliteTarget(path), Plan(), f"run {attempt}", made.path))
        assert record.committed
        with connected(path) as connection:
            (slugs,) = connection.execute(
                "SELECT count(DISTINCT slug) FROM organizations"
            ).fetchone()
        assert slugs == expected
