"""Applications with a D1 database, made from SQLite files."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from runbook.run.folder import Run
from runbook.run.records import Confirmation
from runbook.stages.migrate import migrate
from runbook.stages.open_run import open_run
from runbook.stages.preflight import preflight
from runbook.stages.snapshot import snapshot
from runbook.stages.verify import verify
from runbook.targets.d1.config import read_config
from tests.support.databases import dump_lines

YES = Confirmation("a test", "2026-01-01T00:00:00Z", "test")

# As every application has it that has been deployed with migrations.
EARLIER = """
CREATE TABLE IF NOT EXISTS d1_migrations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE,
    applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);
INSERT INTO d1_migrations (name) VALUES ('0001_first.sql'), ('0002_second.sql');
"""


def state_of(app: Path) -> Path:
    """The state file of the app's database."""
    return read_config(app / "wrangler.toml", "app-db").state_file()


def load(app: Path, database: Path, earlier: bool = True) -> None:
    """Puts what a SQLite file holds into the app's local D1 database, beside Cloudflare's table."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{state_of(app)}{suffix}").unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(state_of(app))) as state,
    ):
        source.backup(state)
        state.execute("PRAGMA journal_mode = WAL").fetchone()
        if earlier:
            state.executescript(EARLIER)
            for name in ("0001_first.sql", "0002_second.sql"):
                (app / "migrations" / name).write_text("SELECT 1;\n")


def dump(app: Path) -> list[str]:
    """SQL of all that the database holds, without Cloudflare's own table."""
    with contextlib.closing(sqlite3.connect(state_of(app))) as state:
        return [line for line in dump_lines(state) if "_cf_METADATA" not in line]


def ask(app: Path, query: str) -> list[tuple[object, ...]]:
    """Rows of a query, straight from the state file."""
    with contextlib.closing(sqlite3.connect(state_of(app))) as state, state:
        return list(state.execute(query))


def start(app: Path, folder: Path, where: str = "local", plan: Path | None = None) -> Run:
    """A run of the app's database."""
    options = {"wrangler_config": str(app / "wrangler.toml"), "where": where}
    return open_run("d1:app-db", run_dir=str(folder), plan=str(plan or ""), options=options)


def prepare(app: Path, folder: Path, where: str = "local", plan: Path | None = None) -> Run:
    """A run up to its snapshot."""
    run = start(app, folder, where, plan)
    preflight(run)
    snapshot(run)
    return run


def complete(app: Path, folder: Path, where: str = "local", plan: Path | None = None) -> Run:
    """A run up to its verdict, which must be pass."""
    run = prepare(app, folder, where, plan)
    record = migrate(run, YES)
    assert record.committed
    assert record.proof == "after commit"
    verified = verify(run)
    assert (verified.verdict, verified.findings) == ("pass", ())
    return run
