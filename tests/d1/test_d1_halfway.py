"""A service that runs only a part of the file: the truth about it, a way forward and a way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.errors import OutcomeUnknown, RunbookError
from runbook.run.folder import Run
from runbook.sample.make import make_sample
from runbook.stages.migrate import migrate
from runbook.stages.rollback import rollback
from runbook.stages.verify import verify
from runbook.targets.d1.install import Tool
from runbook.targets.open_target import target_of
from runbook.window.state import window_state
from tests.support.d1_apps import YES, ask, dump, load, prepare
from tests.support.faults.harness import FULL

from .conftest import StandIn


@pytest.fixture
def shop(app: Path, tool: Tool, tmp_path: Path) -> Path:
    """An app with a small sample in it."""
    make_sample(tmp_path / "sample.db", users=10, projects=30)
    load(app, tmp_path / "sample.db")
    return app


def stop_after(run: Run, cloud: StandIn, statements: int) -> None:
    """The service runs some statements of the migration, keeps them, and says that it failed."""
    cloud.fault("import", f"part {statements}", match="ingest")
    with pytest.raises(OutcomeUnknown, match="it is in between, so call the same command again"):
        migrate(run, YES)
    said = window_state(run).database_says
    assert said.startswith("in between: it did Enter the migration in the ledger")
    assert "and not" in said
    name = run.info.plan.migration.name
    assert target_of(run).ledger(name) is None  # nobody takes it for migrated
    with pytest.raises(RunbookError, match="may not run now"):
        verify(run)


@pytest.mark.slow
@pytest.mark.parametrize("statements", [3, 9, 14, 20] if FULL else [9])
def test_forward_from_a_part(shop: Path, cloud: StandIn, tmp_path: Path, statements: int) -> None:
    run = prepare(shop, tmp_path / "run", where="remote")
    stop_after(run, cloud, statements)
    assert migrate(run, YES).committed
    assert verify(run).verdict == "pass"
    assert ask(shop, "SELECT name FROM d1_migrations ORDER BY id")[-1][0] == (
        f"{run.info.plan.migration.name}.sql"
    )
    assert not ask(shop, "SELECT 1 FROM sqlite_schema WHERE name = 'runbook_guard'")


@pytest.mark.slow
@pytest.mark.parametrize("statements", [3, 6, 9, 14, 20] if FULL else [6])
def test_back_from_a_part(shop: Path, cloud: StandIn, tmp_path: Path, statements: int) -> None:
    before = dump(shop)
    run = prepare(shop, tmp_path / "run", where="remote")
    stop_after(run, cloud, statements)
    assert rollback(run, YES).done
    assert dump(shop) == before
    assert window_state(run).database == "rolled back"
