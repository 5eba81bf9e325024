"""A run stays with the D1 database that it began with, from whatever folder and however called."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.errors import RunFolderError, TargetError
from runbook.run.folder import Run
from runbook.sample.make import make_sample
from runbook.stages.migrate import migrate
from runbook.stages.monitor import Watching, monitor
from runbook.stages.open_run import D1Options, open_run
from runbook.stages.preflight import preflight
from runbook.stages.rehearse import rehearse
from runbook.stages.rollback import preview, rollback
from runbook.stages.snapshot import snapshot
from runbook.stages.verify import verify
from runbook.targets.d1.config import object_name
from runbook.targets.d1.install import Tool
from tests.support.d1_apps import YES, complete, dump, load, prepare, start, state_of

from .conftest import CONFIG, DATABASE_ID

OTHER_ID = "11111111-1111-4222-8333-444444444444"


def copy_database(source: Path, to: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(source)) as original,
        contextlib.closing(sqlite3.connect(to)) as copy,
    ):
        original.backup(copy)


@pytest.fixture
def shop(app: Path, tool: Tool, tmp_path: Path) -> Path:
    """An app with a small sample in it, and beside it another database of the same form."""
    make_sample(tmp_path / "sample.db", users=10, projects=30)
    load(app, tmp_path / "sample.db")
    other = state_of(app).with_name(f"{object_name(OTHER_ID)}.sqlite")
    copy_database(state_of(app), other)
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


def test_another_id_is_refused(shop: Path, tmp_path: Path) -> None:
    run = start(shop, tmp_path / "run")
    point_elsewhere(shop)
    refuse(run, ("preflight",), f"its id was {DATABASE_ID} and is {OTHER_ID}")


@pytest.mark.slow
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
    run = start(shop, tmp_path / "run")
    (shop / "wrangler.toml").write_text(f"{CONFIG}{line}\n")
    refuse(run, ("preflight",), reason)


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
    run = start(shop, tmp_path / "run")
    details = json.loads((run.folder / "run.json").read_text())["identity"]["details"]
    assert details | {"wrangler": ""} == {
        "where": "local",
        "id": DATABASE_ID,
        "config": str(shop / "wrangler.toml"),
        "environment": "",
        "state": str(shop / ".wrangler" / "state"),
        "migrations_dir": str(shop / "migrations"),
        "migrations_pattern": "*.sql",
        "migrations_table": "d1_migrations",
        "wrangler": "",
        "wrangler of the application": "none",
    }


CONTRADICTIONS = {
    D1Options(where="remote"): r"--local or --remote \(local\) than remote",
    D1Options(persist_to="elsewhere"): r"--persist-to \(not passed\) than .*/elsewhere",
    D1Options(wrangler_config="other/wrangler.toml"): r"--wrangler-config \(.*\) than .*/other/",
    D1Options(env="staging"): r"--env \(not passed\) than staging",
}


def test_an_option_that_contradicts_the_run_is_refused(shop: Path, tmp_path: Path) -> None:
    run = start(shop, tmp_path / "run")
    known = (run.folder / "run.json").read_bytes()
    for options, reason in CONTRADICTIONS.items():
        with pytest.raises(RunFolderError, match=reason):
            open_run(run_dir=str(run.folder), options=options.packed())
    assert (run.folder / "run.json").read_bytes() == known
    same = D1Options(wrangler_config=str(shop / "wrangler.toml"), where="local", timeout=60)
    assert open_run(run_dir=str(run.folder), options=same.packed()).info.options["timeout"] == "60"


@pytest.mark.slow
def test_the_size_of_chunks_is_taken_until_the_migration_begins(shop: Path, tmp_path: Path) -> None:
    """As the advice of preflight says; what it warns of is another thing then."""
    run = prepare(shop, tmp_path / "run")
    options = D1Options(chunk_rows=5000).packed()
    run = open_run(run_dir=str(run.folder), options=options)
    assert not run.finished("preflight")
    assert "d1_in_chunks" in {h.code for h in preflight(run).hazards}
    assert migrate(run, YES).committed
    chunks = open_run(
        run_dir=str(run.folder), options=options
    )  # the same again is no contradiction
    with pytest.raises(RunFolderError, match=r"--chunk-rows \(5000\) than 7"):
        open_run(run_dir=str(chunks.folder), options=D1Options(chunk_rows=7).packed())


STAGING = f"""
[env.staging]
[[env.staging.d1_databases]]
binding = "DB"
database_name = "app-staging"
database_id = "{OTHER_ID}"
"""


@pytest.mark.parametrize("how", [pytest.param("--env", marks=pytest.mark.slow), "CLOUDFLARE_ENV"])
def test_the_database_of_an_environment(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """It is reached, and the one on the top level is left alone."""
    (shop / "wrangler.toml").write_text(CONFIG + STAGING)
    options = D1Options(str(shop / "wrangler.toml"), "local", "staging" if how == "--env" else "")
    if how == "CLOUDFLARE_ENV":
        monkeypatch.setenv("CLOUDFLARE_ENV", "staging")
    run = open_run("d1:DB", run_dir=str(tmp_path / "run"), options=options.packed())
    assert run.info.identity.place == f"local D1 {OTHER_ID}"
    assert run.info.options["environment"] == "staging"
    before = dump(shop)
    if how == "--env":
        preflight(run)
        snapshot(run)
        assert migrate(run, YES).committed
        monkeypatch.setenv("CLOUDFLARE_ENV", "production")  # the run knows its own
        assert verify(run).verdict == "pass"
        assert rollback(run, YES).done
    assert dump(shop) == before


def test_the_command_passes_every_option(tmp_path: Path) -> None:
    words = ["--env", "nowhere", "--timeout", "5", "--local", "--wrangler-config"]
    (tmp_path / "wrangler.toml").write_text(CONFIG)
    words = ["run", "--database", "d1:app-db", *words, str(tmp_path / "wrangler.toml")]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 2
    assert "no environment named 'nowhere'" in ended.output
