"""wrangler on a local database: what it may see, leave behind and have happened when it dies."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from runbook.errors import OutcomeUnknown, Refused, TargetError
from runbook.hazards.remedy import for_d1
from runbook.targets.d1.config import object_name
from runbook.targets.d1.install import Tool
from runbook.targets.d1.state_file import write_lock
from runbook.targets.d1.wrangler import Where, Wrangler

from .conftest import CONFIG, TOKEN

# Takes some seconds in one statement, and writes.
LONG_WRITE = (
    "CREATE TABLE slow AS WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k"
    " LIMIT {rows}) SELECT i, hex(i) AS h FROM k;"
)


def tables(state: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(state)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return {name for (name,) in rows if not name.startswith("_cf_")}


def test_reading_and_writing(wrangler: Wrangler) -> None:
    wrangler.execute("CREATE TABLE t (a); INSERT INTO t VALUES ('x;y'), ('--');", "filling t")
    rows = wrangler.read(["SELECT a FROM t ORDER BY a -- a comment", "SELECT 'é' AS letter;"])
    assert rows == [[{"a": "--"}, {"a": "x;y"}], [{"letter": "é"}]]
    assert tables(wrangler.state_file) == {"t"}


def test_long_and_short_statements_keep_their_order(wrangler: Wrangler) -> None:
    long = f"SELECT 2 AS n, '{'x' * 20_000}' AS x"
    rows = wrangler.read(["SELECT 1 AS n", long, "SELECT 3 AS n"])
    assert [answer[0]["n"] for answer in rows] == [1, 2, 3]
    with pytest.raises(TargetError, match="100066 bytes is too long for D1"):
        wrangler.read([f"SELECT '{'x' * 100_055}'"])


REMEDY = "BEGIN;\nUPDATE t SET a = 'right';\nCOMMIT;"
"""The form of a remedy: a transaction."""


def test_a_remedy_runs_without_its_transaction(wrangler: Wrangler) -> None:
    wrangler.execute("CREATE TABLE t (a); INSERT INTO t VALUES ('wrong');", "filling t")
    with pytest.raises((Refused, TargetError)):
        wrangler.execute(REMEDY, "applying the remedy")
    assert wrangler.read(["SELECT a FROM t"]) == [[{"a": "wrong"}]]
    wrangler.execute(for_d1(REMEDY), "applying the remedy")
    assert wrangler.read(["SELECT a FROM t"]) == [[{"a": "right"}]]


def test_what_remedies_for_sqlite_do_is_not_in_d1(wrangler: Wrangler) -> None:
    for words in ("CREATE TEMP TABLE k (a);", "PRAGMA writable_schema = ON;"):
        with pytest.raises((Refused, TargetError)):
            wrangler.execute(words, "trying it")
    wrangler.execute(
        "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
        "CREATE TABLE c (p REFERENCES p ON DELETE CASCADE); INSERT INTO c VALUES (1);",
        "filling both",
    )
    wrangler.execute("PRAGMA foreign_keys = OFF; DELETE FROM p;", "deleting")
    assert wrangler.read(["SELECT * FROM c"]) == [[]], "the reference was followed all the same"


def test_a_refused_statement_rolls_all_back(wrangler: Wrangler) -> None:
    with pytest.raises(Refused, match=r"while filling t \(UNIQUE constraint failed: t\.a"):
        wrangler.execute(
            "CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (1); INSERT INTO t VALUES (1);",
            "filling t",
        )
    assert tables(wrangler.state_file) == set()
    with pytest.raises(TargetError, match="no such table: t"):
        wrangler.read(["SELECT * FROM t"])


def test_migrations_are_applied_and_their_failure_named(app: Path, wrangler: Wrangler) -> None:
    (app / "migrations" / "0001_good.sql").write_text("CREATE TABLE good (a);\n")
    (app / "migrations" / "0002_bad.sql").write_text(
        "CREATE TABLE bad (a);\nINSERT INTO missing VALUES (1);\n"
    )
    with pytest.raises(Refused, match="no such table: missing"):
        wrangler.migrations_apply("applying the migration")
    rows = wrangler.read(["SELECT name FROM d1_migrations"])
    assert rows == [[{"name": "0001_good.sql"}]]
    assert "bad" not in tables(wrangler.state_file)


def test_export_also_of_state_kept_elsewhere(app: Path, tool: Tool, tmp_path: Path) -> None:
    elsewhere = Wrangler(
        app / "wrangler.toml", "app-db", Where(True, persist_to=tmp_path / "else"), tool=tool
    )
    elsewhere.execute("CREATE TABLE there (a); INSERT INTO there VALUES ('kept');", "filling")
    assert elsewhere.state_file.is_relative_to(tmp_path / "else")
    assert elsewhere.state_file.is_file()
    elsewhere.export(tmp_path / "dump.sql")
    assert "kept" in (tmp_path / "dump.sql").read_text()


@pytest.mark.slow
def test_virtual_tables_cannot_be_exported(wrangler: Wrangler, tmp_path: Path) -> None:
    wrangler.execute("CREATE VIRTUAL TABLE words USING fts5 (body);", "creating words")
    with pytest.raises(TargetError, match=r"while exporting: .*[Vv]irtual"):
        wrangler.export(tmp_path / "dump.sql")


def test_it_sees_neither_token_nor_home_and_logs_nowhere(
    app: Path, wrangler: Wrangler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    for name, value in {"HOME": home, "TMPDIR": temporary, "CLOUDFLARE_API_TOKEN": TOKEN}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert "CLOUDFLARE_API_TOKEN" not in wrangler.environment(str(home))
    wrangler.execute("CREATE TABLE t (a); INSERT INTO t VALUES ('a row of a user');", "filling")
    wrangler.read(["SELECT * FROM t"])
    assert list(home.rglob("*")) == []
    assert [p for p in temporary.rglob("*") if p.is_file()] == []
    state = app / ".wrangler" / "state"
    assert [p for p in app.rglob("*") if p.is_file() and not p.is_relative_to(state)] == [
        app / "wrangler.toml"
    ]


def test_a_lock_is_named(wrangler: Wrangler) -> None:
    with (
        write_lock(wrangler.state_file, wait=1),
        pytest.raises(Refused, match="locked by another process while filling t"),
    ):
        wrangler.execute("CREATE TABLE t (a);", "filling t")
    assert tables(wrangler.state_file) == set()


def test_a_time_out_is_unknown_and_is_not_tried_again(app: Path, tool: Tool) -> None:
    hasty = Wrangler(app / "wrangler.toml", "app-db", Where(local=True), tool=tool, timeout=0.4)
    with pytest.raises(OutcomeUnknown, match=r"Whether making slow happened .* within 0\.4 s"):
        hasty.execute(LONG_WRITE.format(rows=10), "making slow")
    assert hasty.calls == 1


def test_everything_dies_with_the_runbook(app: Path, tool: Tool, wrangler: Wrangler) -> None:
    """Killed without a chance to clean up, the runbook leaves no workerd that goes on writing."""
    script = f"""
        from pathlib import Path
        from runbook.targets.d1.install import Tool
        from runbook.targets.d1.wrangler import Where, Wrangler
        tool = Tool(Path({str(tool.node)!r}), Path({str(tool.script)!r}), "")
        wrangler = Wrangler(Path({str(app / "wrangler.toml")!r}), "app-db", Where(local=True), tool=tool)
        wrangler.execute({LONG_WRITE.format(rows=20_000_000)!r}, "making slow")
    """
    state = wrangler.state_file
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)]) as process:
        try:
            while process.poll() is None and not at_work(state):
                time.sleep(0.05)
            assert process.poll() is None, "it ended before it was at work"
        finally:
            process.kill()
    deadline = time.monotonic() + 30
    while at_work(state) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not at_work(state)
    with write_lock(wrangler.state_file, wait=5):
        pass
    assert "slow" not in tables(wrangler.state_file)


def at_work(state: Path) -> list[int]:
    """Processes that have the state file open; any other file of the application may be read."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):
                for descriptor in (process / "fd").iterdir():
                    with contextlib.suppress(OSError):
                        if str(descriptor.readlink()).startswith(str(state)):
                            found.append(int(process.name))
    return found


def test_newer_state_is_explained(app: Path, wrangler: Wrangler) -> None:
    """What a newer workerd adds to its own tables makes an older one crash."""
    with contextlib.closing(sqlite3.connect(wrangler.state_file)) as state:
        state.execute("DROP TABLE IF EXISTS _cf_ALARM")
        state.execute("CREATE TABLE _cf_ALARM (actor_id INTEGER, scheduled INTEGER, more INTEGER)")
        state.execute("INSERT INTO _cf_ALARM VALUES (1, 2, 3)")
        state.commit()
    try:
        wrangler.read(["SELECT 1"])
    except TargetError as error:
        assert "written by a newer wrangler" in str(error)  # noqa: PT017 (either way is right)


def test_the_state_file_is_found_by_the_id(app: Path, wrangler: Wrangler) -> None:
    assert wrangler.state_file.is_file()
    text = CONFIG.replace("0f0f0f0f", "11111111")
    (app / "wrangler.toml").write_text(text)
    other = Wrangler(app / "wrangler.toml", "DB", Where(local=True))
    assert not other.state_file.exists()
    assert other.state_file.name == f"{object_name(other.config.local_id)}.sqlite"
