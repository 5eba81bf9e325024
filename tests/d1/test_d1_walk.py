"""docs/d1.md, typed as it stands: command by command, in applications of several shapes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
import yaml

from runbook.cli import main
from runbook.sample.make import make_sample
from runbook.targets.d1.config import read_config
from runbook.targets.d1.install import Tool
from runbook.targets.d1.migrations_folder import JOURNAL
from tests.support.d1_apps import EARLIER, load
from tests.support.paths import ROOT

from .conftest import DATABASE_ID

PAGE = (ROOT / "docs" / "d1.md").read_text()
TOML = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
ENTRY = {"binding": "DB", "database_name": "app-db", "database_id": DATABASE_ID}


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def commands(title: str) -> list[str]:
    """What is typed in a section, line by line."""
    blocks = re.findall(r"```console\n(.*?)```", section(title), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@dataclass(frozen=True)
class Shape:
    """A form of application: its configuration's name and text, its folder, and the environment."""

    name: str
    text: str
    folder: str = "migrations"
    environment: dict[str, str] = field(default_factory=dict)


assert TOML is not None
SHAPES = {
    "toml": Shape("wrangler.toml", TOML[1]),
    "jsonc, environment": Shape(
        "wrangler.jsonc",
        "\ufeff// the shop\n"
        + json.dumps({"name": "shop", "env": {"staging": {"d1_databases": [ENTRY]}}}),
        environment={"CLOUDFLARE_ENV": "staging"},
    ),
    "drizzle, another table": Shape(
        "wrangler.toml",
        TOML[1] + 'migrations_dir = "drizzle"\nmigrations_table = "applied"\n',
        folder="drizzle",
    ),
}


def settle(shape: Shape, app: Path, tool: Tool, database: Path) -> dict[str, str]:
    """Makes the application, and the environment in which its owner types."""
    (app / "wrangler.toml").write_text(TOML[1] if TOML else "")
    load(app, database, earlier=False)
    (app / "wrangler.toml").unlink()
    (app / shape.name).write_text(shape.text, encoding="utf-8")
    config = read_config(app / shape.name, "app-db", shape.environment.get("CLOUDFLARE_ENV"))
    state = config.state_file()
    state.parent.mkdir(parents=True, exist_ok=True)
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(state)) as target,
    ):
        source.backup(target)
        target.executescript(EARLIER.replace("d1_migrations", config.migrations_table))
    (app / shape.folder).mkdir(exist_ok=True)
    for name in ("0001_first.sql", "0002_second.sql"):
        (app / shape.folder / name).write_text("SELECT 1;\n")
    if shape.folder == "drizzle":
        (app / "drizzle" / "meta").mkdir()
        (app / "drizzle" / JOURNAL).write_text('{"version": "7", "entries": []}')
    programs = app.parent / "programs"
    programs.mkdir()
    words = {
        "runbook": [sys.executable, "-m", "runbook"],
        "npx": ["shift;", *map(shlex.quote, tool.command)],
    }
    for name, command in words.items():
        (programs / name).write_text(f'#!/bin/sh\n{" ".join(command)} "$@"\n')
        (programs / name).chmod(0o755)
    quiet = {"WRANGLER_SEND_METRICS": "false", "CI": "1", "HOME": str(app.parent)}
    quiet |= {"CLOUDFLARE_CF_FETCH_ENABLED": "false", "WRANGLER_SEND_ERROR_REPORTS": "false"}
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    python = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, **quiet, **shape.environment, "PATH": path, "PYTHONPATH": python}


@pytest.mark.slow
@pytest.mark.parametrize("form", SHAPES)
def test_the_walk_as_it_stands(form: str, app: Path, tool: Tool, tmp_path: Path) -> None:
    shape = SHAPES[form]
    make_sample(tmp_path / "sample.db", users=20, projects=60)
    environment = settle(shape, app, tool, tmp_path / "sample.db")
    typed = [*commands("A walk"), *commands("With wrangler alone")]
    assert len(typed) >= 7
    said = []
    for command in typed:
        line = re.sub(r"\bmigrations(?=/| --database)", shape.folder, command)
        ended = subprocess.run(
            line, shell=True, cwd=app, env=environment, capture_output=True, text=True, timeout=600
        )
        assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
        said.append(ended.stdout)
    assert "migrated, verified and taken back on a copy" in said[0]
    assert "verdict pass" in said[1]
    assert "taken back after the proof" in said[2]
    rendered = [Path(line).name for line in said[3].splitlines()]
    assert rendered == [
        "0005_add_organizations_backfill.sql",
        "rollback.sql.txt",
        "verify.sql.txt",
    ]
    assert said[5].count('"violations": 0') == 9
    assert (app / "runs" / ".gitignore").read_text() == "*\n"


def steps() -> list[tuple[str, dict[str, object]]]:
    """Each step of the recipe for GitHub, with its job."""
    (block,) = re.findall(r"```yaml\n(.*?)```", section("On GitHub"), re.DOTALL)
    jobs = yaml.safe_load(block)["jobs"]
    return [(name, step) for name, job in jobs.items() for step in job["steps"]]


def test_the_recipe_for_github() -> None:
    """Its commands have these options, the migration is behind an approval, no data leaves."""
    (block,) = re.findall(r"```yaml\n(.*?)```", section("On GitHub"), re.DOTALL)
    recipe = yaml.safe_load(block)
    assert recipe["jobs"]["migrate"]["environment"] == "production"
    assert recipe["permissions"] == {"contents": "read"}
    assert recipe["jobs"]["rehearse"]["permissions"]["pull-requests"] == "write"
    assert "upload-artifact" not in block
    typed = [(job, str(step["run"])) for job, step in steps() if "runbook" in str(step.get("run"))]
    assert [job for job, _ in typed] == ["rehearse", "rehearse", "migrate"]
    for job, line in typed:
        words = shlex.split(line.split(" > ")[0])
        command = main.commands[words[1]]
        context = command.make_context(words[1], words[2:], resilient_parsing=False)
        assert isinstance(context, click.Context)
        if words[1] == "run":
            assert context.params["yes"] is (job == "migrate")
            assert (context.params["until"] == "rehearse") is (job == "rehearse")


def test_the_loop_over_tenants_has_options_that_exist() -> None:
    (block,) = re.findall(r"```bash\n(.*?)```", section("Many tenant databases"), re.DOTALL)
    lines = re.findall(r"runbook (run .*?) \|\| exit", block)
    assert len(lines) == 2
    for line in lines:
        words = shlex.split(line)
        main.commands["run"].make_context("run", words[1:])
