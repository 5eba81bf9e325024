"""Every remedy of the catalogue carried out on a database that has the hazard: it helps, and no
row that the application made is lost by it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from runbook.hazards import CATALOGUE, inspect_file
from runbook.plan.plan import Plan, Resource, Triggers, Unowned
from runbook.run.findings import Hazard
from tests.support.cases import schema_change

from .conftest import ROWS, SCHEMA

LOOSE = SCHEMA.replace("id TEXT PRIMARY KEY, email", "id, email")
LOOSE = LOOSE.replace("owner_id TEXT REFERENCES users(id)", "owner_id")
INTEGERS = ROWS.replace("'u1'", "'1'").replace("'u2'", "'2'").replace("'u3'", "'3'")
LOG = "CREATE TABLE log (line TEXT); INSERT INTO log VALUES ('one'), ('two');"
WITHOUT_TIME = Plan(resources=(Resource("projects", "owner_id"),))
TIME_OF_TEXT = Resource("projects", "owner_id", "updated_at", "YYYY-MM-DD HH:MM:SS")
TOUCH = (
    "CREATE TRIGGER touch AFTER UPDATE ON projects BEGIN"
    " UPDATE projects SET updated_at = datetime('now') WHERE id = NEW.id; END;"
)
NOTE = "CREATE TRIGGER note AFTER UPDATE ON projects BEGIN INSERT INTO log VALUES ('u'); END;" + LOG


def resource(**changes: object) -> Plan:
    """The plan of these tests with another resource."""
    return Plan(resources=(replace(Plan().resources[0], **changes),))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Ill:
    """A database with a hazard: what makes it so, and what a person answers to the remedy.

    `sql` comes after `base`. `answer` is the SQL of a person's decision, `then` the plan afterwards.
    """

    sql: str = ""
    base: str = SCHEMA + ROWS
    plan: Plan = field(default_factory=Plan)
    answer: str = ""
    then: Plan | None = None


def changed_later(table: str, old: str, new: str) -> str:
    """Rows, and then a declaration that they do not meet."""
    rows = "INSERT INTO log SELECT 'three'; INSERT INTO rooms VALUES (1, 'a', 5), (2, 'a', 50);"
    return LOG + f"CREATE TABLE rooms {table};" + rows + schema_change(old, new)


ILL: dict[str, list[Ill]] = {
    "keys_null": [
        Ill(
            "INSERT INTO users(email) VALUES ('x@y.z')",
            answer="UPDATE users SET id = 'u9' WHERE id IS NULL",
        )
    ],
    "keys_doubled": [
        Ill(
            "INSERT INTO users VALUES ('u1', 'q@y.z', '')",
            LOOSE + ROWS,
            answer="UPDATE users SET id = 'u9' WHERE rowid = 4; CREATE UNIQUE INDEX k ON users(id)",
        )
    ],
    "keys_mixed": [
        Ill(
            "INSERT INTO users VALUES (7, 'q@y.z', ''); INSERT INTO projects VALUES ('p9', 7, '', NULL);"
            "CREATE UNIQUE INDEX k ON users(id);",
            LOOSE + ROWS,
        )
    ],
    "keys_real": [
        Ill(
            "CREATE UNIQUE INDEX k ON users(id); INSERT INTO users VALUES (7.5, 'q@y.z', '');"
            "INSERT INTO projects VALUES ('p9', 7.5, '', NULL);",
            LOOSE + ROWS,
            answer="UPDATE users SET id = '7.5' WHERE id = 7.5;"
            "UPDATE projects SET owner_id = '7.5' WHERE owner_id = 7.5",
        )
    ],
    "keys_blank": [
        Ill(
            "INSERT INTO users VALUES (' ', 'q@y.z', '')",
            answer="UPDATE users SET id = 'u9' WHERE id = ' '",
        )
    ],
    "keys_differ_by_case": [
        Ill(
            "INSERT INTO users VALUES ('U1', 'q@y.z', '')",
            answer="UPDATE users SET id = 'u9' WHERE id = 'U1'",
        )
    ],
    "keys_not_text": [
        Ill(
            "INSERT INTO users VALUES (CAST(x'61E9' AS TEXT), 'q@y.z', '');"
            "INSERT INTO projects VALUES ('p9', CAST(x'61E9' AS TEXT), '', NULL);"
        )
    ],
    "emails_missing": [
        Ill(
            "UPDATE users SET email = ' ' WHERE id = 'u1'",
            answer="UPDATE users SET email = 'ann@example.com' WHERE id = 'u1'",
        )
    ],
    "emails_without_name": [
        Ill(
            "UPDATE users SET email = '@b.c' WHERE id = 'u1'",
            answer="UPDATE users SET email = 'ann@example.com' WHERE id = 'u1'",
        )
    ],
    "emails_doubled": [
        Ill(
            "UPDATE users SET email = 'BOB@example.com' WHERE id = 'u1'",
            answer="UPDATE users SET email = 'ann@example.com' WHERE id = 'u1'",
        )
    ],
    "owners_null": [
        Ill(
            "UPDATE projects SET owner_id = NULL WHERE id = 'p1'",
            answer="UPDATE projects SET owner_id = 'u1' WHERE id = 'p1'",
        ),
        Ill(
            "UPDATE projects SET owner_id = NULL",
            then=replace(Plan(), unowned=Unowned("adopt", "u1")),
        ),
    ],
    "owners_dangling": [
        Ill(
            "UPDATE projects SET owner_id = 'ghost' WHERE id = 'p1'",
            answer="UPDATE projects SET owner_id = 'u1' WHERE id = 'p1'",
        )
    ],
    "owners_converted": [
        Ill(
            "",
            SCHEMA.replace("id TEXT PRIMARY KEY, email", "id INTEGER PRIMARY KEY, email")
            + INTEGERS,
            then=resource(owner="owner_id_as_key"),
        )
    ],
    "owners_other_case": [Ill("UPDATE projects SET owner_id = 'U1 ' WHERE id = 'p1'")],
    "adopter_missing": [
        Ill(
            "UPDATE projects SET owner_id = NULL WHERE id = 'p1'",
            plan=replace(Plan(), unowned=Unowned("adopt", "nobody")),
            then=replace(Plan(), unowned=Unowned("adopt", "u1")),
        )
    ],
    "updated_at_mixed": [
        Ill("UPDATE projects SET updated_at = '2024-01-01T10:00:00Z' WHERE id = 'p1'", then=then)
        for then in (WITHOUT_TIME, Plan(resources=(TIME_OF_TEXT,)))
    ],
    "updated_at_unknown": [Ill("UPDATE projects SET updated_at = 'yesterday'", then=WITHOUT_TIME)],
    "updated_at_stored_otherwise": [
        Ill(plan=resource(updated_at_format="epoch seconds"), then=WITHOUT_TIME)
    ],
    "updated_at_future": [
        Ill(
            "UPDATE projects SET updated_at = '2999-01-01 00:00:00' WHERE id = 'p2'",
            answer="UPDATE projects SET updated_at = '2024-01-01 00:00:00' WHERE id = 'p2'",
        )
    ],
    "rows_refuse": [
        Ill(
            base=SCHEMA.replace("updated_at TEXT", "updated_at TEXT CHECK (updated_at < '2025')")
            + ROWS,
            then=WITHOUT_TIME,
        )
    ],
    "generated_unreadable": [
        Ill(
            "CREATE TABLE orders (details TEXT); INSERT INTO orders VALUES ('{\"n\": 2}'), ('{');"
            "ALTER TABLE orders ADD COLUMN n AS (json_extract(details, '$.n'));"
        )
    ],
    "nulls_in_not_null": [
        Ill(
            "CREATE TABLE rooms (label TEXT); INSERT INTO rooms VALUES ('Hall'), (NULL);"
            + schema_change("rooms (label TEXT)", "rooms (label TEXT NOT NULL)")
        )
    ],
    "types_unmet": [
        Ill(
            "CREATE TABLE rooms (xa, a, b); INSERT INTO rooms VALUES ('x', 5, 'six'), (x'00', 0.1, 7);"
            + schema_change("rooms (xa, a, b)", text)
        )
        for text in (
            "rooms (xa ANY, a INTEGER DEFAULT (1 + 2), b INT) STRICT",
            "rooms (xa ANY, a TEXT NOT NULL, b BLOB) STRICT",
            "rooms (xa TEXT, a TEXT, b TEXT)",
        )
    ]
    + [
        Ill(
            "CREATE TABLE rooms (a, b); INSERT INTO rooms VALUES ('5', '1e3'), ('six', 7.0);"
            + schema_change("rooms (a, b)", "rooms (a INTEGER, b NUMERIC)")
        )
    ],
    "checks_unmet": [
        Ill(
            changed_later("(id, x, size CHECK (size < 100))", "< 100", "< 10"),
            answer="UPDATE rooms SET size = 9 WHERE size = 50",
        )
    ],
    "unique_unmet": [
        Ill(
            changed_later("(id, label, size)", "label, size", "label, size")
            + "CREATE INDEX by_label ON rooms(label);"
            + schema_change("CREATE INDEX by_label", "CREATE UNIQUE INDEX by_label"),
            answer="UPDATE rooms SET label = 'b' WHERE size = 50",
        )
    ],
    "rows_not_told_apart": [
        Ill(
            "INSERT INTO projects VALUES (NULL, 'u1', 'x', NULL), (NULL, 'u1', 'x', NULL)",
            answer="UPDATE projects SET id = 'p' || rowid WHERE id IS NULL",
        )
    ],
    "foreign_keys_broken": [
        Ill(
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, p TEXT REFERENCES projects(id));"
            "INSERT INTO tasks VALUES (5, 'nowhere')",
            answer="UPDATE tasks SET p = 'p1' WHERE id = 5",
        )
    ],
    "table_missing": [Ill(plan=resource(table="project"), then=Plan())],
    "column_missing": [Ill(plan=resource(owner="owner"), then=Plan())],
    "not_a_table": [
        Ill(
            "CREATE VIEW mine AS SELECT * FROM projects",
            plan=resource(table="mine"),
            then=Plan(),
        )
    ],
    "half_done": [
        Ill("ALTER TABLE projects ADD COLUMN organization_id TEXT REFERENCES organizations(id);")
    ],
    "own_organizations": [
        Ill(
            "CREATE TABLE organizations (id TEXT PRIMARY KEY, name TEXT, slug TEXT, owner_id TEXT,"
            " type TEXT); INSERT INTO organizations VALUES ('a7', 'Bakery', 'b', 'u1', 'team');"
            "CREATE TABLE organization_memberships (organization_id TEXT, user_id TEXT, role TEXT);"
            "INSERT INTO organization_memberships VALUES ('a7', 'u1', 'owner');"
            "ALTER TABLE projects ADD COLUMN organization_id TEXT;"
            "UPDATE projects SET organization_id = 'a7'"
        )
    ],
    "ledger_taken": [Ill("CREATE TABLE runbook_ledger (x); INSERT INTO runbook_ledger VALUES (1)")],
    "names_taken": [
        Ill("CREATE TABLE organizations (x); INSERT INTO organizations VALUES (1)"),
        Ill("CREATE VIEW organization_memberships AS SELECT 1 AS one"),
        Ill("CREATE INDEX idx_memberships_user ON users(name)"),
    ],
    "column_taken": [
        Ill("ALTER TABLE projects ADD Organization_Id; UPDATE projects SET organization_id = 9")
    ],
    "columns_full": [
        Ill(
            base=SCHEMA.replace(
                "title TEXT", ", ".join(["title TEXT", *(f"a{n}" for n in range(1996))])
            )
            + ROWS.replace("INTO projects", "INTO projects(id, owner_id, title, updated_at)"),
            answer="CREATE TABLE more AS SELECT id, a9 FROM projects;"
            "ALTER TABLE projects DROP COLUMN a9",
        )
    ],
    "key_without_unique_index": [Ill(base=LOOSE + ROWS)],
    "triggers_fire": [
        Ill(NOTE, then=replace(Plan(), triggers=Triggers("suspend"))),
        Ill(NOTE, then=replace(Plan(), triggers=Triggers("fire", ("log",)))),
    ],
    "trigger_sets_updated_at": [
        Ill(
            TOUCH,
            plan=replace(Plan(), triggers=Triggers("fire", ("projects",))),
            then=replace(Plan(), triggers=Triggers("suspend")),
        )
    ],
    "writes_break": [
        Ill(
            "CREATE TABLE old (a, b, c, d); CREATE TRIGGER t AFTER DELETE ON projects BEGIN"
            " INSERT INTO old SELECT * FROM projects; END"
        )
    ],
    "script_fails": [
        Ill(
            base=SCHEMA.replace("updated_at TEXT", "t TEXT, updated_at TEXT AS (t)")
            + ROWS.replace("INTO projects", "INTO projects(id, owner_id, title, t)"),
            then=WITHOUT_TIME,
        )
    ],
    "views_break": [Ill("CREATE VIEW v AS SELECT * FROM projects UNION SELECT 1, 2, 3, 4")],
    "new_column_read": [
        Ill(
            "CREATE TABLE pages (page_id, owner_id); INSERT INTO pages VALUES (1, 'u1');"
            "CREATE VIEW v AS SELECT page_id, title FROM pages NATURAL JOIN projects",
            plan=replace(
                Plan(), resources=(*Plan().resources, Resource("pages", "owner_id", None))
            ),
        ),
        Ill(
            base=SCHEMA.replace(
                "title TEXT",
                'title TEXT DEFAULT "organization_id" CHECK (title <> "Organization_Id"),'
                ' kind TEXT AS (title || "organization_id") STORED',
            )
            + ROWS.replace("INTO projects", "INTO projects(id, owner_id, title, updated_at)")
        ),
        Ill('CREATE INDEX i ON projects(title) WHERE title = "organization_id"'),
    ],
    "views_select_star": [
        Ill(
            "CREATE VIEW v AS SELECT * FROM projects",
            answer="DROP VIEW v; CREATE VIEW v AS SELECT id, title FROM projects",
        )
    ],
    "views_broken": [
        Ill("CREATE VIEW v AS SELECT * FROM gone"),
        Ill('CREATE VIEW v AS SELECT * FROM "gone\nDELETE FROM users; --"'),
    ],
    "column_cannot_be_dropped": [
        Ill(
            "CREATE TABLE x (a); CREATE TRIGGER t AFTER DELETE ON x BEGIN"
            " DELETE FROM gone WHERE id = 1; END",
            answer="DROP TRIGGER t; CREATE TRIGGER t AFTER DELETE ON x BEGIN"
            " DELETE FROM x WHERE a = 1; END",
        )
    ],
    "parent_missing": [
        Ill(
            "CREATE TABLE shelves (id INTEGER PRIMARY KEY, label TEXT);"
            "CREATE TABLE boxes (id INTEGER PRIMARY KEY, s INTEGER REFERENCES shelves_before(id));"
            "INSERT INTO shelves VALUES (1, 'Left'); INSERT INTO boxes VALUES (1, 1), (2, 1);"
        )
    ],
    "functions_missing": [
        Ill(
            f"CREATE TABLE labels (id INTEGER PRIMARY KEY, xlow TEXT, {column}, label TEXT);"
            "CREATE INDEX by_low ON labels(low)\nWHERE id > 0;"
            "INSERT INTO labels(id, label) VALUES (1, 'Red'), (2, 'Blue');",
            plan=replace(Plan(), resources=(*Plan().resources, Resource("labels", "label", None))),
            then=Plan(),
        )
        for column in (
            "low TEXT AS (plain(label))",
            'low TEXT NOT NULL GENERATED ALWAYS AS (plain(label || "))")) STORED COLLATE NOCASE',
        )
    ],
    "collations_missing": [
        Ill(
            LOG
            + f"CREATE TABLE labels (label TEXT COLLATE folded PRIMARY KEY, z TEXT,\n{more}) {form};"
            "CREATE INDEX by_z ON labels(z COLLATE folded)\nWHERE z > 'a';"
            "CREATE TRIGGER t AFTER INSERT ON labels BEGIN\nINSERT INTO log VALUES ('never'); END;"
            "CREATE TRIGGER u AFTER DELETE ON labels BEGIN INSERT INTO log VALUES ('never'); END;"
            "INSERT INTO labels(label, z) VALUES ('B', 1.5), ('a', x'00'), ('C', NULL);"
        )
        for form, more in (("", "y"), ("WITHOUT ROWID", "y TEXT AS (z)"))
    ],
    "foreign_keys_mismatched": [
        Ill(
            "CREATE TABLE r (p TEXT REFERENCES projects(title))",
            answer="CREATE UNIQUE INDEX by_title ON projects(title)",
        )
    ],
    "rowid_hidden": [
        Ill(
            f"ALTER TABLE projects ADD COLUMN {first}; ALTER TABLE projects ADD COLUMN _rowid_;"
            f"ALTER TABLE projects ADD COLUMN {last}; UPDATE projects SET {first} = 1, {last} = 2",
            answer=f"ALTER TABLE projects RENAME COLUMN {last} TO object_id",
        )
        for first, last in (("rowid", "oid"), ("ROWID", '"OID"'))
    ],
    "index_incomplete": [
        Ill(
            "CREATE TABLE rooms (id, label); CREATE INDEX by_label ON rooms(label);"
            "INSERT INTO rooms VALUES (1, 'a'), (2, 'b');"
            "PRAGMA writable_schema = ON; CREATE TABLE aside AS SELECT * FROM sqlite_schema"
            " WHERE name = 'by_label'; DELETE FROM sqlite_schema WHERE name = 'by_label';"
            "PRAGMA writable_schema = RESET; INSERT INTO rooms VALUES (3, 'c');"
            "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM aside;"
            "PRAGMA writable_schema = RESET; DROP TABLE aside;"
        )
    ],
}
FOLLOWED = [
    pytest.param(code, ill, id=f"{code}{n}") for code in ILL for n, ill in enumerate(ILL[code])
]


def test_every_remedy_is_carried_out() -> None:
    """A new entry of the catalogue says how its remedy is followed, and it is followed here."""
    needed = {d.code for d in CATALOGUE.values() if d.followed not in ("outside", "nothing")}
    assert set(ILL) == needed
    for code, ills in ILL.items():
        for ill in ills:
            by_hand = {"statement": False, "plan": False, "decision": True}
            decided = bool(ill.answer) or CATALOGUE[code].followed == "decision"
            assert decided == by_hand[CATALOGUE[code].followed], code
            assert ill.then or CATALOGUE[code].followed != "plan", code


def by_letters(one: str, two: str) -> int:
    return (one.lower() > two.lower()) - (one.lower() < two.lower())


def run(path: Path, sql: str, *, application: bool = False) -> None:
    """Runs SQL; the application itself knows a function and a collation more."""
    with closing(sqlite3.connect(path)) as connection:
        if application:
            connection.create_function("plain", 1, str.lower, deterministic=True)
            connection.create_collation("folded", by_letters)
        connection.executescript(sql)


def found(path: Path, plan: Plan) -> dict[str, list[Hazard]]:
    codes: dict[str, list[Hazard]] = {}
    for hazard in inspect_file(path, plan, path.parent)[0]:
        codes.setdefault(hazard.code, []).append(hazard)
    return codes


def contents(path: Path) -> dict[str, int]:
    """Number of rows of each table of the application."""
    counts: dict[str, int] = {}
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("plain", 1, str.lower, deterministic=True)
        connection.create_collation("folded", by_letters)
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall():
            counts[name] = connection.execute(
                f'SELECT count(*) FROM "{name}" NOT INDEXED'
            ).fetchone()[0]
    return counts


@pytest.mark.parametrize(("code", "ill"), FOLLOWED)
def test_a_remedy_helps_and_loses_no_row(tmp_path: Path, code: str, ill: Ill) -> None:
    path = tmp_path / "app.db"
    run(path, ill.base + ill.sql, application=True)
    before, plan = contents(path), ill.then or ill.plan
    hazards = found(path, ill.plan)
    assert code in hazards, hazards.keys()
    followed = CATALOGUE[code].followed
    if followed == "plan":
        assert all(h.remedy for h in hazards[code])
    elif ill.answer:
        run(path, ill.answer)
    elif followed == "statement":
        for hazard in hazards[code]:
            run(path, hazard.remedy)
    after = found(path, plan)
    if code in after and followed != "statement":  # answered by the plan, it is told milder
        assert all(h.level != "block" for h in after[code]), after[code]
    else:
        assert code not in after, after[code]
    new = {h.code for many in after.values() for h in many if h.level == "block"}
    assert new <= set(hazards), "a remedy that makes another hazard"
    counts = contents(path)
    if code in ("ledger_taken", "names_taken", "own_organizations"):
        assert sorted(counts.values()) == sorted(before.values())
    else:
        assert all(counts[name] >= number for name, number in before.items()), "a row is lost"


LATER: dict[str, Callable[[str], str]] = {
    code: lambda remedy: remedy.split("own connection:\n")[1].replace("\n-- ", "\n")[3:]
    for code in ("functions_missing", "collations_missing")
}


@pytest.mark.parametrize(("code", "ill"), [p.values for p in FOLLOWED if p.values[0] in LATER])
def test_the_schema_comes_back(tmp_path: Path, code: object, ill: Ill) -> None:
    """What was taken out of the schema for the run, put back by the application."""
    path, back = tmp_path / "app.db", LATER[str(code)]

    def schema() -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_schema"
            ).fetchall()

    run(path, ill.base + ill.sql, application=True)
    texts, rows = sorted(map(str, schema())), contents(path)
    (hazard,) = found(path, ill.plan)[str(code)]
    run(path, hazard.remedy)
    run(path, back(hazard.remedy), application=True)
    assert contents(path) == rows
    kept = sorted(map(str, schema()))
    if "VIRTUAL" not in ill.sql and "AS (plain(label))," not in ill.sql:
        assert kept == texts
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("plain", 1, str.lower, deterministic=True)
        connection.create_collation("folded", by_letters)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
