"""Local D1 databases of one application as a fleet."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from runbook.fleet.call import Wanted, roll_back_fleet, run_fleet
from runbook.fleet.databases import list_databases
from runbook.sample.make import make_sample
from runbook.targets.d1.config import read_config
from runbook.targets.d1.install import Tool
from tests.support.d1_apps import EARLIER
from tests.support.databases import dump_lines
from tests.support.fleets import choices, pool_of, states


def make_app(fresh: Path, app: Path, count: int) -> list[str]:
    """An application with a D1 database for each tenant, each with migrations of its own."""
    shutil.copytree(fresh, app)
    names = [f"tenant-{number:02d}" for number in range(1, count + 1)]
    config = ['name = "app"', 'compatibility_date = "2026-04-01"']
    for number, name in enumerate(names, 1):
        config.append(
            f'[[d1_databases]]\nbinding = "DB{number}"\ndatabase_name = "{name}"\n'
            f'database_id = "0f0f0f0f-1111-4222-8333-{number:012d}"\n'
            f'migrations_dir = "migrations/{name}"'
        )
    (app / "wrangler.toml").write_text("\n".join(config))
    make_sample(app / "sample.db", users=5, projects=10)
    for name in names:
        folder = app / "migrations" / name
        folder.mkdir(parents=True)
        for earlier in ("0001_first.sql", "0002_second.sql"):
            (folder / earlier).write_text("SELECT 1;\n")
        with (
            contextlib.closing(sqlite3.connect(app / "sample.db")) as source,
            contextlib.closing(sqlite3.connect(state_file(app, name))) as state,
        ):
            source.backup(state)
            state.execute("PRAGMA journal_mode = WAL").fetchone()
            state.executescript(EARLIER)
    return names


def state_file(app: Path, name: str) -> Path:
    return read_config(app / "wrangler.toml", name).state_file()


def content(app: Path, name: str) -> list[str]:
    with contextlib.closing(sqlite3.connect(state_file(app, name))) as state:
        return [line for line in dump_lines(state) if "_cf_METADATA" not in line]


@pytest.mark.slow
@pytest.mark.parametrize("count", [20])
def test_there_and_back(count: int, fresh_state: Path, tool: Tool, tmp_path: Path) -> None:
    app = tmp_path / "app"
    names = make_app(fresh_state, app, count)
    before = {name: content(app, name) for name in names}
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"d1:{name}\n" for name in names))
    options = {"wrangler_config": str(app / "wrangler.toml"), "where": "local", "export": "no"}
    wanted = Wanted(
        list_databases([], [listed]), fleet_dir=str(tmp_path / "fleet"), options=options
    )
    run_fleet(wanted, choices(canaries=0), pool_of())
    assert states(tmp_path / "fleet") == ["after"] * count
    assert all(content(app, name) != before[name] for name in names)
    roll_back_fleet(tmp_path / "fleet", choices(), pool_of())
    assert states(tmp_path / "fleet") == ["taken back"] * count
    assert {name: content(app, name) for name in names} == before
