"""The migration in chunks: the same result, and a stop at any part goes on there."""

from __future__ import annotations

import contextlib
import functools
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.errors import OutcomeUnknown, Refused
from runbook.run.folder import Run
from runbook.sample.make import make_sample
from runbook.stages.migrate import migrate
from runbook.stages.open_run import open_run
from runbook.stages.preflight import preflight
from runbook.stages.rollback import rollback
from runbook.stages.snapshot import snapshot
from runbook.stages.verify import verify
from runbook.targets.d1.chunks import CHUNKS, parts
from runbook.targets.d1.install import Tool
from runbook.targets.d1.wrangler import Wrangler
from runbook.targets.open_target import open_target
from tests.support.d1_apps import YES, ask, dump, load
from tests.support.faults.harness import FULL

from .conftest import StandIn

NAME = "0005_add_organizations_backfill"
KILLS = 20 if FULL else 3
STOP = 2 if FULL else 6
"""A start is stopped in this part of those that it still has to do."""
PLAN = """
[[resources]]
table = "projects"
owner = "owner_id"
updated_at = "updated_at"
[[resources]]
table = "notes"
owner = "owner_id"
"""


class Killed(BaseException):
    """What stands for a kill, where the process has to go on."""


@pytest.fixture
def shop(app: Path, tool: Tool, tmp_path: Path) -> Path:
    """An app with a small sample in it, and with a table whose rows have no rowid."""
    make_sample(tmp_path / "sample.db", users=50, projects=200)
    load(app, tmp_path / "sample.db")
    ask(app, "CREATE TABLE notes (a, b, owner_id, PRIMARY KEY (a, b)) WITHOUT ROWID")
    ask(app, "INSERT INTO notes SELECT owner_id, id, owner_id FROM projects")
    return app


def prepare(app: Path, folder: Path, rows: int = 90, where: str = "local") -> Run:
    """A run in chunks up to its snapshot."""
    options = {
        "wrangler_config": str(app / "wrangler.toml"),
        "where": where,
        "chunk_rows": str(rows),
    }
    path = folder.with_suffix(".toml")
    path.write_text(PLAN)
    run = open_run("d1:app-db", run_dir=str(folder), plan=str(path), options=options)
    preflight(run)
    snapshot(run)
    return run


def parts_done(app: Path) -> int:
    exists = ask(app, f"SELECT 1 FROM sqlite_schema WHERE name = '{CHUNKS}'")
    return int(str(ask(app, f"SELECT count(*) FROM {CHUNKS}")[0][0])) if exists else 0


def check_migrated(app: Path, run: Run) -> None:
    assert verify(run).verdict == "pass"
    assert ask(app, "SELECT migration FROM runbook_ledger") == [(NAME,)]
    assert ask(app, "SELECT name FROM d1_migrations ORDER BY id")[-1] == (f"{NAME}.sql",)
    assert not ask(
        app, "SELECT 1 FROM sqlite_schema WHERE name IN ('runbook_guard', 'runbook_chunks')"
    )
    assert (app / "migrations" / f"{NAME}.sql").exists()


@pytest.mark.slow
def test_a_stop_at_any_part_goes_on_there(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start is killed in one of its next parts, before or after it happened."""
    before = dump(shop)
    run = prepare(shop, tmp_path / "run")
    assert "d1_in_chunks" in {h.code for h in preflight(run, again=True).hazards}
    snapshot(run, again=True)
    honest = Wrangler.execute
    sent: list[str] = []
    calls = 0

    def mortal(self: Wrangler, sql: str, doing: str) -> None:
        nonlocal calls
        calls += 1
        if calls == STOP and len(sent) % 2:
            raise Killed
        honest(self, sql, doing)
        sent.append(doing)
        if calls == STOP:
            raise Killed

    monkeypatch.setattr(Wrangler, "execute", mortal)
    starts = 0
    while not run.finished("migrate"):
        starts += 1
        calls = 0
        with contextlib.suppress(OutcomeUnknown):
            migrate(run, YES)
            continue
        assert "call the same command again" in run.record("migrate").error["message"]  # type: ignore[union-attr, index]
        assert 0 < parts_done(shop) == len(sent)
        assert ask(shop, "SELECT migration FROM runbook_ledger") != [(NAME,)]
        with pytest.raises(Refused, match="has not ended"):
            open_target("d1:app-db", run.info.options).backup(tmp_path / "late.db")
    assert starts > 3
    assert len(sent) == len(set(sent)), "a part was sent twice"
    check_migrated(shop, run)
    assert rollback(run, YES).done
    assert dump(shop) == before


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 3, 8] if FULL else [3])
def test_taken_back_from_half_way(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    before = dump(shop)
    run = prepare(shop, tmp_path / "run")
    honest = Wrangler.execute

    def mortal(self: Wrangler, sql: str, doing: str) -> None:
        if parts_done(shop) == stop:
            raise Killed
        honest(self, sql, doing)

    with monkeypatch.context() as patch:
        patch.setattr(Wrangler, "execute", mortal)
        with pytest.raises(OutcomeUnknown, match="neither before nor after"):
            migrate(run, YES)
    assert parts_done(shop) == stop
    assert rollback(run, YES).done
    assert dump(shop) == before


@pytest.mark.slow
def test_a_violated_invariant_stops_before_the_ledger(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody writes between two parts: the last parts see it, and there is a way back."""
    run = prepare(shop, tmp_path / "run")
    honest = Wrangler.execute

    def disturbed(self: Wrangler, sql: str, doing: str) -> None:
        if "(Index)" in doing:
            ask(shop, "UPDATE projects SET organization_id = NULL WHERE rowid = 1")
        honest(self, sql, doing)

    with monkeypatch.context() as patch:
        patch.setattr(Wrangler, "execute", disturbed)
        with pytest.raises(OutcomeUnknown, match="resources_without_organization"):
            migrate(run, YES)
    assert rollback(run, YES).done
    assert not ask(shop, "SELECT 1 FROM sqlite_schema WHERE name = 'organizations'")


@pytest.mark.slow
def test_killed_at_random_moments(shop: Path, tmp_path: Path) -> None:
    run = prepare(shop, tmp_path / "run", rows=20)
    script = f"""
        from pathlib import Path
        from runbook.run.folder import Run
        from runbook.stages.migrate import migrate
        from tests.support.d1_apps import YES
        migrate(Run.open(Path({str(run.folder)!r})), YES)
    """
    chance = random.Random(7)
    for _ in range(KILLS):
        done = parts_done(shop)
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
        deadline = time.monotonic() + 60
        while parts_done(shop) == done and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 3))
        process.kill()
        process.wait()
    assert migrate(run, YES).committed
    check_migrated(shop, run)


@pytest.mark.slow
def test_a_part_without_a_clear_answer_is_looked_at(
    shop: Path, cloud: StandIn, tmp_path: Path
) -> None:
    """The answer to the first part is lost, and yet nothing is sent twice."""
    run = prepare(shop, tmp_path / "run", rows=1000, where="remote")
    cloud.fault("import", "drop after", match="ingest")
    assert migrate(run, YES).committed
    sent = cloud.requests("import", match="ingest")
    assert len(sent) == len({request["text"] for request in sent})
    check_migrated(shop, run)


@pytest.mark.slow
def test_another_size_of_chunks_is_refused_on_the_way(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(shop, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(Wrangler, "execute", _once(Wrangler.execute))
        with pytest.raises(OutcomeUnknown):
            migrate(first, YES)
    smaller = functools.partial(_smaller, parts)
    monkeypatch.setattr("runbook.targets.d1.apply.parts", smaller)
    with pytest.raises(OutcomeUnknown, match="chunks of another size"):
        migrate(first, YES)


def _smaller(honest: Callable[..., object], *arguments: object) -> object:
    script, backup, rows, table = arguments
    assert isinstance(rows, int)
    return honest(script, backup, rows - 10, table)


def _once(honest: Callable[[Wrangler, str, str], None]) -> Callable[[Wrangler, str, str], None]:
    calls = 0

    def mortal(self: Wrangler, sql: str, doing: str) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise Killed
        honest(self, sql, doing)

    return mortal
