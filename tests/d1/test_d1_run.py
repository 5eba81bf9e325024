"""Whole runs on a D1 database: there, back, and there again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.errors import Blocked, OutcomeUnknown, Refused, RunbookError, TargetError
from runbook.run.folder import Run
from runbook.sample.make import make_sample
from runbook.stages.migrate import migrate
from runbook.stages.preflight import preflight
from runbook.stages.rollback import rollback
from runbook.stages.verify import verify
from runbook.targets.d1 import wrangler
from runbook.targets.d1.apply import Applier
from runbook.targets.d1.install import Tool
from runbook.targets.open_target import open_target
from tests.support.d1_apps import YES, ask, complete, dump, load, prepare, start
from tests.support.faults.harness import FULL
from tests.support.paths import ROOT

from .conftest import TOKEN, StandIn

NOTEBOOKS = ROOT / "notebooks"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CHINOOK = """
[migration]
name = "0003_organizations"
[users]
table = "Customer"
key = "CustomerId"
email = "Email"
[[resources]]
table = "Invoice"
owner = "CustomerId"
"""
NORTHWIND = """
[migration]
name = "0003_organizations"
[users]
table = "Customers"
key = "CustomerID"
[[resources]]
table = "Orders"
owner = "CustomerID"
"""


@pytest.fixture
def shop(app: Path, tool: Tool, tmp_path: Path) -> Path:
    """An app with a small sample in it."""
    make_sample(tmp_path / "sample.db", users=40, projects=200)
    load(app, tmp_path / "sample.db")
    return app


def there_and_back(app: Path, folder: Path, plan: Path | None = None) -> None:
    before = dump(app)
    files = sorted((app / "migrations").iterdir())
    run = complete(app, folder / "first", plan=plan)
    assert dump(app) != before
    assert rollback(run, YES).done
    assert dump(app) == before
    assert sorted((app / "migrations").iterdir()) == files
    complete(app, folder / "second", plan=plan)


def runbook(*words: object) -> str:
    """What a command prints that ends well, in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-m", "runbook", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended
    return ended.stdout


def test_from_the_command_line(shop: Path, tmp_path: Path) -> None:
    """As an operator does it, with every stage as a notebook in a kernel."""
    before = dump(shop)
    folder = tmp_path / "run"
    config = ["--wrangler-config", shop / "wrangler.toml", "--local"]
    said = runbook("run", "--database", "d1:app-db", *config, "--run-dir", folder, "--yes")
    assert "verdict pass" in said
    report = (folder / "report.html").read_text()
    assert "The comparison was made after the commit" in report
    assert "taken back" in runbook("rollback", "--run-dir", folder, "--yes")
    assert dump(shop) == before


@pytest.mark.slow
def test_the_whole_backup_is_put_back_by_hand(shop: Path, tmp_path: Path) -> None:
    """What is offered instead of a rollback says what it would erase."""
    run = complete(shop, tmp_path / "run")
    ask(shop, "INSERT INTO tags SELECT project_id, 'late' FROM tags LIMIT 1")
    with pytest.raises(Refused, match=r"backup\.db in the place of .* erase 1 row written since"):
        rollback(run, YES, restore=True)


@pytest.mark.slow
def test_sample_there_and_back(shop: Path, tmp_path: Path) -> None:
    there_and_back(shop, tmp_path)


@pytest.mark.slow
def test_an_app_without_earlier_migrations(app: Path, tool: Tool, tmp_path: Path) -> None:
    make_sample(tmp_path / "sample.db", users=10, projects=30)
    load(app, tmp_path / "sample.db", earlier=False)
    there_and_back(app, tmp_path)


@pytest.mark.slow
def test_the_full_sample(app: Path, tool: Tool, tmp_path: Path) -> None:
    make_sample(tmp_path / "sample.db", users=2000, projects=20_000)
    load(app, tmp_path / "sample.db")
    there_and_back(app, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "plan"), [("chinook", CHINOOK), ("northwind", NORTHWIND)])
def test_public_databases(app: Path, tool: Tool, tmp_path: Path, name: str, plan: str) -> None:
    database = SHARED / f"{name}.db"
    if not database.exists():
        pytest.skip(f"the public database {name} is not beside the project")
    load(app, database)
    (tmp_path / "plan.toml").write_text(plan)
    there_and_back(app, tmp_path, tmp_path / "plan.toml")


def test_the_migration_is_a_file_that_wrangler_knows(shop: Path, tmp_path: Path) -> None:
    run = complete(shop, tmp_path / "run")
    name = f"{run.info.plan.migration.name}.sql"
    text = (shop / "migrations" / name).read_text()
    assert "BEGIN IMMEDIATE" not in text
    assert "COMMIT" not in text
    assert ask(shop, "SELECT name FROM d1_migrations ORDER BY id")[-1] == (name,)
    assert not ask(shop, "SELECT 1 FROM sqlite_schema WHERE name = 'runbook_guard'")


@pytest.mark.slow
def test_a_guard_aborts_the_file_for_whoever_applies_it(shop: Path, tmp_path: Path) -> None:
    """Applied with wrangler alone, after somebody has added a trigger that makes users."""
    run = complete(shop, tmp_path / "run")
    file = shop / "migrations" / f"{run.info.plan.migration.name}.sql"
    text = file.read_text()
    rollback(run, YES)
    file.write_text(text)
    ask(
        shop,
        "CREATE TRIGGER more AFTER UPDATE ON projects BEGIN"
        " INSERT OR IGNORE INTO users (id, email) VALUES ('more', 'more@example.com'); END",
    )
    before = dump(shop)
    with pytest.raises(Refused, match="CHECK constraint failed: rows_lost_or_gained"):
        wrangler.Wrangler(
            shop / "wrangler.toml", "app-db", wrangler.Where(local=True)
        ).migrations_apply("it")
    assert dump(shop) == before


@pytest.mark.slow
def test_a_trigger_with_cr_lf_comes_back_word_for_word(shop: Path, tmp_path: Path) -> None:
    ask(
        shop,
        "CREATE TRIGGER crlf AFTER UPDATE ON projects BEGIN\r\n"
        "  UPDATE tags SET tag = tag || '\r\n' WHERE 0;\r\nEND",
    )
    (tmp_path / "plan.toml").write_text('[triggers]\npolicy = "suspend"\n')
    there_and_back(shop, tmp_path, tmp_path / "plan.toml")
    hazards = Run.open(tmp_path / "first").record("preflight").result["hazards"]  # type: ignore[union-attr, index]
    assert "d1_carriage_returns" in {h["code"] for h in hazards}


def test_hazards_of_d1(shop: Path, tmp_path: Path) -> None:
    (shop / "migrations" / "0004_other.sql").write_text("CREATE TABLE other (a);\n")
    (shop / "migrations" / "0005_add_organizations_backfill.sql").write_text("SELECT 1;\n")
    ask(shop, "CREATE TABLE big (n INTEGER)")
    ask(shop, "INSERT INTO big VALUES (9007199254740993)")
    with pytest.raises(Blocked) as caught:
        preflight(start(shop, tmp_path / "run"))
    found = {(h.code, h.subject) for h in caught.value.record.hazards}  # type: ignore[attr-defined]
    assert ("d1_pending_migrations", "migrations") in found
    assert ("d1_file_in_the_way", "0005_add_organizations_backfill.sql") in found
    assert ("d1_big_integers", "big.n") in found
    assert ("d1_virtual_tables", "project_search") in found


@pytest.mark.slow
def test_more_resources_than_a_compound_has_terms(shop: Path, tmp_path: Path) -> None:
    """D1 takes five terms in a UNION; the number of resources has no such limit."""
    plan = '[[resources]]\ntable = "projects"\nowner = "owner_id"\nupdated_at = "updated_at"\n'
    for n in range(7):
        ask(shop, f"CREATE TABLE extra_{n} (id INTEGER PRIMARY KEY, owner_id TEXT)")
        ask(shop, f"INSERT INTO extra_{n} (owner_id) SELECT id FROM users ORDER BY id LIMIT {n}")
        plan += f'[[resources]]\ntable = "extra_{n}"\nowner = "owner_id"\n'
    (tmp_path / "plan.toml").write_text(plan)
    there_and_back(shop, tmp_path / "runs", tmp_path / "plan.toml")


def test_what_the_engine_would_refuse_is_found_beforehand(shop: Path, tmp_path: Path) -> None:
    """If the script does not suit D1's engine, preflight says so and nothing is changed."""
    name = "n" * 40_000  # once in CREATE TABLE, but several times in statements of the script
    ask(shop, f"CREATE TABLE {name} (id TEXT PRIMARY KEY, owner_id TEXT)")
    ask(shop, f"INSERT INTO {name} SELECT 'one', min(id) FROM users")
    plan = f'[[resources]]\ntable = "{name}"\nowner = "owner_id"\n'
    (tmp_path / "plan.toml").write_text(plan)
    with pytest.raises(Blocked) as caught:
        preflight(start(shop, tmp_path / "run", plan=tmp_path / "plan.toml"))
    (found,) = (h for h in caught.value.record.hazards if h.code == "d1_script_refused")  # type: ignore[attr-defined]
    assert "SQLITE_TOOBIG" in found.meaning
    assert not ask(shop, "SELECT 1 FROM sqlite_schema WHERE name = 'organizations'")


def test_an_empty_database_is_not_the_one(app: Path, tool: Tool, tmp_path: Path) -> None:
    with pytest.raises(RunbookError, match="has no tables; see that its id"):
        start(app, tmp_path / "run")


def test_a_write_after_the_snapshot_stops_the_migration(shop: Path, tmp_path: Path) -> None:
    run = prepare(shop, tmp_path / "run")
    ask(shop, "UPDATE projects SET name = upper(name) WHERE id = (SELECT max(id) FROM projects)")
    before = dump(shop)
    with pytest.raises(Refused, match="written to since the snapshot"):
        migrate(run, YES)
    assert dump(shop) == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE tasks SET title = title || ' ' WHERE id = 1", marks=pytest.mark.slow),
        "UPDATE audit_log SET detail = 1.0 WHERE id = (SELECT max(id) FROM audit_log)",
        "UPDATE projects SET organization_id = (SELECT max(id) FROM organizations)"
        " WHERE id = (SELECT min(id) FROM projects)",
        pytest.param(
            "DELETE FROM organization_memberships WHERE rowid = 1", marks=pytest.mark.slow
        ),
    ],
)
def test_a_planted_change_is_found(shop: Path, tmp_path: Path, change: str) -> None:
    run = prepare(shop, tmp_path / "run")
    migrate(run, YES)
    ask(shop, change)
    assert verify(run).verdict == "fail"


@pytest.mark.slow
def test_a_rollback_does_not_run_over_later_writes(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write between the look and the rollback trips the guard of the file."""
    run = complete(shop, tmp_path / "run")
    original = wrangler.Wrangler.execute_file

    def write_first(self: wrangler.Wrangler, path: Path, doing: str) -> None:
        ask(shop, "INSERT INTO tags VALUES ((SELECT min(id) FROM projects), 'late')")
        original(self, path, doing)

    monkeypatch.setattr(wrangler.Wrangler, "execute_file", write_first)
    with pytest.raises(Refused, match="written_to_since_it_was_looked_at"):
        rollback(run, YES)
    assert ask(shop, "SELECT count(*) FROM runbook_ledger") == [(1,)]
    assert ask(shop, "SELECT count(*) FROM tags WHERE tag = 'late'") == [(1,)]


@pytest.mark.parametrize(
    "why", ["internal error", pytest.param("--without-export", marks=pytest.mark.slow)]
)
def test_a_snapshot_does_without_the_export(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """The exact replica is the backup; what became of the export is noted."""
    ask(shop, "DROP TABLE project_search")

    def fail(self: wrangler.Wrangler, to: Path, seconds: float = 0) -> None:
        to.write_text("half")
        raise TargetError("internal error")

    monkeypatch.setattr(wrangler.Wrangler, "export", fail)
    options = {"export": "no"} if why.startswith("--") else {}
    backup = tmp_path / "backup" / "backup.db"
    backup.parent.mkdir()
    known = {"wrangler_config": str(shop / "wrangler.toml"), "where": "local", **options}
    open_target("d1:app-db", known).backup(backup)
    assert why in json.loads((backup.parent / "d1.json").read_text())["export"]
    assert sorted(p.name for p in backup.parent.iterdir()) == ["backup.db", "d1.json"]


def test_options_are_checked(shop: Path) -> None:
    with pytest.raises(RunbookError, match="Pass --local or --remote for d1:"):
        open_target("d1:app-db", {"wrangler_config": str(shop / "wrangler.toml")})
    with pytest.raises(RunbookError, match="no option 'wher'"):
        open_target("d1:app-db", {"wher": "local"})


def test_a_notebook_goes_on_with_a_run_that_the_command_began(shop: Path, tmp_path: Path) -> None:
    """What the refusal of a notebook says, followed to the letter."""
    folder = tmp_path / "run"
    config = ["--wrangler-config", shop / "wrangler.toml", "--local"]
    refused = papermill("01_preflight", tmp_path, "database", "d1:app-db")
    assert "Pass --local or --remote for d1:app-db to `runbook run`" in refused.stderr
    runbook("run", "--database", "d1:app-db", *config, "--run-dir", folder, "--until", "preflight")
    assert papermill("03_snapshot", tmp_path, "run_dir", folder).returncode == 0
    assert (folder / "stages" / "03_snapshot.json").is_file()


def papermill(name: str, folder: Path, *parameter: object) -> subprocess.CompletedProcess[str]:
    notebook = NOTEBOOKS / f"{name}.ipynb"
    command = [sys.executable, "-m", "papermill", notebook, folder / "out.ipynb", "-p", *parameter]
    return subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True)


@pytest.mark.slow
def test_remote_there_and_back(shop: Path, cloud: StandIn, tmp_path: Path) -> None:
    before = dump(shop)
    run = complete(shop, tmp_path / "run", where="remote")
    seen = json.loads((run.folder / "backup" / "d1.json").read_text())
    assert seen["bookmark"] < seen["bookmark_after"]
    with pytest.raises(Refused, match=f"time-travel restore app-db --bookmark={seen['bookmark']}"):
        rollback(run, YES, restore=True)
    cloud.fault("import", "drop after", match="ingest")
    assert rollback(run, YES).done  # unknown, looked at, decided
    assert len(cloud.requests("import", match="ingest")) == 2  # once there, and once back
    assert dump(shop) == before
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path


def remote_run(shop: Path, folder: Path) -> Run:
    """A run of the remote database up to its snapshot."""
    return prepare(shop, folder, where="remote")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "happened"),
    [("drop after", True), ("429", False)]
    + [("500 after", True), ("500", False), ("html", False), ("drop before", False)] * FULL,
)
def test_an_unknown_outcome_is_looked_at_and_decided(
    shop: Path, cloud: StandIn, tmp_path: Path, kind: str, happened: bool
) -> None:
    run = remote_run(shop, tmp_path / "run")
    before = dump(shop)
    cloud.fault("import", kind, match="ingest")
    if happened:
        assert migrate(run, YES).committed
    else:
        with pytest.raises(Refused, match="D1 did not run the migration"):
            migrate(run, YES)
        assert [line for line in dump(shop) if "d1_migrations" not in line] == [
            line for line in before if "d1_migrations" not in line
        ]
        assert not list((shop / "migrations").glob("0005*"))
    sent = cloud.requests("import", match="ingest")
    assert len(sent) == 1


@pytest.mark.slow
def test_half_a_migration_is_named(
    shop: Path, cloud: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a service ever run only a part of the batch, it is neither before nor after."""
    run = remote_run(shop, tmp_path / "run")
    cloud.fault("import", "drop before", match="ingest")
    original = Applier._settled

    def half(self: Applier, *arguments: object, **options: object) -> bool:
        cloud.query("CREATE TABLE organizations (id TEXT)")
        return original(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Applier, "_settled", half)
    with pytest.raises(OutcomeUnknown, match="of its tables there are organizations"):
        migrate(run, YES)
