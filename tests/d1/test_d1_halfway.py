"""A service that runs only a part of the file: the truth about it, a way forward and a way back."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.errors import OutcomeUnknown, RunbookError
from runbook.run.folder import Run
from runbook.stages.migrate import migrate
from runbook.stages.rollback import rollback
from runbook.stages.verify import verify
from runbook.targets.d1.wrangler import Wrangler
from runbook.targets.open_target import target_of
from runbook.templates import split_statements
from runbook.window.state import window_state
from tests.support.brief import brief
from tests.support.d1_apps import YES, ask, dump, prepare, state_of
from tests.support.faults.harness import FULL

from .conftest import StandIn

Stop = Callable[[Run, int], None]


@pytest.fixture
def stop_after(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Stop:
    """Has the next change run some of its statements alone, which stay, and give no answer."""

    def stop(run: Run, statements: int) -> None:
        def part(self: Wrangler, sql: str, doing: str) -> None:
            with contextlib.closing(sqlite3.connect(state_of(shop), isolation_level=None)) as state:
                for statement in split_statements(sql)[:statements]:
                    state.execute(statement)
            raise OutcomeUnknown(f"Whether {doing} happened is unknown.")

        with monkeypatch.context() as patch:
            patch.setattr(Wrangler, "execute", part)
            check_stopped(run)

    return stop


def check_stopped(run: Run) -> None:
    """The migration stops on its way, and everybody says so."""
    with pytest.raises(OutcomeUnknown, match="it is in between, so call the same command again"):
        migrate(run, YES)
    said = window_state(run).database_says
    assert said.startswith("in between: it did Enter the migration in the ledger")
    name = run.info.plan.migration.name
    assert target_of(run).ledger(name) is None  # nobody takes it for migrated
    with pytest.raises(RunbookError, match="may not run now"):
        verify(run)


def check_whole(app: Path, run: Run) -> None:
    assert verify(run).verdict == "pass"
    names = ask(app, "SELECT name FROM d1_migrations ORDER BY id")
    assert names[-1] == (f"{run.info.plan.migration.name}.sql",)
    assert not ask(app, "SELECT 1 FROM sqlite_schema WHERE name = 'runbook_guard'")


@pytest.mark.parametrize(
    "statements",
    brief([3, 9, 14] + [20, 25] * FULL, lambda number: number == 9, pytest.mark.slow),
)
def test_forward_from_a_part(shop: Path, stop_after: Stop, tmp_path: Path, statements: int) -> None:
    run = prepare(shop, tmp_path / "run")
    stop_after(run, statements)
    if statements == 9:
        stop_after(run, 2)  # and once more on the way forward
    assert migrate(run, YES).committed
    check_whole(shop, run)


@pytest.mark.parametrize(
    "statements",
    brief([6, 14] + [3, 9, 20, 25] * FULL, lambda number: number == 6, pytest.mark.slow),
)
def test_back_from_a_part(shop: Path, stop_after: Stop, tmp_path: Path, statements: int) -> None:
    before = dump(shop)
    run = prepare(shop, tmp_path / "run")
    stop_after(run, statements)
    assert rollback(run, YES).done
    assert dump(shop) == before
    assert window_state(run).database == "rolled back"


@pytest.mark.slow
def test_somebody_wrote_meanwhile(shop: Path, stop_after: Stop, tmp_path: Path) -> None:
    """Then what D1 holds matches no point in the script, and nothing is sent any more."""
    run = prepare(shop, tmp_path / "run")
    stop_after(run, 9)
    ask(shop, "UPDATE users SET email = 'late@example.org' WHERE rowid = 1")
    before = dump(shop)
    for act in (migrate, rollback):
        with pytest.raises(OutcomeUnknown, match="matches no point in the script"):
            act(run, YES)
        assert dump(shop) == before


@pytest.mark.slow
def test_forward_at_the_service(shop: Path, cloud: StandIn, tmp_path: Path) -> None:
    """The stand-in keeps nine statements and answers that it failed."""
    run = prepare(shop, tmp_path / "run", where="remote")
    cloud.fault("import", "part 9", match="ingest")
    check_stopped(run)
    assert migrate(run, YES).committed
    check_whole(shop, run)
