"""Each hazard in the schema, planted in a real database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runbook.hazards import inspect_database
from runbook.hazards.sighting import check_levels
from runbook.plan.plan import Plan, Resource, Triggers, Users
from runbook.plan.shape import read_shape
from runbook.script.migration import render
from runbook.sqlite.connect import open_readonly

from .conftest import SCHEMA, Plant, look, run_sql, shown

TRIGGER = """
CREATE TABLE audit_log (project TEXT);
CREATE TABLE totals (n INTEGER);
CREATE TRIGGER log_change AFTER UPDATE ON projects BEGIN
    INSERT INTO audit_log VALUES (NEW.id);
END;
CREATE TRIGGER count_log AFTER INSERT ON audit_log BEGIN UPDATE totals SET n = n + 1; END;
"""


@pytest.mark.parametrize(
    ("sql", "code", "level", "subject"),
    [
        ("DROP TABLE projects", "table_missing", "block", "projects"),
        ("ALTER TABLE projects RENAME owner_id TO o", "column_missing", "block", "projects.owner"),
        ("CREATE TABLE organizations (x)", "names_taken", "block", "table organizations"),
        ("CREATE VIEW organization_memberships AS SELECT 1", "names_taken", "block", "view"),
        ("CREATE INDEX idx_memberships_user ON users(name)", "names_taken", "block", "index"),
        ("CREATE INDEX Idx_Projects_Org ON users(name)", "names_taken", "block", "index"),
        ("CREATE TABLE runbook_guard (x)", "names_taken", "block", "table runbook_guard"),
        ("CREATE TABLE runbook_ledger (x)", "ledger_taken", "block", "runbook_ledger"),
        (
            "ALTER TABLE projects ADD Organization_Id; UPDATE projects SET organization_id = 9",
            "column_taken",
            "block",
            "projects.Organization_Id",
        ),
        ("CREATE VIEW v AS SELECT * FROM projects", "views_select_star", "warn", "v"),
        ("CREATE VIEW v AS SELECT * FROM gone", "views_broken", "warn", "v"),
        (
            "CREATE VIEW v AS SELECT * FROM projects UNION SELECT 1, 2, 3, 4",
            "views_break",
            "block",
            "v",
        ),
        (
            "CREATE TABLE old (a, b, c, d); CREATE TRIGGER t AFTER DELETE ON projects BEGIN"
            " INSERT INTO old SELECT * FROM projects; END",
            "writes_break",
            "block",
            "projects",
        ),
        (
            "CREATE TABLE x (a); CREATE TRIGGER t AFTER DELETE ON x BEGIN"
            " DELETE FROM gone WHERE id = 1; END",
            "column_cannot_be_dropped",
            "warn",
            "projects.organization_id",
        ),
        (
            "CREATE TABLE r (p TEXT REFERENCES projects(title))",
            "foreign_keys_mismatched",
            "block",
            "r",
        ),
        ("CREATE INDEX i ON projects(title) WHERE title > 'a'", "special_indexes", "note", ""),
        ("CREATE INDEX i ON projects(lower(title))", "special_indexes", "note", "projects"),
        (
            "CREATE TABLE t (u TEXT REFERENCES users(id) ON DELETE CASCADE)",
            "cascades",
            "note",
            "users",
        ),
        (
            "ALTER TABLE projects ADD COLUMN up TEXT AS (upper(title))",
            "generated_columns",
            "note",
            "projects",
        ),
    ],
)
def test_planted(plant: Plant, sql: str, code: str, level: str, subject: str) -> None:
    found = plant(sql)
    hazard = found[code][0]
    assert hazard.level == level
    assert subject in hazard.subject
    assert hazard.remedy
    assert len(found) == 1, found


@pytest.mark.parametrize(
    ("change", "code", "level"),
    [
        (("TEXT PRIMARY KEY, email", "TEXT, email"), "key_without_unique_index", "block"),
        (("id TEXT PRIMARY KEY,\n", "id TEXT,\n"), "table_without_key", "note"),
        (("updated_at TEXT\n)", "updated_at TEXT\n) STRICT"), "strict_tables", "note"),
        (
            ("updated_at TEXT\n)", "updated_at TEXT\n) WITHOUT ROWID"),
            "without_rowid_tables",
            "note",
        ),
    ],
)
def test_planted_in_the_tables(
    plant: Plant, change: tuple[str, str], code: str, level: str
) -> None:
    found = plant(schema=SCHEMA.replace(*change))
    assert found[code][0].level == level
    assert set(found) <= {code, "foreign_keys_mismatched"}


HIDDEN = "updated_at TEXT, rowid, _rowid_, oid\n)"


@pytest.mark.parametrize(
    ("key", "blocks"),
    [
        ("id TEXT PRIMARY KEY", True),
        ("id TEXT NOT NULL PRIMARY KEY", True),
        ("id INTEGER PRIMARY KEY DESC", True),
        ("id INTEGER PRIMARY KEY", False),
    ],
)
def test_a_hidden_rowid_blocks_unless_the_key_is_the_rowid(
    key: str, blocks: bool, plant: Plant
) -> None:
    schema = SCHEMA.replace("updated_at TEXT\n)", HIDDEN)
    head, projects, rest = schema.partition("CREATE TABLE projects")
    found = plant(schema=head + projects + rest.replace("id TEXT PRIMARY KEY", key), rows="")
    assert ("rowid_hidden" in found) is blocks


@pytest.mark.parametrize(
    ("key", "told_apart"),
    [("id INTEGER PRIMARY KEY", True), ("id INTEGER PRIMARY KEY DESC", False)],
)
def test_a_key_that_is_declared_desc_may_be_null(key: str, told_apart: bool, plant: Plant) -> None:
    head, projects, rest = SCHEMA.partition("CREATE TABLE projects")
    schema = head + projects + rest.replace("id TEXT PRIMARY KEY", key)
    found = plant("INSERT INTO projects VALUES (NULL, NULL, 'x', NULL)", schema=schema, rows="")
    assert ("rows_not_told_apart" not in found) is told_apart


def test_the_remedy_for_a_key_without_index_works(tmp_path: Path, plant: Plant) -> None:
    found = plant(schema=SCHEMA.replace("TEXT PRIMARY KEY, email", "TEXT, email"))
    run_sql(tmp_path / "planted.db", found["key_without_unique_index"][0].remedy)
    assert look(tmp_path / "planted.db") == {}


def test_an_index_of_another_collation_does_not_serve(plant: Plant) -> None:
    schema = SCHEMA.replace("TEXT PRIMARY KEY, email", "TEXT, email")
    found = plant("CREATE UNIQUE INDEX k ON users(id COLLATE NOCASE)", schema=schema)
    assert "key_without_unique_index" in found


def test_views_and_virtual_tables_are_no_tables(plant: Plant) -> None:
    plan = replace(Plan(), resources=(Resource("v", "owner_id"),))
    assert "not_a_table" in plant("CREATE VIEW v AS SELECT id, owner_id FROM projects", plan)
    assert "not_a_table" in plant("CREATE VIRTUAL TABLE v USING fts5(owner_id)", plan)


def test_odd_names_are_quoted_everywhere(plant: Plant) -> None:
    schema = (
        'CREATE TABLE "the ""users" ("order" INTEGER PRIMARY KEY, "e mail" TEXT);'
        'CREATE TABLE "my rows" ("user id" INTEGER REFERENCES "the ""users", "Zeit" TEXT);'
    )
    rows = (
        'INSERT INTO "the ""users" VALUES (1, \'a@b.c\');'
        "INSERT INTO \"my rows\" VALUES (1, '2024-01-01 00:00:00');"
    )
    plan = replace(
        Plan(),
        users=Users('the "users', "order", "e mail"),
        resources=(Resource("my rows", "user id", "Zeit"),),
    )
    found = plant(schema=schema, rows=rows, plan=plan)
    assert set(found) == {"odd_names", "table_without_key"}
    (hazard,) = found["odd_names"]
    assert shown(hazard) == ('"the ""users"', '"order"', '"e mail"', '"my rows"', '"user id"')
    broken = "INSERT INTO \"my rows\" VALUES (7, 'now'), (NULL, NULL);"
    found = plant(broken, schema=schema, rows=rows, plan=plan)
    assert {"owners_null", "owners_dangling", "updated_at_unknown"} < set(found)


@pytest.mark.parametrize(
    ("policy", "level"), [("refuse", "block"), ("suspend", "note"), ("fire", "warn")]
)
def test_triggers_that_fire(plant: Plant, policy: str, level: str) -> None:
    plan = replace(Plan(), triggers=Triggers(policy))  # type: ignore[arg-type]
    found = plant(TRIGGER, plan)
    (hazard,) = found["triggers_fire"]
    assert hazard.level == level
    assert hazard.subject == "log_change on projects"
    # What the trigger writes, and what the trigger that it fires writes in turn.
    assert shown(hazard) == ("INSERT audit_log", "UPDATE totals")
    assert set(found) == {"triggers_fire"}


def test_a_trigger_on_another_column_is_silent(plant: Plant) -> None:
    assert plant(TRIGGER.replace("AFTER UPDATE ON", "AFTER UPDATE OF title ON")) == {}
    assert "triggers_fire" in plant(TRIGGER.replace("UPDATE ON", "UPDATE OF updated_at ON"))


def test_a_schema_that_refuses_the_script(plant: Plant) -> None:
    schema = SCHEMA.replace("updated_at TEXT", "t TEXT, updated_at TEXT AS (t)")
    rows = "INSERT INTO users VALUES ('u1', 'a@b.c', '');"
    (hazard,) = plant(schema=schema, rows=rows)["script_fails"]
    assert hazard.subject == "Assign resources"
    assert "generated column" in hazard.remedy


def test_already_migrated(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        script = render(Plan(), read_shape(connection, Plan()), "run-7")
        for step in script.steps:
            for statement in step.statements:
                connection.execute(statement)
    found = look(database)
    assert set(found) == {"already_migrated"}
    assert "run-7" in shown(found["already_migrated"][0])[0]


def test_everything_at_once_is_one_list(plant: Plant) -> None:
    found = plant(
        TRIGGER
        + """
        CREATE VIEW star AS SELECT * FROM projects;
        CREATE VIEW broken AS SELECT * FROM gone;
        CREATE TABLE runbook_guard (x);
        INSERT INTO users VALUES (NULL, NULL, ''), (' ', 'x', ''), ('U1', '@x', '');
        INSERT INTO projects VALUES (NULL, NULL, '', NULL), ('a', 'ghost', '', 'never'),
            ('b', 'U2', '', '2999-01-01T00:00:00Z'), ('c', x'7531', '', 1700000000);
        CREATE TABLE tasks (id INTEGER PRIMARY KEY, p TEXT REFERENCES projects(id));
        INSERT INTO tasks VALUES (5, 'nowhere');
        """,
        replace(Plan(), users=Users("users", "id", "email")),
    )
    assert set(found) >= {
        *("keys_null", "keys_blank", "keys_differ_by_case", "emails_missing"),
        *("emails_without_name", "owners_null", "owners_dangling", "owners_other_case"),
        *("owners_converted", "updated_at_mixed", "updated_at_unknown", "updated_at_future"),
        *("rows_not_told_apart", "foreign_keys_broken", "names_taken", "views_broken"),
    }


def test_missing_things_leave_the_rest_to_be_found(plant: Plant) -> None:
    plan = replace(
        Plan(),
        resources=(Resource("projects", "owner_id", "changed"), Resource("notes", "owner_id")),
    )
    found = plant("UPDATE projects SET owner_id = 'ghost' WHERE id = 'p1'", plan)
    assert set(found) == {"column_missing", "table_missing", "owners_dangling"}
    assert "updated_at" in found["column_missing"][0].remedy


def test_blocking_hazards_come_first(database: Path) -> None:
    run_sql(
        database,
        "UPDATE users SET email = NULL; UPDATE projects SET owner_id = NULL WHERE id = 'p1';"
        "CREATE VIEW v AS SELECT * FROM projects;",
    )
    with closing(sqlite3.connect(database)) as connection:
        levels = [h.level for h in inspect_database(connection, Plan())[0]]
    assert levels == ["block", "warn", "note"]
    check_levels(Plan())


def test_a_view_in_the_way_keeps_its_triggers(plant: Plant, tmp_path: Path) -> None:
    found = plant(
        """CREATE VIEW organizations AS SELECT id, '
        ; DROP TABLE projects; --' AS "ON" FROM users;
        CREATE TRIGGER "ON" INSTEAD OF UPDATE OF "ON" ON main.organizations BEGIN
            DELETE FROM projects; END;
        CREATE TRIGGER one INSTEAD OF INSERT ON [organizations] BEGIN SELECT 1; END;"""
    )
    (hazard,) = found["names_taken"]
    path = tmp_path / "planted.db"
    run_sql(path, hazard.remedy)
    with closing(open_readonly(path)) as connection:
        objects = connection.execute(
            "SELECT type, name, tbl_name FROM sqlite_schema WHERE type IN ('view', 'trigger')"
        ).fetchall()
        assert connection.execute("SELECT count(*) FROM projects").fetchone() == (3,)
    assert set(objects) == {
        ("view", "organizations_old", "organizations_old"),
        ("trigger", "ON", "organizations_old"),
        ("trigger", "one", "organizations_old"),
    }


def test_a_name_in_double_quotes_is_no_text(plant: Plant) -> None:
    schema = """
        CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT, name TEXT);
        CREATE TABLE teams ("organization_id" TEXT PRIMARY KEY);
        CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT, updated_at TEXT,
            title TEXT DEFAULT "organization_id" REFERENCES teams("organization_id"),
            CONSTRAINT "organization_id" CHECK (title <> 'x'),
            FOREIGN KEY (title) REFERENCES teams ("organization_id"));
        CREATE INDEX "organization_id" ON projects(title);"""
    assert "new_column_read" not in plant(schema=schema, rows="")


@pytest.mark.parametrize(
    ("writes", "adds"),
    [
        ("INSERT INTO log VALUES (NEW.id)", True),
        ("INSERT INTO log VALUES (NEW.id) ON CONFLICT DO NOTHING", True),
        ("INSERT INTO log VALUES (NEW.id) ON CONFLICT (line) DO UPDATE SET line = 1", False),
        ("UPDATE log SET line = NEW.id", False),
        ("DELETE FROM log", False),
        ("INSERT INTO words VALUES (NEW.id)", False),  # a virtual table has tables of its own
    ],
)
def test_only_triggers_that_add_rows_are_offered_to_fire(
    writes: str, adds: bool, plant: Plant
) -> None:
    sql = (
        "CREATE TABLE log (line UNIQUE); CREATE VIRTUAL TABLE words USING fts5(word);"
        f"CREATE TRIGGER t AFTER UPDATE ON projects BEGIN {writes}; END"
    )
    (hazard,) = plant(sql)["triggers_fire"]
    assert 'policy = "suspend"' in hazard.remedy
    assert ('policy = "fire"' in hazard.remedy) is adds
    table = "words" if "words" in writes else "log"
    (hazard,) = plant(sql, Plan(triggers=Triggers("fire", (table,))))["triggers_fire"]
    assert ("refused where it fires" in hazard.remedy) is not adds
