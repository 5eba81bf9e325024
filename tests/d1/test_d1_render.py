"""The rendered files under wrangler alone: applied, looked at, taken back, applied again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.errors import Refused
from runbook.sample.make import make_sample
from runbook.targets.d1.install import Tool
from runbook.targets.d1.wrangler import Where, Wrangler
from runbook.targets.d1.wrangler_output import results_in
from tests.support.d1_apps import ask, dump, load

NAME = "0005_add_organizations_backfill"


def alone(app: Path, tool: Tool, *words: str) -> str:
    """What `wrangler d1 ...` prints, called by hand."""
    home = app / "home"
    home.mkdir(exist_ok=True)
    quiet = Wrangler(app / "wrangler.toml", "app-db", Where(local=True), tool=tool).environment(
        str(home)
    )
    ended = subprocess.run(
        [*tool.command, "d1", *words], cwd=app, env=quiet, capture_output=True, timeout=120
    )
    assert ended.returncode == 0, ended
    return ended.stdout.decode()


def render(app: Path, *more: str) -> list[Path]:
    words = ["--database", "d1:app-db", "--wrangler-config", str(app / "wrangler.toml"), "--local"]
    words += ["--target", "d1", "--out", str(app / "migrations"), *more]
    ended = CliRunner().invoke(main, ["render", *words], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return [Path(line) for line in ended.output.splitlines()]


@pytest.mark.parametrize("rowid", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_there_and_back_with_wrangler_alone(
    app: Path, tool: Tool, tmp_path: Path, rowid: bool
) -> None:
    make_sample(tmp_path / "sample.db", users=30, projects=90)
    load(app, tmp_path / "sample.db")
    more = []
    if not rowid:
        ask(app, "CREATE TABLE notes (a, b, owner_id, touched, PRIMARY KEY (a, b)) WITHOUT ROWID")
        ask(app, "INSERT INTO notes SELECT id, 1, owner_id, updated_at FROM projects")
        plan = '[[resources]]\ntable = "notes"\nowner = "owner_id"\nupdated_at = "touched"\n'
        (tmp_path / "plan.toml").write_text(plan)
        more = ["--plan", str(tmp_path / "plan.toml")]
    before = dump(app)
    files = render(app, *more)
    assert dump(app) == before
    for _ in range(2):
        alone(app, tool, "migrations", "apply", "app-db", "--local")
        verify = str(app / "migrations" / NAME / "verify.sql.txt")
        said = results_in(
            alone(app, tool, "execute", "app-db", "--local", "--json", "--file", verify)
        )
        assert said is not None
        assert len(said) == 9
        assert {rows[0]["violations"] for rows in said} == {0}
        back = str(app / "migrations" / NAME / "rollback.sql.txt")
        alone(app, tool, "execute", "app-db", "--local", "--file", back, "--yes")
        assert dump(app) == before
    assert files == render(app, *more)  # the same text again is no obstacle


@pytest.mark.slow
@pytest.mark.parametrize(
    ("since", "reason"),
    [
        ("UPDATE organizations SET id = 'org-moved' WHERE rowid = 1", "organizations_made_since"),
        ("UPDATE organization_memberships SET created_at = '2099'", "memberships_made_since"),
        ("DELETE FROM runbook_ledger", "nothing_to_roll_back"),
    ],
)
def test_the_rollback_refuses_what_it_would_lose(
    app: Path, wrangler: Wrangler, tool: Tool, tmp_path: Path, since: str, reason: str
) -> None:
    make_sample(tmp_path / "sample.db", users=5, projects=9)
    load(app, tmp_path / "sample.db")
    render(app)
    wrangler.migrations_apply("it")
    ask(app, since)
    before = dump(app)
    with pytest.raises(Refused, match=f"CHECK constraint failed: {reason}"):
        wrangler.execute_file(app / "migrations" / NAME / "rollback.sql.txt", "the rollback")
    assert dump(app) == before


@pytest.mark.slow
def test_what_users_wrote_since_stays(
    app: Path, wrangler: Wrangler, tool: Tool, tmp_path: Path
) -> None:
    make_sample(tmp_path / "sample.db", users=5, projects=9)
    load(app, tmp_path / "sample.db")
    render(app)
    wrangler.migrations_apply("it")
    ask(
        app, "UPDATE projects SET name = 'mine', updated_at = '2099-01-01 00:00:00' WHERE rowid = 3"
    )
    wrangler.execute_file(app / "migrations" / NAME / "rollback.sql.txt", "the rollback")
    kept = ask(app, "SELECT rowid FROM projects WHERE name = 'mine' AND updated_at LIKE '2099%'")
    assert kept == [(3,)]
    assert ask(app, "SELECT count(*) FROM projects WHERE updated_at > '2099'") == [(1,)]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.sql").write_text("SELECT 1;\n")
    words = ["render", "--target", "d1", "--out", str(tmp_path)]
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 1
    assert (tmp_path / f"{NAME}.sql").read_text() == "SELECT 1;\n"
    assert not (tmp_path / NAME).exists()
    assert CliRunner().invoke(main, ["render", "--out", str(tmp_path)]).exit_code == 2
