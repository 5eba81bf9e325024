"""A run stays with the D1 database that it began with, from whatever folder and however called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.errors import TargetError
from runbook.run.folder import Run
from runbook.sample.make import make_sample
from runbook.stages.migrate import migrate
from runbook.stages.monitor import Watching, monitor
from runbook.stages.open_run import open_run
from runbook.stages.preflight import preflight
from runbook.stages.rehearse import rehearse
from runbook.stages.rollback import preview, rollback
from runbook.stages.snapshot import snapshot
from runbook.stages.verify import verify
from runbook.targets.d1.config import object_name
from runbook.targets.d1.install import Tool
from tests.support.d1_apps import YES, complete, dump, load, prepare, state_of

from .conftest import CONFIG, DATABASE_ID

OTHER_ID = "11111111-1111-4222-8333-444444444444"


@pytest.fixture
def shop(app: Path, tool: Tool, tmp_path: Path) -> Path:
    """An app with a small sample in it, and beside it another database of the same form."""
    make_sample(tmp_path / "sample.db", users=10, projects=30)
    load(app, tmp_path / "sample.db")
    other = state_of(app).with_name(f"{object_name(OTHER_ID)}.sqlite")
    other.write_bytes((tmp_path / "sample.db").read_bytes())
    return app


def point_elsewhere(app: Path) -> None:
    (app / "wrangler.toml").write_text(CONFIG.replace(DATABASE_ID, OTHER_ID))


STAGES: dict[str, Callable[[Run], object]] = {
    "preflight": lambda run: preflight(run, again=True),
    "rehearse": lambda run: rehearse(run, again=True),
    "snapshot": lambda run: snapshot(run, again=True),
    "migrate": lambda run: migrate(run, YES),
    "verify": lambda run: verify(run, again=True),
    "monitor": lambda run: monitor(run, Watching(once=True)),
    "preview": preview,
    "rollback": lambda run: rollback(run, YES),
}


def refuse(run: Run, stages: tuple[str, ...], reason: str) -> None:
    for stage in stages:
        with pytest.raises(TargetError, match=reason) as caught:
            STAGES[stage](run)
        assert caught.value.exit_code == 2, stage


def test_another_id_is_refused_at_every_stage(shop: Path, tmp_path: Path) -> None:
    run = prepare(shop, tmp_path / "run")
    point_elsewhere(shop)
    before = dump(shop)
    refuse(run, ("migrate", "snapshot", "rehearse", "preflight"), f"its id was {DATABASE_ID}")
    assert dump(shop) == before
    assert not list((shop / "migrations").glob("0005*"))


@pytest.mark.slow
def test_another_id_is_refused_after_the_migration(shop: Path, tmp_path: Path) -> None:
    run = complete(shop, tmp_path / "run")
    point_elsewhere(shop)
    before = dump(shop)
    refuse(run, ("verify", "monitor", "preview", "rollback"), f"is {OTHER_ID}")
    assert dump(shop) == before


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('migrations_table = "applied"', "table of migrations was d1_migrations and is applied"),
        ('migrations_dir = "other"', "folder of migrations was .*/migrations and is .*/other"),
    ],
)
def test_another_folder_or_table_of_migrations_is_refused(
    shop: Path, tmp_path: Path, line: str, reason: str
) -> None:
    run = prepare(shop, tmp_path / "run")
    (shop / "wrangler.toml").write_text(f"{CONFIG}{line}\n")
    refuse(run, ("migrate",), reason)


def test_a_run_resumed_in_another_folder_stays_with_its_database(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a monorepo each package has a configuration of its own, often for one database's name."""
    monkeypatch.chdir(shop)
    run = open_run("d1:app-db", run_dir=str(tmp_path / "run"), options={"where": "local"})
    package = tmp_path / "package"
    package.mkdir()
    (package / "wrangler.toml").write_text(CONFIG.replace(DATABASE_ID, OTHER_ID))
    monkeypatch.chdir(package)
    resumed = open_run("d1:app-db", run_dir=str(run.folder))
    assert resumed.info.options["wrangler_config"] == str(shop / "wrangler.toml")
    preflight(resumed)
    assert not (package / ".wrangler").exists()


def test_the_identity_is_recorded(shop: Path, tmp_path: Path) -> None:
    run = prepare(shop, tmp_path / "run")
    details = json.loads((run.folder / "run.json").read_text())["identity"]["details"]
    assert details | {"wrangler": ""} == {
        "where": "local",
        "id": DATABASE_ID,
        "config": str(shop / "wrangler.toml"),
        "environment": "",
        "state": str(shop / ".wrangler" / "state"),
        "migrations_dir": str(shop / "migrations"),
        "migrations_table": "d1_migrations",
        "wrangler": "",
    }
