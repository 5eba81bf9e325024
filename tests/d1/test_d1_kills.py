"""The runbook killed at random moments while D1 is being migrated."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.run.folder import Run
from runbook.sample.make import make_sample
from runbook.stages.migrate import migrate
from runbook.stages.snapshot import snapshot
from runbook.stages.verify import verify
from runbook.targets.d1.install import Tool
from tests.support.d1_apps import YES, ask, load, prepare
from tests.support.faults.harness import FULL, children, kill

KILLS = 40 if FULL else 6
"""How many, one third each of the runbook, wrangler and its engine; 40 take about ten minutes."""


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


def killed(app: Path, folder: Path, delay: float, victim: str) -> bool:
    """Starts the migration, and kills `victim` `delay` seconds after its file has been written.

    Where wrangler or its engine dies, the runbook lives on, and must find out by itself.
    """
    script = f"""
        from pathlib import Path
        from runbook.run.folder import Run
        from runbook.stages.migrate import migrate
        from tests.support.d1_apps import YES
        migrate(Run.open(Path({str(folder)!r})), YES)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not list((app / "migrations").glob("0005*")):
        time.sleep(0.005)
    time.sleep(delay)
    victims = {process.pid} if victim == "runbook" else named(process.pid, victim)
    hit = bool(victims) and process.poll() is None
    kill(victims)
    said = process.communicate()[1]
    if victim != "runbook" and process.returncode:
        assert "D1 did not run the migration" in said
    return hit


def named(parent: int, program: str) -> set[int]:
    """The descendants that run wrangler's command line, or its engine, by their own command."""
    found = set()
    for pid in children(parent):
        found |= named(pid, program)
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if command.split(b"\0")[0].endswith(b"workerd"):
                found |= {pid} if program == "workerd" else set()
            elif b"execute" in command:
                found |= {pid} if program == "wrangler" else set()
    return found


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
    assert not killed(app, tmp_path / "run", 0, "nobody")
    whole = time.monotonic() - began
    seen: Counter[str] = Counter()
    kills = 0
    while kills < KILLS:
        run = prepared()
        victim = ("runbook", "wrangler", "workerd")[kills % 3]
        was_killed = killed(app, tmp_path / "run", whole * chance.uniform(0, 0.4), victim)
        kills += was_killed  # some come too late to find their victim
        # Whoever opens the file next gets the transaction whole or not at all.
        deadline = time.monotonic() + 10
        first = state(app)
        while len(set(first)) > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
            first = state(app)
        assert len(set(first)) == 1, f"mixed: {first}"
        happened = first[0]
        seen[f"{victim if was_killed else 'nobody'}, {'after' if happened else 'before'}"] += 1
        finished = run.finished("migrate")
        assert happened or not finished
        if was_killed and not happened and victim != "runbook":
            # The runbook lived on and has said that nothing happened, so time has passed.
            assert run.record("migrate").status == "failed"  # type: ignore[union-attr]
            snapshot(run, again=True)
        record = migrate(run, YES)
        assert record.committed
        if happened and not finished:
            assert "the ledger shows" in record.note
        assert ask(app, "SELECT count(*) FROM runbook_ledger") == [(1,)]
        assert ask(app, "SELECT count(*) FROM d1_migrations") == [(3,)]
        assert ask(app, "SELECT count(*) FROM projects WHERE organization_id IS NULL") == [(0,)]
    assert verify(Run.open(tmp_path / "run")).verdict == "pass"
    print("killed, and where its commit was found to be:", dict(sorted(seen.items())))
