"""wrangler's `--remote` client against a stand-in for Cloudflare's API (our client, not theirs)."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.errors import OutcomeUnknown, Refused, TargetError
from runbook.targets.d1 import wrangler as module
from runbook.targets.d1.install import NEWEST, PINNED, Edition, Tool
from runbook.targets.d1.read_rows import REMOTE
from runbook.targets.d1.replicate import replicate
from runbook.targets.d1.state_file import copy_state, differences
from runbook.targets.d1.wrangler import Where, Wrangler
from tests.support.brief import brief

from .conftest import CONFIG, TOKEN, StandIn

INSERT = "INSERT INTO t VALUES ('written');"


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.fixture
def table(standin: StandIn) -> StandIn:
    standin.query("CREATE TABLE t (a)")
    return standin


def rows(standin: StandIn) -> int:
    return int(standin.read(["SELECT count(*) AS n FROM t"])[0][0]["n"])


def test_reading(remote: Wrangler, table: StandIn) -> None:
    table.query(INSERT)
    assert remote.read(["SELECT a FROM t", "SELECT 1 AS n"]) == [[{"a": "written"}], [{"n": 1}]]
    assert remote.time_travel_bookmark().endswith("-standin")


def test_a_file_is_imported_amid_spinner_text(remote: Wrangler, table: StandIn) -> None:
    remote.execute(INSERT, "writing a row")
    assert rows(table) == 1
    assert [r["method"] for r in table.requests("import")] == ["POST", "POST"]


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("drop after", 1),
        ("500", 0),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("500 after", 1), ("drop before", 0), ("429", 0), ("html", 0))
        ),
    ],
)
def test_a_write_without_a_clear_answer_is_unknown(
    remote: Wrangler, table: StandIn, kind: str, written: int
) -> None:
    table.fault("import", kind, match="ingest")
    with pytest.raises(OutcomeUnknown) as caught:
        remote.execute(INSERT, "writing a row")
    assert rows(table) == written
    assert len(table.requests("import", match="ingest")) == 1
    assert remote.calls == 1
    assert str(caught.value).startswith("Whether writing a row happened in the D1 database app-db")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "kind",
    brief(
        ["drop after", "500 after", "429", "html"], lambda kind: kind == "html", pytest.mark.slow
    ),
)
def test_an_applied_migration_without_a_clear_answer_is_unknown(
    app: Path, remote: Wrangler, table: StandIn, kind: str
) -> None:
    (app / "migrations" / "0001_row.sql").write_text(INSERT + "\n")
    table.fault("query", kind, match="written")
    with pytest.raises(OutcomeUnknown):
        remote.migrations_apply("applying 0001_row.sql")
    applied = table.read(["SELECT count(*) AS n FROM d1_migrations"])[0][0]["n"]
    assert rows(table) == applied == (1 if kind.endswith("after") else 0)


@pytest.mark.slow
def test_no_answer_in_time_is_unknown(
    app: Path, remote: Wrangler, table: StandIn, tool: Tool
) -> None:
    hasty = Wrangler(app / "wrangler.toml", "app-db", Where(local=False), tool=tool, timeout=8)
    table.fault("import", "slow", match="ingest")
    with pytest.raises(OutcomeUnknown, match="did not end within 8 s"):
        hasty.execute(INSERT, "writing a row")
    assert rows(table) == 1


def test_a_refused_statement_is_definite(remote: Wrangler, table: StandIn) -> None:
    with pytest.raises(Refused, match="no such table: missing"):
        remote.execute("INSERT INTO missing VALUES (1);", "writing a row")


def test_missing_rights_are_definite(remote: Wrangler, table: StandIn) -> None:
    table.fault("import", "403")
    with pytest.raises(TargetError, match=r"cannot be used .*Authentication error"):
        remote.execute(INSERT, "writing a row")
    assert rows(table) == 0


@pytest.mark.parametrize(
    "kind",
    ["500", *(pytest.param(k, marks=pytest.mark.slow) for k in ("drop before", "429", "html"))],
)
def test_a_read_is_tried_again(remote: Wrangler, table: StandIn, kind: str) -> None:
    table.fault("query", kind, times=2)
    assert remote.read(["SELECT 1 AS n"]) == [[{"n": 1}]]
    assert remote.calls == 3


def test_what_a_replica_answers_is_not_taken(remote: Wrangler, table: StandIn) -> None:
    """It may be from before the change that is looked for."""
    table.query(INSERT)
    table.fault("query", "replica")
    assert remote.read(["SELECT a FROM t"]) == [[{"a": "written"}]]
    assert remote.calls == 2
    table.fault("query", "replica", times=9)
    with pytest.raises(TargetError, match="answered by a read replica"):
        remote.read(["SELECT a FROM t"])


def test_a_read_is_not_tried_for_ever(remote: Wrangler, table: StandIn) -> None:
    table.fault("query", "500", times=99)
    with pytest.raises(TargetError, match="Reading the D1 database app-db failed"):
        remote.read(["SELECT 1 AS n"])
    assert remote.calls == module.READ_ATTEMPTS


def test_the_token_is_in_no_file_and_no_message(
    app: Path, remote: Wrangler, table: StandIn, tmp_path: Path, tool: Tool
) -> None:
    table.fault("import", "html", match="ingest")
    with pytest.raises(OutcomeUnknown) as caught:
        remote.execute(INSERT, "writing a row")
    assert TOKEN not in repr(caught.value)
    assert TOKEN not in repr(vars(remote))
    assert TOKEN in table.requests("import")[0]["token"]  # it was used all the same
    for folder in (tmp_path, tool.script.parents[2]):
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_size < 1_000_000:
                assert TOKEN.encode() not in path.read_bytes(), path


def test_a_token_is_asked_for(app: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN", raising=False)
    with pytest.raises(TargetError, match="CLOUDFLARE_API_TOKEN is needed"):
        Wrangler(app / "wrangler.toml", "app-db", Where(local=False), tool=tool)


def test_an_id_is_asked_for(app: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    lines = [line for line in CONFIG.splitlines() if "database_id" not in line]
    (app / "wrangler.toml").write_text("\n".join(lines))
    with pytest.raises(TargetError, match="gives no database_id for app-db"):
        Wrangler(app / "wrangler.toml", "app-db", Where(local=False), tool=tool)


def test_a_remote_replica_is_exact(
    remote: Wrangler, wrangler: Wrangler, table: StandIn, tmp_path: Path
) -> None:
    table.query("INSERT INTO t VALUES (9007199254740993), ('a' || char(0)), (1e300 / 7), (x'00')")
    replicate(remote.read, tmp_path / "replica.db", pace=REMOTE)
    copy_state(wrangler.state_file, tmp_path / "copy.db")
    assert differences(tmp_path / "replica.db", tmp_path / "copy.db") == ()


@pytest.mark.parametrize("edition", [PINNED, pytest.param(NEWEST, marks=pytest.mark.slow)])
def test_an_import_keeps_every_byte(
    app: Path, remote: Wrangler, table: StandIn, edition: Edition
) -> None:
    """Unlike `migrations apply --remote` of 4.107 and later, to which CR LF is an obstacle."""
    if not edition.is_installed:
        pytest.skip("that wrangler is not installed")
    client = Wrangler(app / "wrangler.toml", "app-db", Where(local=False), tool=edition.tool())
    body = "BEGIN\r\n  SELECT 'x\r\ny';\r\nEND"
    client.execute(f"CREATE TRIGGER crlf AFTER INSERT ON t {body};\n\nSELECT 1;\n", "it")
    query = "SELECT hex(sql) AS h FROM sqlite_schema WHERE name = 'crlf'"
    ((row,),) = table.read([query])
    assert bytes.fromhex(row["h"]).decode() == f"CREATE TRIGGER crlf AFTER INSERT ON t {body}"


@pytest.mark.parametrize(
    ("action", "kind", "cause"),
    [
        ("bookmark", "404", "The database app could not be found"),
        ("query", "overloaded", "D1 DB is overloaded"),
    ],
)
def test_the_cause_of_a_failed_read_is_named(
    remote: Wrangler, table: StandIn, action: str, kind: str, cause: str
) -> None:
    table.fault(action, kind, times=9)
    with pytest.raises(TargetError, match=cause):
        remote.read(["SELECT 1"]) if action == "query" else remote.time_travel_bookmark()


@pytest.mark.parametrize("kind", ["500", pytest.param("hang", marks=pytest.mark.slow)])
def test_an_export_is_tried_once_and_not_for_ever(
    remote: Wrangler, table: StandIn, tmp_path: Path, kind: str
) -> None:
    table.fault("export", kind, times=9)
    with pytest.raises(TargetError, match=r"internal error|did not end within 4 s"):
        remote.export(tmp_path / "export.sql", seconds=4 if kind == "hang" else 60)
    assert remote.calls == 1
