"""The runbook killed at random moments while D1 is being migrated."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.run import Run
from runbook.sample import make_sample
from runbook.stages.migrate import migrate
from runbook.stages.verify import verify
from runbook.targets.d1_setup import Tool

from .apps import YES, ask, load, prepare

KILLS = int(os.environ.get("D1_KILLS", "6"))
"""How many; 40 take about ten minutes."""


@pytest.fixture
def prepared(app: Path, tool: Tool, tmp_path: Path) -> Callable[[], Run]:
    """Makes the app and its run as they were after the snapshot, each time it is called."""
    make_sample(tmp_path / "sample.db", users=500, projects=20_000)
    load(app, tmp_path / "sample.db")
    folder = tmp_path / "run"
    prepare(app, folder)
    for place in (app, folder):
        shutil.copytree(place, tmp_path / "kept" / place.name)

    def again() -> Run:
        for place in (app, folder):
            shutil.rmtree(place)
            shutil.copytree(tmp_path / "kept" / place.name, place)
        return Run.open(folder)

    return again


def killed(app: Path, folder: Path, delay: float) -> bool:
    """Starts the migration, and kills it `delay` seconds after its file has been written."""
    script = f"""
        from pathlib import Path
        from runbook.run import Run
        from runbook.stages.migrate import migrate
        from tests.d1.apps import YES
        migrate(Run.open(Path({str(folder)!r})), YES)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    while process.poll() is None and not list((app / "migrations").glob("0005*")):
        time.sleep(0.005)
    try:
        process.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    assert process.returncode == 0
    return False


def state(app: Path) -> tuple[bool, ...]:
    """Each sign of the migration, as the file has it."""
    objects = {name for (name,) in ask(app, "SELECT name FROM sqlite_schema")}
    column = ask(app, "SELECT 1 FROM pragma_table_xinfo('projects') WHERE name = 'organization_id'")
    noted = ask(app, "SELECT 1 FROM d1_migrations WHERE name LIKE '0005%'")
    return (
        "organizations" in objects,
        "organization_memberships" in objects,
        "runbook_ledger" in objects,
        "idx_projects_org" in objects,
        bool(column),
        bool(noted),
    )


@pytest.mark.slow
def test_killed_at_random_moments(prepared: Callable[[], Run], app: Path, tmp_path: Path) -> None:
    chance = random.Random(20)
    prepared()
    began = time.monotonic()
    assert not killed(app, tmp_path / "run", 300)
    whole = time.monotonic() - began
    seen = {True: 0, False: 0}
    for _ in range(KILLS):
        run = prepared()
        was_killed = killed(app, tmp_path / "run", whole * chance.uniform(0.05, 0.8))
        # Whoever opens the file next gets the transaction whole or not at all.
        deadline = time.monotonic() + 10
        first = state(app)
        while len(set(first)) > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
            first = state(app)
        assert len(set(first)) == 1, f"mixed: {first}"
        happened = first[0]
        seen[happened] += 1
        finished = run.finished("migrate")
        assert happened or not finished
        record = migrate(run, YES)
        assert record.committed
        if was_killed and happened and not finished:
            assert "the ledger shows" in record.note
        assert ask(app, "SELECT count(*) FROM runbook_ledger") == [(1,)]
        assert ask(app, "SELECT count(*) FROM d1_migrations") == [(3,)]
        assert ask(app, "SELECT count(*) FROM projects WHERE organization_id IS NULL") == [(0,)]
    assert verify(Run.open(tmp_path / "run")).verdict == "pass"
    print(f"{seen[False]} before the commit, {seen[True]} after it")
