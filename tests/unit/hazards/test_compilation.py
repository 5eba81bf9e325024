"""Views and triggers before and after: what breaks, what changes its meaning, and what is right."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runbook.hazards.compilation import probe_compiled
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import survey
from runbook.plan.plan import Plan, Resource, Users

PLAN = Plan(
    users=Users("users", "id"),
    resources=(Resource("folders", "user_id"), Resource("pages", "writer")),
)
SCHEMA = """
CREATE TABLE users (id TEXT PRIMARY KEY);
CREATE TABLE folders (folder_id INTEGER PRIMARY KEY, user_id TEXT, folder TEXT);
CREATE TABLE pages (page_id INTEGER PRIMARY KEY, folder_id INTEGER, writer TEXT, page TEXT);
CREATE TABLE teams (team TEXT, organization_id TEXT);
CREATE TABLE old (a, b, c);
CREATE TABLE log (line TEXT);
INSERT INTO users VALUES ('u1'), ('u2');
INSERT INTO folders VALUES (1, 'u1', 'Garden'), (2, 'u2', 'House');
INSERT INTO pages VALUES (1, 1, 'u1', 'Roses'), (2, 1, 'u2', 'Trees'), (3, 2, 'u1', 'Roof');
INSERT INTO teams VALUES ('red', 'org-u1'), ('blue', 'other');
"""


def build(path: Path, sql: str) -> None:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA + sql)


def sightings(path: Path) -> list[Sighting]:
    with closing(sqlite3.connect(path)) as connection:
        return list(probe_compiled(survey(connection, PLAN)))


def migrate(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("""
            ALTER TABLE folders ADD COLUMN organization_id TEXT;
            ALTER TABLE pages ADD COLUMN organization_id TEXT;
            UPDATE folders SET organization_id = 'org-' || user_id;
            UPDATE pages SET organization_id = 'org-' || writer;
        """)


def follow(path: Path, found: list[Sighting]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for sighting in found:
            connection.executescript(sighting.remedy)


def rows(path: Path, view: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.execute(f"SELECT * FROM {view}").fetchall(), key=repr)


CHANGED = {
    "natural join": "CREATE VIEW v AS SELECT folder, page FROM pages NATURAL JOIN folders",
    "star": "CREATE VIEW v AS SELECT page_id FROM (SELECT * FROM pages NATURAL JOIN folders)",
    "outer": "CREATE VIEW v AS SELECT folder, page FROM folders f NATURAL LEFT JOIN pages p",
    "with": "CREATE VIEW v AS WITH x AS (SELECT folder FROM pages NATURAL JOIN folders)"
    " SELECT count(*) AS n FROM x",
    "subquery": "CREATE VIEW v AS SELECT folder, (SELECT count(*) FROM pages AS p NATURAL JOIN"
    " folders AS f) AS n FROM folders",
    "query joined": "CREATE VIEW v AS SELECT folder, page FROM pages NATURAL JOIN"
    " (SELECT * FROM folders)",
    "brackets": "CREATE VIEW v AS SELECT folder, page FROM (pages NATURAL JOIN folders)",
    "using": "CREATE VIEW v AS SELECT a.team AS team, page FROM pages JOIN teams AS a JOIN teams AS t"
    " USING (organization_id)",
    "alias": "CREATE VIEW v AS SELECT folder_id AS organization_id, count(*) AS n FROM pages"
    " GROUP BY organization_id",
    "literal": 'CREATE VIEW v AS SELECT page, "organization_id" AS word FROM pages',
    "inner scope": "CREATE VIEW v AS SELECT team FROM teams WHERE EXISTS"
    " (SELECT 1 FROM folders WHERE organization_id = 'other')",
}


@pytest.mark.parametrize("sql", CHANGED.values(), ids=CHANGED)
def test_a_view_that_would_mean_something_else(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "app.db"
    build(path, sql)
    before = rows(path, "v")
    found = sightings(path)
    assert [(f.code, f.subject) for f in found] == [("new_column_read", "v")]
    follow(path, found)
    assert sightings(path) == []
    assert rows(path, "v") == before
    migrate(path)
    assert rows(path, "v") == before


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW v AS SELECT * FROM pages",
        "CREATE VIEW v AS SELECT * FROM pages JOIN folders USING (folder_id)",
        "CREATE VIEW v AS SELECT folder FROM folders WHERE EXISTS (SELECT * FROM pages)",
        "CREATE VIEW v AS SELECT count(*) AS n FROM (SELECT DISTINCT * FROM pages)",
        "CREATE VIEW v AS SELECT * FROM pages NATURAL JOIN old",
        "CREATE VIEW v AS SELECT * FROM gone NATURAL JOIN pages",
        "CREATE TRIGGER t AFTER UPDATE ON pages BEGIN INSERT INTO log SELECT NEW.page; END",
        "CREATE VIEW w AS SELECT nobodys(page) AS p FROM pages;"
        " CREATE TRIGGER t AFTER UPDATE ON pages BEGIN INSERT INTO log VALUES (nobodys(1)); END",
    ],
)
def test_what_only_shows_the_column_is_no_hazard(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "app.db"
    build(path, sql)
    assert sightings(path) == []


def test_a_view_over_a_changed_view_needs_no_change_itself(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    build(
        path,
        "CREATE VIEW v AS SELECT folder, page FROM pages NATURAL JOIN folders;"
        "CREATE VIEW w AS SELECT count(*) AS n FROM v;"
        "CREATE VIEW own AS SELECT n, folder FROM w, pages NATURAL JOIN folders;"
        "CREATE TRIGGER i INSTEAD OF INSERT ON v BEGIN INSERT INTO log VALUES (NEW.page); END;",
    )
    before = [rows(path, name) for name in ("v", "w", "own")]
    found = sightings(path)
    assert [f.subject for f in found] == ["v", "own"]
    follow(path, found)
    assert sightings(path) == []
    migrate(path)
    assert [rows(path, name) for name in ("v", "w", "own")] == before
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO v VALUES ('x', 'y')")
        assert connection.execute("SELECT * FROM log").fetchall() == [("y",)]


BROKEN = {
    "instead of": (
        "CREATE VIEW form AS SELECT folder_id, user_id, folder FROM folders;"
        "CREATE TRIGGER t INSTEAD OF INSERT ON form BEGIN"
        " INSERT INTO folders VALUES (NEW.folder_id, NEW.user_id, NEW.folder); END",
        "INSERT INTO form VALUES (9, 'u1', 'Roof')",
        "t on form",
    ),
    "another table": (
        "CREATE TRIGGER t AFTER INSERT ON log BEGIN INSERT INTO folders VALUES (9, 'u1', 'x'); END",
        "INSERT INTO log VALUES ('a')",
        "t on log",
    ),
    "star into another table": (
        "CREATE TRIGGER t AFTER DELETE ON pages BEGIN INSERT INTO old SELECT * FROM folders; END",
        "DELETE FROM pages WHERE page_id = 1",
        "t on pages",
    ),
    "star into the same": (
        "CREATE TRIGGER t AFTER DELETE ON log BEGIN"
        " INSERT OR REPLACE INTO folders SELECT * FROM old; END",
        "DELETE FROM log",
        "t on log",
    ),
    "natural join": (
        "CREATE TRIGGER t AFTER DELETE ON old BEGIN"
        " INSERT INTO log SELECT page FROM pages NATURAL JOIN folders; END",
        "DELETE FROM old",
        "t on old",
    ),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_a_trigger_that_would_break(tmp_path: Path, case: tuple[str, str, str]) -> None:
    sql, write, subject = case
    path = tmp_path / "app.db"
    fill = "INSERT INTO old VALUES (7, 'u1', 'z'); INSERT INTO log VALUES ('b');"
    tables = (
        "SELECT folder_id, user_id, folder FROM folders",
        "SELECT * FROM log",
        "SELECT * FROM old",
    )

    def written() -> list[list[tuple[object, ...]]]:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(write)
            return [connection.execute(t).fetchall() for t in tables]

    build(path, fill + sql)
    expected = written()
    build(path, fill + sql)
    found = sightings(path)
    assert [f.subject for f in found] == [subject]
    assert found[0].code == ("new_column_read" if "NATURAL" in sql else "writes_break")
    follow(path, found)
    assert sightings(path) == []
    migrate(path)
    assert written() == expected


def test_triggers_keep_their_order_when_one_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    build(
        path,
        "CREATE TABLE journal (what);"
        "CREATE TRIGGER a AFTER INSERT ON log BEGIN INSERT INTO journal VALUES ('a'); END;"
        "CREATE TRIGGER b AFTER INSERT ON log BEGIN INSERT INTO journal VALUES ('b');"
        " INSERT INTO folders VALUES (NULL, 'u1', 'x'); END;"
        "CREATE TRIGGER c AFTER INSERT ON log BEGIN INSERT INTO journal VALUES ('c'); END;",
    )

    def order() -> str:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM journal")
            connection.execute("INSERT INTO log VALUES ('x')")
            connection.commit()
            return "".join(w for (w,) in connection.execute("SELECT what FROM journal"))

    before = order()
    found = sightings(path)
    assert [f.subject for f in found] == ["b on log"]
    follow(path, found)
    assert order() == before


def test_random_views_mean_the_same_or_are_found(tmp_path: Path) -> None:
    draw = random.Random(13)
    for number in range(60):
        kinds = draw.choices(
            ["NATURAL JOIN", "NATURAL LEFT JOIN", "JOIN", "LEFT JOIN", ",", "CROSS JOIN"], k=2
        )
        names = draw.sample(["pages", "folders", "teams", "old", "(SELECT * FROM pages)"], 3)
        source = names[0]
        for kind, name, alias in zip(kinds, names[1:], ("b", "c"), strict=True):
            source += f" {kind} {name} AS {alias}"
        what = draw.choice(["*", "count(*) AS n", "DISTINCT *"])
        path = tmp_path / f"{number}.db"
        build(path, f"CREATE VIEW v AS SELECT {what} FROM {source}")
        with closing(sqlite3.connect(path)) as connection:
            columns = [d[0] for d in connection.execute("SELECT * FROM v LIMIT 0").description]
        shown = ", ".join(f'"{c}"' for c in columns)

        def counted(path: Path = path, shown: str = shown) -> list[tuple[object, ...]]:
            with closing(sqlite3.connect(path)) as connection:
                return sorted(connection.execute(f"SELECT {shown} FROM v").fetchall(), key=repr)

        before = counted()
        found = sightings(path)
        follow(path, found)
        assert counted() == before
        assert sightings(path) == []
        migrate(path)
        assert counted() == before, (source, found)
