"""What a person can ask of a run's snapshots, what stays hidden, and what is said when it fails."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from runbook.audit.cells_file import read_classes
from runbook.audit.snapshot import capture
from runbook.cli import main
from runbook.errors import BadInput, NotAllowedNow
from runbook.notebook import explore, explore_magic, sql
from runbook.notebook.explore_answer import ask
from runbook.notebook.explore_run import close_all
from runbook.run.folder import Run
from runbook.sample.make import make_sample
from tests.support.databases import execute
from tests.support.exploring import exploring
from tests.support.paths import ROOT
from tests.support.prepared import Prepared
from tests.support.runs import begin, to_the_end, until_snapshot


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    close_all()


@pytest.fixture
def run(prepared: Prepared) -> Run:
    """A run of a sample, verified."""

    def prepare(folder: Path) -> Run:
        make_sample(folder / "sample.db", users=30, projects=100)
        return to_the_end(begin(folder / "sample.db", folder / "run"))

    return prepared.take("explored", prepare)


def by_sqlite(run: Run, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(run.info.database)) as connection:
        return connection.execute(query).fetchall()


def answered(run: Run, query: str, **options: bool) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in sql(run, query, **options).itertuples(index=False)]


def test_tables_stand_under_their_own_names_with_sqlites_values(run: Run) -> None:
    query = "SELECT id, email, name, created_at FROM {}users ORDER BY id"
    assert answered(run, query.format("after."), show_values=True) == by_sqlite(
        run, query.format("")
    )


def test_changes_are_the_cells_that_differ(run: Run) -> None:
    changed = answered(
        run, "SELECT id, old_class, new FROM changes.projects WHERE column_name = 'organization_id'"
    )
    now = by_sqlite(run, "SELECT id, 'absent', organization_id FROM projects")
    assert sorted(changed) == sorted(now)
    kinds = answered(run, "SELECT DISTINCT change, column_name FROM changes.projects ORDER BY ALL")
    assert kinds == [("changed", "organization_id"), ("changed", "updated_at")]
    assert answered(run, "SELECT count(*) FROM changes.users") == [(0,)]
    organizations = by_sqlite(run, "SELECT count(*) FROM organizations")
    assert answered(run, "SELECT count(*) FROM changes.organizations WHERE change = 'came'") == (
        organizations
    )


def test_changes_are_the_same_without_the_audits_digests(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the digests prove only saves work."""
    query = "FROM changes.projects ORDER BY ALL"
    quick = answered(run, query)
    close_all()
    monkeypatch.setattr("runbook.notebook.explore_run._compared", lambda *_: {})
    try:
        assert str(answered(run, query)) == str(quick)
    finally:
        close_all()


def test_the_usual_questions(run: Run) -> None:
    sizes = by_sqlite(
        run,
        "SELECT organization_id, count(*) FROM projects GROUP BY 1 ORDER BY 2 DESC, 1",
    )
    query = "SELECT organization_id, number_of_rows FROM largest_organizations"
    assert answered(run, query) == sizes
    assert sorted(
        answered(run, "SELECT organization_id, number_of_rows FROM who_owns_what")
    ) == sorted(sizes)
    members = by_sqlite(run, "SELECT organization_id, user_id, role FROM organization_memberships")
    assert sorted(answered(run, "SELECT organization_id, user_id, role FROM members")) == (
        sorted(members)
    )
    assert answered(run, "FROM rows_of_users WHERE rows_before <> rows_after") == []
    owned = by_sqlite(run, "SELECT owner_id, count(*) FROM projects GROUP BY 1 ORDER BY 1")
    assert answered(run, "SELECT user_id, rows_before FROM rows_of_users ORDER BY 1") == owned


ATTEMPTS = [
    "SELECT * FROM {schema}.users",
    "SELECT max(email), min(name), string_agg(email, ',') FROM {schema}.users",
    "SELECT DISTINCT substr(email, 1, 4), reverse(name) FROM {schema}.users",
    "SELECT a.email FROM {schema}.users AS a JOIN {schema}.users AS b ON a.email = b.email",
    "SELECT to_json(u), u FROM {schema}.users AS u",
    "SELECT histogram(email), list(name) FROM {schema}.users",
    "SELECT CAST(email AS BLOB), encode(name) FROM {schema}.users",
    "SELECT old, new FROM changes.organizations",
    "SELECT * FROM who_owns_what",
    "SELECT * FROM members",
    "SELECT * FROM rows_of_users",
    "SELECT * FROM largest_organizations",
    "SELECT id FROM {schema}.users WHERE email LIKE 'a%' OR name < 'B'",
    "SUMMARIZE {schema}.users",
    "SELECT * FROM duckdb_views()",
    "EXPLAIN ANALYZE SELECT email FROM {schema}.users",
    "SELECT * FROM '{file}'",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM parquet_metadata('{file}')",
    "SELECT content FROM read_blob('{file}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM python_arrow_scan()",
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nothing_gets_behind_the_mask(run: Run, attempt: str) -> None:
    table = next(t for t in json_of(run)["tables"] if t["name"] == "users")
    file = run.before / table["file"]
    query = attempt.format(schema="before", file=file, folder=run.before)
    hidden = (
        "SELECT email FROM users UNION SELECT name FROM users UNION SELECT name FROM organizations"
    )
    secrets = [secret for (secret,) in by_sqlite(run, hidden)]
    for text in (from_sql(run, query), from_connection(explore(run), query)):
        assert not [s for s in secrets if s in text or s.encode().hex() in text.lower()]
        assert str(run.folder) not in text.replace(query, ""), "the views do not name the files"


def json_of(run: Run) -> dict[str, Any]:
    with (run.before / "snapshot.json").open(encoding="utf-8") as file:
        return dict(json.loads(file.read().split("\n{", 1)[0]))


def from_sql(run: Run, query: str) -> str:
    try:
        return sql(run, query).to_csv()
    except BadInput as error:
        return str(error).replace(query, "")


def from_connection(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    try:
        return str(connection.sql(query).fetchall())
    except (duckdb.Error, AttributeError) as error:
        return re.sub(r'"/[^"]*"', "", str(error).split("\n\nLINE")[0])


def test_values_cannot_be_tried_out(run: Run) -> None:
    ((email,),) = by_sqlite(run, "SELECT email FROM users ORDER BY id LIMIT 1")
    assert answered(run, f"SELECT count(*) FROM before.users WHERE email = '{email}'") == [(0,)]
    assert answered(run, f"SELECT id, name FROM before.users WHERE email = '{email}'") == []
    count = "SELECT count(*) FROM before.users WHERE email LIKE '%@%' OR contains(email, 'example')"
    assert answered(run, count) == [(0,)]
    assert answered(run, count, show_values=True) == [(30,)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE x (n INTEGER)",
        "INSERT INTO before.users VALUES (1)",
        "UPDATE before.users SET name = ''",
        "DELETE FROM before.users",
        "DROP VIEW before.users",
        "COPY before.users TO '{folder}/users.csv'",
        "COPY before.users TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
        "ATTACH '{folder}/other.db'",
        "EXPORT DATABASE '{folder}/out'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "WITH x AS (INSERT INTO before.users VALUES (1) RETURNING *) SELECT * FROM x",
        "SELECT 1; DROP VIEW before.users",
    ],
)
def test_a_statement_that_writes_is_refused_in_one_sentence(run: Run, statement: str) -> None:
    files = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in run.before.glob("*")}
    file = next(path for path in files if path.name.endswith("users.parquet"))
    with pytest.raises(BadInput) as refused:
        sql(run, statement.format(folder=run.before, file=file))
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith((".", "?"))
    if statement.startswith(("COPY", "ATTACH", "EXPORT", "SET", "INSTALL")):
        with pytest.raises(duckdb.Error):  # and not from the connection either
            explore(run).execute(statement.format(folder=run.before, file=file)).fetchall()
    present = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in run.before.glob("*")}
    assert present == files


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("FROM before.projcts", 'no table "before.projcts"; did you mean before.projects?'),
        ("FROM users", 'no table "users"; did you mean after.users or before.users'),
        ("FROM nothing_like_it", "SHOW ALL TABLES"),
        ("SELECT nope FROM before.users", '"nope" not found'),
        ("SELEC 1", "syntax error"),
        ("", "empty"),
        ("SELECT '\udcff'", "not valid UTF-8"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("FROM read_csv('/etc/passwd')", "no other file"),
    ],
)
def test_what_is_wrong_is_one_sentence(run: Run, query: str, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        sql(run, query)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_not_there_yet(prepared: Prepared, tmp_path: Path) -> None:
    make_sample(tmp_path / "sample.db", users=5, projects=10)
    run = begin(tmp_path / "sample.db", tmp_path / "run")
    with pytest.raises(NotAllowedNow, match="03_snapshot"):
        sql(run, "SELECT 1")
    until_snapshot(run)
    assert answered(run, "SELECT count(*) FROM before.projects") == [(10,)]
    for query in ("FROM after.projects", "FROM changes.projects", "FROM largest_organizations"):
        with pytest.raises(NotAllowedNow, match="05_verify"):
            sql(run, query)
    close_all()


def test_integers_stay_integers_beside_null(run: Run) -> None:
    frame = sql(run, "SELECT * FROM (VALUES (9007199254740993), (NULL)) AS t(n) ORDER BY n")
    assert frame["n"].tolist()[0] == 9007199254740993
    assert str(sql(run, "SELECT sum(n) AS s FROM range(3) AS t(n)")["s"].dtype) == "Int64"


def test_the_relational_api_and_cells_of_sql(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    relation = explore(run).table("before.projects").aggregate("count(*) AS n")
    assert relation.fetchall() == [(100,)]

    class Shell:
        def __init__(self) -> None:
            self.magics_manager = SimpleNamespace(magics={"cell": {}})
            self.pushed: dict[str, Any] = {}

        def register_magic_function(self, call: Any, magic_kind: str, magic_name: str) -> None:
            self.magics_manager.magics[magic_kind][magic_name] = call

        def push(self, values: dict[str, Any]) -> None:
            self.pushed |= values

    shell = Shell()
    monkeypatch.setattr(explore_magic, "shell", lambda: shell)
    explore(run)
    explore(run)
    cell = shell.magics_manager.magics["cell"]["sql"]
    assert cell("kept", "SELECT count(*) AS n FROM before.projects")["n"].tolist() == [100]
    assert shell.pushed["kept"]["n"].tolist() == [100]
    with pytest.raises(BadInput, match="one variable"):
        cell("two words", "SELECT 1")


def test_a_result_left_open_disturbs_no_answer(run: Run) -> None:
    explore(run).execute("SELECT * FROM before.projects")
    assert answered(run, "SELECT count(*) FROM before.projects") == [(100,)]
    explore(run).close()
    assert answered(run, "SELECT count(*) FROM before.projects") == [(100,)], "opened anew"


def test_what_a_kill_left_is_swept_and_what_is_in_use_is_not(run: Run) -> None:
    close_all()
    leftover = run.before.parent / ".explore-killed"
    leftover.mkdir()
    explore(run)
    assert not leftover.exists()
    (mine,) = run.before.parent.glob(".explore-*")
    explore(run, show_values=True)
    assert mine.exists()
    close_all()
    assert not list(run.before.parent.glob(".explore-*"))


def test_in_a_terminal(run: Run) -> None:
    def called(*arguments: str) -> tuple[int, str]:
        ended = CliRunner().invoke(main, ["sql", "--run-dir", str(run.folder), *arguments])
        return ended.exit_code, ended.output

    query = "SELECT id, NULL AS n, '' AS e, 'a,b' AS q, 1.5::DOUBLE AS r FROM before.users ORDER BY id LIMIT 1"
    code, text = called(query)
    assert code == 0
    assert re.search(r"id +n +e +q +r\nusr_00000000 ", text)
    assert called(query, "--csv") == (0, 'id,n,e,q,r\nusr_00000000,,"","a,b",1.5\n')
    row = {"id": "usr_00000000", "n": None, "e": "", "q": "a,b", "r": 1.5}
    code, text = called("--json", query)
    assert json.loads(text) == row
    assert "•••" in called("SELECT email FROM before.users")[1]
    assert "@" in called("--show-values", "SELECT email FROM before.users")[1]
    assert called("DROP VIEW before.users")[0] == 2


def test_users_named_by_their_email_are_joined_and_counted_rightly(tmp_path: Path) -> None:
    database, plan = tmp_path / "app.db", tmp_path / "plan.toml"
    execute(
        database,
        "CREATE TABLE users (email TEXT PRIMARY KEY)",
        "CREATE TABLE projects (id INTEGER PRIMARY KEY, owner_id TEXT, updated_at TEXT)",
        "INSERT INTO users VALUES ('ada@example.com'), ('bob@example.com')",
        "INSERT INTO projects VALUES (1, 'ada@example.com', NULL), (2, 'bob@example.com', NULL),"
        " (3, 'bob@example.com', NULL)",
    )
    plan.write_text(
        '[users]\ntable = "users"\nkey = "email"\nemail = "email"\n'
        '[[resources]]\ntable = "projects"\nowner = "owner_id"\n'
    )
    run = to_the_end(begin(database, tmp_path / "run", plan))
    joined = sql(
        run,
        "SELECT u.email, count(*) AS n FROM before.users AS u"
        " JOIN before.projects AS p ON p.owner_id = u.email GROUP BY 1 ORDER BY 2",
    )
    assert joined["n"].tolist() == [1, 2], "the mask of each is as long as the other's"
    assert "example" not in str(joined["email"].tolist())
    assert answered(run, "SELECT rows_before, rows_after FROM rows_of_users ORDER BY 1") == [
        (1, 1),
        (2, 2),
    ]
    close_all()


def test_odd_names_and_mixed_columns(tmp_path: Path) -> None:
    database = tmp_path / "odd.db"
    execute(
        database,
        "CREATE TABLE before (before, rowid, x_class, x)",
        "INSERT INTO before VALUES (1, 2, 'c', 1), (2, 3, 'd', 'a'), (3, 4, 'e', x'00ff')",
        'CREATE TABLE "É" ("" , "select")',
        'CREATE TABLE "é" (price NUMERIC, big NUMERIC)',
        "INSERT INTO é VALUES (1, 9007199254740993), (1.5, 0.5)",
        'INSERT INTO "É" VALUES (1, 2)',
        "CREATE TABLE empty (a, b)",
        "CREATE TABLE g (a INTEGER, b AS (a + 1), c AS (a * 2) STORED)",
        "INSERT INTO g (a) VALUES (1)",
    )
    captured = capture(database, tmp_path / "out")
    with exploring(captured, captured) as connection:

        def rows(query: str) -> list[dict[str, Any]]:
            return list(ask(connection, query).to_pylist())

        assert rows("SELECT * FROM before.before ORDER BY before") == [
            {"before": 1, "rowid": 2, "x_class": "c", "x": "1", "_x_class": "integer"},
            {"before": 2, "rowid": 3, "x_class": "d", "x": "a", "_x_class": "text"},
            {"before": 3, "rowid": 4, "x_class": "e", "x": "00FF", "_x_class": "blob"},
        ]
        assert rows('FROM before."É"') == [{"_": 1, "select": 2}]
        assert rows('FROM before."é" ORDER BY price') == [
            {
                "price": 1.0,
                "price_class": "integer",
                "big": "9007199254740993",
                "big_class": "integer",
            },
            {"price": 1.5, "price_class": "real", "big": "0.5", "big_class": "real"},
        ]
        assert rows("FROM before.empty") == []
        assert rows("FROM before.g") == [{"a": 1, "b": 2, "c": 2}]
        assert rows("FROM changes.before") == []


def test_files_say_how_their_cells_are_encoded(tmp_path: Path) -> None:
    database = tmp_path / "t.db"
    execute(
        database,
        "CREATE TABLE t (a, b)",
        "INSERT INTO t VALUES (1, NULL), ('x', NULL), (CAST(x'ff' AS TEXT), NULL)",
    )
    one, two = (capture(database, tmp_path / name) for name in ("one", "two"))
    (file,) = (one.path(table) for table in one.tables)
    assert file.read_bytes() == two.path(two.tables[0]).read_bytes()
    metadata = pq.read_metadata(file).metadata
    assert b"n is NULL" in metadata[b"runbook.cells"]
    assert metadata[b"runbook.encoding"] == b"UTF-8"
    assert json.loads(metadata[b"runbook.classes"]) == {
        "a": ["integer", "invalid text", "other text", "text"],
        "b": ["null"],
    }
    # A file of an earlier release has no metadata, and is read instead.
    older = tmp_path / "older.parquet"
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata(None), older)
    assert read_classes(older, ("a", "b"), "UTF-8") == read_classes(file, ("a", "b"), "UTF-8")


def test_the_page_on_snapshots_decodes_them_without_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "app.db"
    execute(
        database,
        "CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id, organization_id, n)",
        "INSERT INTO projects VALUES ('p1', 'ada', NULL, -0.5), ('p2', NULL, 'o', x'00ff'),"
        " ('p3', NULL, NULL, 42)",
    )
    captured = capture(database, tmp_path / "out")
    captured.path(captured.tables[0]).rename(tmp_path / "projects.parquet")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "snapshots.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len([line for line in lines.splitlines() if line]) == 5
    names: dict[str, Any] = {}
    exec(lines, names)
    assert names["values"] == [
        {"id": "p1", "owner_id": "ada", "organization_id": None, "n": -0.5},
        {"id": "p2", "owner_id": None, "organization_id": "o", "n": b"\x00\xff"},
        {"id": "p3", "owner_id": None, "organization_id": None, "n": 42},
    ]
    about, without = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    with closing(duckdb.connect()) as connection:
        assert "runbook.classes" in dict(connection.execute(about).fetchall())
        assert connection.execute(without).fetchall() == [("p1", "ada"), ("p3", None)]
        never = "SELECT count(*) FROM 'projects.parquet' WHERE organization_id IS NULL"
        assert connection.execute(never).fetchone() == (0,), "as the page warns"
