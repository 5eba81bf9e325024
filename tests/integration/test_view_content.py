"""What views return is compared: what changes is found and named, what does not change passes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.audit import view_content
from runbook.audit.view_content import ViewsCompared, compare_views
from runbook.audit.view_program import same_program
from runbook.errors import NotProven
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.plan.plan import Plan, Resource, Triggers
from runbook.plan.shape import Shape
from runbook.sqlite.connect import attach_immutable
from runbook.targets.sqlite import SqliteTarget
from tests.support.databases import dump

PLAN = Plan(
    resources=(Resource("folders", "user_id", "updated_at"), Resource("pages", "writer", None))
)
SHAPE = Shape(derived={"folders": ("day",)})
TABLES = """
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT);
CREATE TABLE folders (folder_id INTEGER PRIMARY KEY, user_id TEXT, folder TEXT, updated_at TEXT,
    day TEXT AS (substr(updated_at, 1, 10)));
CREATE TABLE pages (page_id INTEGER PRIMARY KEY, folder_id INTEGER, writer TEXT, page TEXT);
CREATE TABLE other (x, y REAL);
INSERT INTO folders VALUES (1, 'u1', 'Garden', '2024-01-01'), (2, 'u2', 'House', '2024-01-02');
INSERT INTO pages VALUES (1, 1, 'u1', 'Roses'), (2, 1, 'u2', 'Trees'), (3, 2, 'u1', 'Roof');
INSERT INTO other VALUES (1, -0.0), ('1', 1), (x'31', NULL), (1, 2.5), (1, 2.5);
CREATE TRIGGER touch AFTER UPDATE ON folders BEGIN SELECT RAISE(ABORT, 'not now'); END;
"""
MIGRATION = """
DROP TRIGGER touch;
CREATE TABLE organizations (id TEXT PRIMARY KEY);
ALTER TABLE folders ADD COLUMN organization_id TEXT REFERENCES organizations(id);
ALTER TABLE pages ADD COLUMN organization_id TEXT REFERENCES organizations(id);
UPDATE folders SET organization_id = 'org-' || user_id, updated_at = '2026-01-01';
UPDATE pages SET organization_id = 'org-' || writer;
CREATE TRIGGER touch AFTER UPDATE ON folders BEGIN SELECT RAISE(ABORT, 'not now'); END;
"""
SAME = {
    "using": "SELECT folder, page FROM pages JOIN folders USING (folder_id)",
    "star": "SELECT * FROM pages",
    "two stars": "SELECT * FROM pages AS p JOIN folders AS f ON p.folder_id = f.folder_id",
    "others": "SELECT * FROM other",
    "time": "SELECT folder, updated_at, day FROM folders",
    "recent": "SELECT count(*) AS n FROM folders WHERE updated_at < '2025'",
    "generated": "SELECT day, count(*) FROM folders GROUP BY day",
    "two times": "SELECT max(f.updated_at) FROM pages NATURAL JOIN (SELECT folder_id, updated_at FROM folders) AS f",
    "clock": "SELECT page, strftime('%f', 'now') FROM pages",
    "empty": "SELECT * FROM other WHERE 0",
    "of a view": "SELECT * FROM star UNION ALL SELECT * FROM star",
}
CHANGED = {
    "natural": "SELECT folder, page FROM pages NATURAL JOIN folders",
    "natural left": "SELECT page, folder FROM pages NATURAL LEFT JOIN folders",
    "times": "SELECT folder, updated_at FROM pages NATURAL JOIN folders",
    "union": "SELECT * FROM (SELECT * FROM pages) UNION SELECT page_id, 0, 'w', 'p', 'q' FROM pages",
    "in": "SELECT page FROM pages WHERE (page_id, folder_id, writer, page) IN (SELECT * FROM pages)",
    "count": "SELECT count(*) AS n FROM pages NATURAL JOIN folders",
    "more": "SELECT page FROM pages WHERE page_id NOT IN (SELECT page_id FROM pages NATURAL JOIN folders)",
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@contextlib.contextmanager
def migrated(path: Path, views: dict[str, str], *more: str) -> Iterator[sqlite3.Connection]:
    """A transaction in which everything was migrated, with the backup attached."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(TABLES)
        for name, text in views.items():
            connection.execute(f'CREATE VIEW "{name}" AS {text}')
        backup = path.with_name("backup.db")
        with contextlib.closing(sqlite3.connect(backup)) as copy:
            connection.backup(copy)
        attach_immutable(connection, backup)
        connection.execute("BEGIN IMMEDIATE")
        for statement in (*MIGRATION.split(";\n")[:6], *more):
            connection.execute(statement)
        connection.execute(
            "CREATE TRIGGER touch AFTER UPDATE ON folders BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        yield connection


def compare(connection: sqlite3.Connection, plan: Plan = PLAN, **how: object) -> ViewsCompared:
    before = connection.execute("SELECT * FROM folders").fetchall()
    found = compare_views(connection, plan, SHAPE, **how)  # type: ignore[arg-type]
    assert connection.execute("SELECT * FROM folders").fetchall() == before
    assert connection.in_transaction
    return found


def test_views_that_mean_the_same_pass(database: Path) -> None:
    with migrated(database, SAME) as connection:
        found = compare(connection)
    assert found == ViewsCompared((), len(SAME), ())


@pytest.mark.parametrize("name", CHANGED)
def test_a_view_that_returns_something_else_is_named(database: Path, name: str) -> None:
    with migrated(database, {**SAME, name: CHANGED[name]}) as connection:
        found = compare(connection)
    if name in ("union", "in"):  # it works no more, or never compiled
        assert [f.table for f in found.findings] in ([name], [])
        assert found.findings or name == "union"
    else:
        assert [f.table for f in found.findings] == [name]
    assert all(f'the view "{name}"' in f.message for f in found.findings)


def test_values_are_compared_strictly(database: Path) -> None:
    change = "UPDATE other SET x = 0.0 WHERE rowid = 5"
    with migrated(database, {"other v": "SELECT -x * 0.0 AS z FROM other"}, change) as connection:
        assert [f.table for f in compare(connection).findings] == ["other v"]


@pytest.mark.parametrize("value", ["1.0", "'1'", "x'31'", "NULL", "2"])
def test_the_storage_class_counts(database: Path, value: str) -> None:
    change = f"UPDATE other SET x = {value} WHERE rowid = 5"
    with migrated(database, {"v": "SELECT x FROM other"}, change) as connection:
        assert [f.table for f in compare(connection).findings] == ["v"]


def test_rows_that_differ_in_number_only(database: Path) -> None:
    change = "DELETE FROM other WHERE rowid = 5"
    with migrated(database, {"v": "SELECT DISTINCT x, y FROM other"}, change) as connection:
        assert compare(connection).findings == ()
    database.unlink()
    database.with_name("backup.db").unlink()
    with migrated(database, {"v": "SELECT x, y FROM other"}, change) as connection:
        (finding,) = compare(connection).findings
    assert "returned 5 rows before and returns 4" in finding.message


def test_text_that_is_not_utf8_and_rows_in_another_order(database: Path) -> None:
    views = {
        "bytes": "SELECT CAST(x'61E9' AS TEXT) AS t, x FROM other",
        "order": "SELECT page, writer FROM pages ORDER BY (SELECT count(*) FROM other), page",
    }
    with migrated(database, views) as connection:
        assert compare(connection) == ViewsCompared((), 2, ())


def test_what_failed_before_may_fail_after(database: Path) -> None:
    views = {
        "compile": "SELECT * FROM no_table",
        "function": "SELECT unheard_of(page) FROM pages",
        "json": "SELECT json_extract(page, '$.a') FROM pages",
    }
    with migrated(database, views) as connection:
        found = compare(connection)
    assert found.findings == ()
    assert [text.split(":")[0] for text in found.left_out] == ['the view "json"']


def test_what_fails_only_now_is_found(database: Path) -> None:
    views = {"json": "SELECT json_extract(x, '$.a') FROM other WHERE rowid = 1"}
    change = "UPDATE other SET x = '{'"
    with migrated(database, views, change) as connection:
        (finding,) = compare(connection).findings
    assert "fails now" in finding.message


def test_chance_schema_and_written_tables_are_left_out_by_name(database: Path) -> None:
    views = {
        "chance": "SELECT random() AS r FROM pages",
        "schema": "SELECT name FROM sqlite_master",
        "columns": "SELECT name FROM pragma_table_info('pages')",
        "written": "SELECT * FROM other",
    }
    plan = Plan(resources=PLAN.resources, triggers=Triggers("fire", ("other",)))
    with migrated(database, views, "INSERT INTO other VALUES (1, 1)") as connection:
        found = compare(connection, plan)
    assert found.findings == ()
    assert [text.split('"')[1] for text in found.left_out] == list(views)


def test_a_view_without_end_is_left_out_by_name(database: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n"
    with migrated(database, {"endless": endless, **SAME}) as connection:
        found = compare(connection, seconds=0.5)
    assert found.findings == ()
    assert found.left_out[0].endswith("took more than 0.5 s")
    assert found.compared == len(SAME)


def test_after_the_commit_views_of_times_are_compared_by_columns(database: Path) -> None:
    with migrated(database, SAME) as connection:
        found = compare(connection, witness="sqlite")
    assert found.findings == ()
    assert len(found.left_out) == 5


@pytest.mark.parametrize("join", ["NATURAL JOIN folders", "JOIN folders USING (folder_id, org)"])
def test_the_gate_refuses_a_view_that_means_something_else(tmp_path: Path, join: str) -> None:
    path = tmp_path / "app.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT);
            INSERT INTO users VALUES ('u1', NULL), ('u2', NULL);
            CREATE TABLE folders (folder_id TEXT PRIMARY KEY, user_id TEXT, at TEXT, org) WITHOUT ROWID;
            CREATE TABLE pages (page_id INTEGER PRIMARY KEY, folder_id TEXT, writer TEXT, org);
            INSERT INTO folders VALUES ('f', 'u1', '2024-01-01 00:00:00', 1);
            INSERT INTO pages VALUES (1, 'f', 'u1', 1), (2, 'f', 'u2', 1);
            """
            f"""
            CREATE VIEW contents AS SELECT page_id, at FROM pages {join};
            CREATE VIEW all_pages AS SELECT * FROM pages;
            """
        )
    plan = Plan(resources=(Resource("folders", "user_id", "at"), Resource("pages", "writer")))
    target = SqliteTarget(path)
    target.backup(tmp_path / "backup.db")
    job = Job(target, plan, "run", tmp_path / "backup.db")
    if "USING" in join:
        assert migrate(job).committed
        return
    before = dump(path)
    with pytest.raises(NotProven, match='the view "contents" returned 2 rows before and returns 1'):
        migrate(job)
    assert dump(path) == before


@pytest.mark.parametrize("name", CHANGED)
def test_a_large_view_that_means_something_else_is_named(
    database: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Also where it would be left unread if SQLite read it by the same steps."""
    monkeypatch.setattr(view_content, "PATIENCE", -1)
    monkeypatch.setattr(view_content, "_ROWS_AT_ONCE", 1)
    with migrated(database, {**SAME, name: CHANGED[name]}) as connection:
        found = compare(connection)
    assert [f.table for f in found.findings] == ([] if name == "union" else [name])


STEPS = {
    "using": True,
    "two stars": True,
    "others": True,
    "generated": True,
    "of a view": True,
    "natural": False,
    "count": False,
    "string": False,
    "outer": False,
    "first": False,
    "aggregate": True,
}
"""Views, and whether SQLite reads them by the same steps as before."""

MEANT = {
    # A name in double quotes is a text until there is such a column.
    "string": 'SELECT page, "organization_id" AS o FROM pages',
    # The name is the outer table's until the inner one has such a column.
    "outer": "SELECT x, (SELECT max(organization_id) FROM pages) AS o"
    " FROM (SELECT x, 7 AS organization_id FROM other)",
    # The new index is smaller than the table, and in another order.
    "first": "SELECT page_id FROM pages LIMIT 1",
    "aggregate": "SELECT writer, group_concat(page) AS pages FROM pages GROUP BY writer",
}


@pytest.mark.parametrize("name", STEPS)
def test_the_same_steps_are_the_same_meaning(
    database: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    views = {**SAME, **CHANGED, **MEANT}
    index = "CREATE INDEX by_organization ON pages(organization_id)"
    chosen = {n: views[n] for n in dict.fromkeys(("star", name))}
    with migrated(database, chosen, index) as connection:
        columns = connection.execute(f'SELECT * FROM before."{name}"').description
        assert same_program(connection, name, tuple(c[0] for c in columns)) is STEPS[name]
        thorough = compare(connection)
        monkeypatch.setattr(view_content, "PATIENCE", -1)
        monkeypatch.setattr(view_content, "_ROWS_AT_ONCE", 1)
        assert compare(connection) == thorough
