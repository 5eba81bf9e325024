"""The folder of migrations around ours: other files, other names, another table, Drizzle's journal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.errors import Blocked, TargetError
from runbook.stages.migrate import migrate
from runbook.stages.preflight import preflight
from runbook.stages.rollback import rollback
from runbook.stages.verify import verify
from runbook.targets.d1.install import NEWEST, Tool
from runbook.targets.d1.migrations_folder import JOURNAL
from runbook.targets.d1.wrangler import Where, Wrangler
from tests.support.d1_apps import YES, ask, complete, dump, prepare, start

from .conftest import CONFIG

NAME = "add_organizations_backfill"
TABLE = "applied_ones"


@pytest.fixture
def drizzle(shop: Path) -> Path:
    """The same app with Drizzle's folder, ten migrations in it, and another table of them."""
    lines = f'migrations_dir = "drizzle"\nmigrations_table = "{TABLE}"\n'
    (shop / "wrangler.toml").write_text(CONFIG + lines)
    ask(shop, f'ALTER TABLE d1_migrations RENAME TO "{TABLE}"')
    ask(shop, f'DELETE FROM "{TABLE}"')
    entries = []
    (shop / "drizzle" / "meta").mkdir(parents=True)
    for number in range(10):
        tag = f"{number:04}_step"
        (shop / "drizzle" / f"{tag}.sql").write_text("SELECT 1;\n")
        ask(shop, f"INSERT INTO \"{TABLE}\" (name) VALUES ('{tag}.sql')")
        entries.append(
            {"idx": number, "version": "6", "when": 1_700_000_000_000 + number, "tag": tag}
        )
    text = json.dumps({"version": "7", "dialect": "sqlite", "entries": entries}, indent=2)
    (shop / "drizzle" / JOURNAL).write_text(text)
    return shop


def tags(app: Path) -> list[str]:
    return [e["tag"] for e in json.loads((app / "drizzle" / JOURNAL).read_text())["entries"]]


@pytest.mark.slow
def test_a_drizzle_folder_and_another_table_there_and_back(drizzle: Path, tmp_path: Path) -> None:
    """The file sorts behind what is applied, and the ledger keeps the plan's name."""
    before, known = dump(drizzle), tags(drizzle)
    run = prepare(drizzle, tmp_path / "run")
    assert {"d1_file_number"} <= {h.code for h in preflight(run).hazards}
    assert migrate(run, YES).committed
    assert verify(run).verdict == "pass"
    assert ask(drizzle, "SELECT migration FROM runbook_ledger") == [(f"0005_{NAME}",)]
    last = ask(drizzle, f'SELECT name FROM "{TABLE}" ORDER BY id DESC LIMIT 1')
    assert last == [(f"0010_{NAME}.sql",)]
    assert not ask(drizzle, "SELECT 1 FROM sqlite_schema WHERE name = 'd1_migrations'")
    assert (drizzle / "drizzle" / f"0010_{NAME}.sql").is_file()
    assert tags(drizzle) == [*known, f"0010_{NAME}"]
    assert rollback(run, YES).done
    assert dump(drizzle) == before
    assert tags(drizzle) == known
    assert not (drizzle / "drizzle" / f"0010_{NAME}.sql").exists()


@pytest.mark.slow
def test_the_rendered_way_back_with_another_table(
    drizzle: Path, tool: Tool, tmp_path: Path
) -> None:
    """The files under wrangler alone."""
    before = dump(drizzle)
    config = ["--wrangler-config", str(drizzle / "wrangler.toml"), "--local"]
    words = [
        "--database",
        "d1:app-db",
        *config,
        "--target",
        "d1",
        "--out",
        str(drizzle / "drizzle"),
    ]
    ended = CliRunner().invoke(main, ["render", *words], catch_exceptions=False)
    files = [Path(line) for line in ended.output.splitlines()]
    assert [f.name for f in files] == [f"0010_{NAME}.sql", "rollback.sql.txt", "verify.sql.txt"]
    wrangler = Wrangler(drizzle / "wrangler.toml", "app-db", Where(local=True), tool=tool)
    wrangler.migrations_apply("it")
    assert ask(drizzle, "SELECT count(*) FROM runbook_ledger") == [(1,)]
    wrangler.execute_file(files[1], "the way back")
    assert dump(drizzle) == before
    assert CliRunner().invoke(main, ["render", *words]).output == ended.output


@pytest.mark.slow
def test_a_file_that_comes_after_preflight_is_not_applied_with_ours(
    shop: Path, tmp_path: Path
) -> None:
    run = prepare(shop, tmp_path / "run")
    (shop / "migrations" / "0004_late.sql").write_text("CREATE TABLE late (a);\n")
    assert migrate(run, YES).committed
    assert verify(run).verdict == "pass"
    assert not ask(shop, "SELECT 1 FROM sqlite_schema WHERE name = 'late'")


def test_pending_migrations_in_folders_are_found(shop: Path, tmp_path: Path) -> None:
    lines = 'migrations_dir = "prisma"\nmigrations_pattern = "prisma/*/migration.sql"\n'
    (shop / "wrangler.toml").write_text(CONFIG + lines)
    for name, text in (("1_here", "CREATE TABLE users (a);"), ("2_new", "CREATE TABLE new (a);")):
        (shop / "prisma" / name).mkdir(parents=True)
        (shop / "prisma" / name / "migration.sql").write_text(text + "\n")
    with pytest.raises(Blocked) as caught:
        preflight(start(shop, tmp_path / "run"))
    hazards = {h.code: h.samples for h in caught.value.record.hazards}  # type: ignore[attr-defined]
    assert str(hazards["d1_pending_migrations"]).count("2_new/migration.sql") == 1
    assert "1_here" not in str(hazards["d1_pending_migrations"])
    assert "1_here/migration.sql" in str(hazards["d1_migrations_not_noted"])


@pytest.mark.slow
def test_nested_migrations_there_and_back_as_the_newest_lists_them(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever we leave in the folder, wrangler's own list of what is pending stays empty."""
    try:
        newest = NEWEST.tool()
    except TargetError as error:
        pytest.skip(f"the newest wrangler is not here: {error}")
    lines = 'migrations_dir = "m"\nmigrations_pattern = "m/**/*.sql"\n'
    (shop / "wrangler.toml").write_text(CONFIG + lines)
    (shop / "m" / "0001_first").mkdir(parents=True)
    (shop / "m" / "0001_first" / "migration.sql").write_text("SELECT 1;\n")
    wrangler = Wrangler(shop / "wrangler.toml", "app-db", Where(local=True), tool=newest)

    def listed() -> str:
        return wrangler._call("read", "listing", ["migrations", "list", "app-db", "--local"]).stdout

    assert "0001_first/migration.sql" in listed()
    ask(shop, "INSERT INTO d1_migrations (name) VALUES ('0001_first/migration.sql')")
    monkeypatch.setenv("RUNBOOK_WRANGLER", str(newest.script.parent.parent))
    words = ["--wrangler-config", str(shop / "wrangler.toml"), "--local", "--target", "d1"]
    words += ["--database", "d1:app-db", "--out", str(shop / "m")]
    assert CliRunner().invoke(main, ["render", *words]).exit_code == 0
    pending = listed()
    assert f"0005_{NAME}.sql" in pending
    assert "rollback" not in pending
    assert "verify" not in pending
    (shop / "m" / f"0005_{NAME}.sql").unlink()
    run = complete(shop, tmp_path / "run")
    assert "No migrations to apply" in listed()
    assert rollback(run, YES).done
    assert "No migrations to apply" in listed()
