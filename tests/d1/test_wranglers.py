"""Which wrangler is used: the application's own where it can be, else one of ours; both are named."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from runbook.errors import TargetError
from runbook.sample.make import make_sample
from runbook.stages.preflight import preflight
from runbook.stages.rollback import rollback
from runbook.targets.d1.choose import choose, is_newer_state, is_supported
from runbook.targets.d1.config import read_config
from runbook.targets.d1.install import NEWEST, OVERRIDE, PINNED, Tool
from runbook.targets.d1.wrangler import Where, Wrangler
from tests.support.d1_apps import YES, complete, dump, load, start, state_of

from .conftest import CONFIG


@pytest.fixture(autouse=True)
def _nothing_is_named(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OVERRIDE, raising=False)
    if not PINNED.is_installed:
        pytest.skip("the pinned wrangler is not installed")


@pytest.fixture
def newest() -> Tool:
    try:
        return NEWEST.tool()
    except TargetError as error:
        pytest.skip(f"the newest wrangler is not here: {error}")


def install_own(folder: Path, version: str, node: str = ">=20.0.0") -> None:
    """A wrangler among the modules of an application."""
    place = folder / "node_modules" / "wrangler"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "wrangler.js").write_text("")
    about = {"name": "wrangler", "version": version, "engines": {"node": node}}
    (place / "package.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("version", "supported"),
    [
        ("4.85.9", False),
        (PINNED.version, True),
        ("4.110.0", True),
        (NEWEST.version, True),
        (f"{NEWEST.version.rpartition('.')[0]}.99", True),
        ("4.999.0", False),
        ("3.114.1", False),
        ("5.0.0", False),
        ("nonsense", False),
    ],
)
def test_what_is_supported(version: str, supported: bool) -> None:
    assert is_supported(version) is supported


@pytest.mark.parametrize(
    ("version", "used"), [("4.100.0", "4.100.0"), ("3.90.0", PINNED.version), ("", PINNED.version)]
)
def test_the_own_one_is_found_in_the_folders_above(tmp_path: Path, version: str, used: str) -> None:
    """As Node looks for it, which in a monorepo is far above the configuration."""
    package = tmp_path / "packages" / "api"
    package.mkdir(parents=True)
    (package / "wrangler.toml").write_text(CONFIG)
    if version:
        install_own(tmp_path, version)
    choice = choose(read_config(package / "wrangler.toml", "app-db"))
    assert (choice.tool.version, choice.own) == (used, version)


def test_the_named_one_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrangler.toml").write_text(CONFIG)
    install_own(tmp_path, "4.100.0")
    install_own(tmp_path / "other", "4.2.0")
    named = tmp_path / "other" / "node_modules" / "wrangler"
    monkeypatch.setenv(OVERRIDE, str(named))
    choice = choose(read_config(tmp_path / "wrangler.toml", "app-db"))
    assert (choice.tool.script, choice.own) == (named / "bin" / "wrangler.js", "4.100.0")


def test_both_versions_are_named(app: Path, tmp_path: Path, tool: Tool) -> None:
    make_sample(tmp_path / "sample.db", users=5, projects=9)
    load(app, tmp_path / "sample.db")
    install_own(app, "3.90.0")
    run = start(app, tmp_path / "run")
    assert run.info.versions["wrangler"] == tool.version
    assert run.info.versions["wrangler of the application"] == "3.90.0"
    (hazard,) = (h for h in preflight(run).hazards if h.code == "d1_other_wrangler")
    assert hazard.subject == f"used {tool.version}, the application's 3.90.0"


def test_newer_state_without_the_newest_is_explained(
    app: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(state_of(app).with_name("metadata.sqlite"))) as notes:
        notes.execute("DROP TABLE IF EXISTS _cf_ALARM")
        notes.execute("CREATE TABLE _cf_ALARM (actor_id, scheduled_time, actor_name)")
    absent = type(NEWEST)(NEWEST.sources, tmp_path / "absent", NEWEST.option)
    monkeypatch.setattr("runbook.targets.d1.choose.NEWEST", absent)
    with pytest.raises(
        TargetError, match=r"newer wrangler than 4\.86\.0; run `python -m .* --newest"
    ):
        start(app, tmp_path / "run")


@pytest.mark.slow
def test_state_of_the_newest_there_and_back(tmp_path: Path, newest: Tool) -> None:
    """The state is seen to be newer, and the wrangler that can open it is used by itself."""
    app = tmp_path / "app"
    (app / "migrations").mkdir(parents=True)
    (app / "wrangler.toml").write_text(CONFIG)
    Wrangler(app / "wrangler.toml", "app-db", Where(local=True), tool=newest).read(["SELECT 1"])
    make_sample(tmp_path / "sample.db", users=10, projects=30)
    load(app, tmp_path / "sample.db")
    assert is_newer_state(state_of(app))
    before = dump(app)
    run = complete(app, tmp_path / "run")
    assert run.info.versions["wrangler"] == NEWEST.version
    assert rollback(run, YES).done
    assert dump(app) == before


@pytest.mark.slow
def test_an_own_wrangler_is_used(app: Path, tmp_path: Path, newest: Tool) -> None:
    """The very program among the application's modules, as npm puts it there."""
    make_sample(tmp_path / "sample.db", users=5, projects=9)
    load(app, tmp_path / "sample.db")
    shutil.rmtree(app / "node_modules", ignore_errors=True)
    (app / "node_modules").symlink_to(newest.script.parents[2])
    run = start(app, tmp_path / "run")
    assert run.info.identity.details["wrangler"] == newest.version
    assert not [h for h in preflight(run).hazards if h.code == "d1_other_wrangler"]
