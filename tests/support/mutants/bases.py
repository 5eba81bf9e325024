"""The databases that are mutated: small, and together with everything that a schema may hold."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runbook.plan.plan import Organizations, Plan, Resource, Triggers, Unowned, Users


@dataclass(frozen=True)
class Base:
    """A schema with rows, and the plan by which it is migrated."""

    name: str
    script: str
    plan: Plan
    encoding: str = "UTF-8"
    wal: bool = False

    def make(self, path: Path) -> None:
        """Writes the database."""
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA encoding = '{self.encoding}'")
            connection.execute(f"PRAGMA journal_mode = {'WAL' if self.wal else 'DELETE'}")
            connection.executescript(self.script)


TEXT = """
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT UNIQUE, name TEXT NOT NULL);
CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES users(id),
    title TEXT COLLATE NOCASE, size REAL DEFAULT 1.5, updated_at TEXT);
CREATE TABLE comments (id INTEGER PRIMARY KEY, project TEXT REFERENCES projects(id)
    ON DELETE CASCADE, body);
CREATE INDEX by_owner ON projects(owner_id);
CREATE UNIQUE INDEX one_title ON projects(owner_id, title) WHERE size > 2;
CREATE VIEW titles AS SELECT p.title, u.name FROM projects AS p JOIN users AS u ON u.id = p.owner_id;
CREATE VIEW busy AS SELECT owner_id, count(*) AS n FROM projects GROUP BY owner_id;
INSERT INTO users VALUES ('ada', 'ada@example.org', 'Ada'), ('bob', 'b@example.org', 'Bob'),
    ('zoë', NULL, 'Zoë'), ('idle', 'idle@example.org', 'Nobody');
INSERT INTO projects VALUES
    ('p1', 'ada', 'One', 1.5, '2024-01-02 03:04:05'), ('p2', 'ada', 'two', 7, '2024-01-03 03:04:05'),
    ('p3', 'bob', 'Three', -0.0, NULL), ('p4', 'zoë', NULL, 3.25, '2020-02-29 00:00:00'),
    ('p5', 'bob', 'fünf', NULL, '2024-01-02 03:04:05');
INSERT INTO comments VALUES (1, 'p1', 'yes'), (2, 'p1', x'00'), (5, 'p3', 1.0), (9, NULL, NULL);
"""

INTEGER = """
CREATE TABLE accounts (n INTEGER PRIMARY KEY AUTOINCREMENT, mail TEXT, score INTEGER);
CREATE TABLE tasks (k INTEGER PRIMARY KEY AUTOINCREMENT, who INTEGER REFERENCES accounts(n),
    done BOOLEAN, changed INTEGER, UNIQUE (who, k));
CREATE TABLE boards (slug TEXT PRIMARY KEY, lead INTEGER, at INTEGER) WITHOUT ROWID;
CREATE TABLE tags (task INTEGER, tag TEXT, PRIMARY KEY (task, tag));
CREATE INDEX by_done ON tasks(done, changed DESC);
CREATE VIEW open_tasks AS SELECT k, who FROM tasks WHERE NOT done;
CREATE TRIGGER tagged AFTER INSERT ON tags BEGIN
    UPDATE accounts SET score = score + 1 WHERE n = new.task; END;
INSERT INTO accounts VALUES (1, 'one@example.org', 3), (2, '@x', NULL), (7, 'seven', -1),
    (9007199254740993, 'big@example.org', 0);
INSERT INTO tasks VALUES (1, 1, 0, 1704164645), (2, 1, 1, 1704164646), (3, 7, 0, NULL),
    (40, 9007199254740993, NULL, 1704164645), (41, 2, 0, 1704164999);
INSERT INTO boards VALUES ('main', 1, 1704164645000), ('side', 7, 1704164645001);
INSERT INTO tags VALUES (1, 'a'), (1, 'b'), (7, 'c');
DELETE FROM tasks WHERE k = 41;
"""

BLOB = """
CREATE TABLE people (key BLOB PRIMARY KEY, email TEXT, photo BLOB) WITHOUT ROWID;
CREATE TABLE items (box TEXT, part INTEGER, owner BLOB NOT NULL, body, at TEXT,
    PRIMARY KEY (box, part)) WITHOUT ROWID;
CREATE TABLE notes (owner BLOB, text TEXT);
CREATE TABLE loose (a, b, c);
CREATE INDEX notes_owner ON notes(owner);
CREATE VIEW everything AS SELECT box, part FROM items UNION ALL SELECT text, rowid FROM notes;
INSERT INTO people VALUES (x'00', 'nul@example.org', x'ff'), (x'ff00', NULL, NULL),
    (x'c3a9', 'é@example.org', zeroblob(9)), (x'', 'empty@example.org', x'');
INSERT INTO items VALUES ('a', 1, x'00', 1, '2024-01-02T03:04:05.678Z'),
    ('a', 2, x'ff00', 1.0, NULL), ('b', 1, x'00', '1', '2024-01-02T03:04:05.678Z'),
    ('c', 9, x'', x'31', '2024-05-05T00:00:00.000Z');
INSERT INTO notes VALUES (x'c3a9', 'one'), (x'c3a9', 'one'), (x'00', NULL);
INSERT INTO loose VALUES (1, 1, 1), (1, 1, 1), (NULL, -0.0, x'00'), ('a', 'A', 'a ');
"""

STRICT = """
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT, level INT CHECK (level > 0)) STRICT;
CREATE TABLE projects (id INTEGER PRIMARY KEY, owner_id TEXT REFERENCES users(id),
    data ANY, price REAL, updated_at INTEGER) STRICT;
CREATE TABLE files (path TEXT PRIMARY KEY, owner_id TEXT NOT NULL, bytes BLOB,
    updated_at TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE settings (name TEXT PRIMARY KEY, value ANY) STRICT;
INSERT INTO users VALUES ('u1', 'a@example.org', 1), ('u2', 'b@example.org', 2), ('u3', '', 3);
INSERT INTO projects VALUES (1, 'u1', 1, 1.5, 1704164645678), (2, 'u1', '1', -0.0, 1704164645679),
    (3, 'u2', x'31', NULL, NULL), (4, 'u3', 1.0, 9e999, 1704164645678);
INSERT INTO files VALUES ('/a', 'u1', x'00', '2024-01-02 03:04:05.123'),
    ('/b', 'u2', NULL, '2024-01-02 03:04:06.000');
INSERT INTO settings VALUES ('one', 1), ('two', 'two'), ('three', x'03'), ('none', NULL);
"""

GENERATED = """
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT,
    host TEXT AS (substr(email, instr(email, '@') + 1)) VIRTUAL);
CREATE TABLE projects (id INTEGER PRIMARY KEY, owner_id TEXT, title TEXT, updated_at TEXT,
    day TEXT AS (substr(updated_at, 1, 10)) STORED, year TEXT AS (substr(day, 1, 4)),
    who TEXT AS (typeof(owner_id) || quote(owner_id)) STORED,
    long INTEGER AS (length(title) > 3), CHECK (title <> 'never'));
CREATE INDEX by_day ON projects(day, upper(title));
CREATE INDEX some ON projects(title) WHERE year > '2000';
CREATE VIEW days AS SELECT day, count(*) AS n FROM projects GROUP BY day;
CREATE VIEW hosts AS SELECT host, title FROM users JOIN projects ON owner_id = users.id;
INSERT INTO users (id, email) VALUES ('u1', 'a@example.org'), ('u2', 'b@example.net'), ('u3', NULL);
INSERT INTO projects (id, owner_id, title, updated_at) VALUES (1, 'u1', 'One', '2024-01-02 03:04:05'),
    (2, 'u2', 'Twelve', '1999-12-31 23:59:59'), (3, 'u1', NULL, NULL),
    (4, 'u3', 'One', '2024-01-02 03:04:05');
"""

ADOPT = """
CREATE TABLE users (id TEXT PRIMARY KEY COLLATE NOCASE, name TEXT);
CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT, title TEXT, updated_at TEXT);
CREATE TABLE drafts (owner_id TEXT, body TEXT);
CREATE VIEW orphans AS SELECT id FROM projects WHERE owner_id IS NULL;
INSERT INTO users VALUES ('root', 'Root'), ('ada', 'Ada'), ('bob', 'Bob');
INSERT INTO projects VALUES ('p1', 'ada', 'One', '2024-01-02T03:04:05Z'), ('p2', NULL, 'Two', NULL),
    ('p3', 'gone', 'Three', '2024-01-02T03:04:05Z'), ('p4', 'bob', 'Four', '2024-01-02T03:04:05Z');
INSERT INTO drafts VALUES (NULL, 'a'), (NULL, 'a'), ('ada', 'b'), ('ghost', NULL);
"""

TRIGGERS = """
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT);
CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT, title TEXT, updated_at TEXT);
CREATE TABLE log (n INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT, what TEXT);
CREATE VIEW by_title AS SELECT id, title, updated_at FROM projects;
CREATE VIEW recent AS SELECT count(*) AS n FROM projects WHERE updated_at > '2024';
CREATE TRIGGER first AFTER UPDATE ON projects BEGIN
    INSERT INTO log (project, what) VALUES (new.id, 'first'); END;
CREATE TRIGGER second AFTER UPDATE OF updated_at ON projects WHEN new.title IS NOT NULL BEGIN
    INSERT INTO log (project, what) VALUES (new.id, 'second'); END;
CREATE TRIGGER gone BEFORE DELETE ON projects BEGIN
    INSERT INTO log (project, what) VALUES (old.id, "gone"); END;
CREATE TRIGGER written INSTEAD OF INSERT ON by_title BEGIN
    INSERT INTO projects (id, title) VALUES (new.id, new.title); END;
INSERT INTO users VALUES ('u1', 'a@example.org'), ('u2', NULL);
INSERT INTO projects VALUES ('p1', 'u1', 'One', '2024-01-02 03:04:05'), ('p2', 'u2', NULL, NULL),
    ('p3', 'u1', 'Three', '2023-01-02 03:04:05');
INSERT INTO log (project, what) VALUES ('p1', 'made'), ('p9', NULL);
"""

FIRE = """
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);
CREATE TABLE projects (id INTEGER PRIMARY KEY AUTOINCREMENT, owner_id INTEGER, title TEXT,
    updated_at TEXT);
CREATE TABLE log (n INTEGER PRIMARY KEY AUTOINCREMENT, project INTEGER, what TEXT);
CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER);
CREATE TRIGGER logged AFTER UPDATE ON projects BEGIN
    INSERT INTO log (project, what) VALUES (new.id, 'touched'); END;
INSERT INTO users VALUES (1, 'a@example.org'), (2, 'b@example.org');
INSERT INTO projects VALUES (1, 1, 'One', '2024-01-02 03:04:05'), (2, 2, 'Two', NULL),
    (5, 1, 'Five', '2024-01-02 03:04:05');
INSERT INTO log (project, what) VALUES (1, 'made');
INSERT INTO counters VALUES ('a', 1), ('b', 2);
"""

ODD = """
CREATE TABLE "App ""Users" ([select] VARCHAR(36) PRIMARY KEY, [E Mail] TEXT);
CREATE TABLE [order] ([key] TEXT NOT NULL, part INTEGER NOT NULL, [group] VARCHAR(36), note BLOB,
    [Updated At] TEXT, PRIMARY KEY ([key], part));
CREATE TABLE "no key" (by TEXT, body, [Organization] TEXT);
CREATE TABLE [rowid] (rowid, _rowid_, oid, body);
CREATE INDEX [by note] ON [order](note) WHERE note IS NOT NULL;
CREATE VIEW [view] AS SELECT [key], part, "no such" AS literal FROM [order];
INSERT INTO "App ""Users" VALUES ('ada', 'ada@example.org'), ('Bob''s', NULL), ('zoë ', '@x');
INSERT INTO [order] VALUES ('a', 1, 'ada', x'00', '2024-01-02 03:04:05.123456'),
    ('a', 2, 'Bob''s', NULL, NULL), ('b', 1, 'ada', x'', '2024-01-02 03:04:05.123456');
INSERT INTO "no key" VALUES ('zoë ', 1, NULL), ('zoë ', 1.0, NULL), ('Bob''s', 'x', '');
INSERT INTO [rowid] VALUES (1, 1, 1, NULL), (1, 1, 1, NULL), (NULL, 2, x'00', -0.0);
"""

LEDGER = """
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT);
CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT, updated_at REAL);
CREATE TABLE runbook_ledger (migration TEXT PRIMARY KEY, run TEXT NOT NULL, checksum TEXT NOT NULL,
    applied_at TEXT NOT NULL);
INSERT INTO runbook_ledger VALUES ('0001_earlier', 'a run', 'abc', '2024-01-02 03:04:05.678');
INSERT INTO users VALUES ('u1', 'a@example.org'), ('u2', 'no at sign'), ('u3', 'c@d@e');
INSERT INTO projects VALUES ('p1', 'u1', 1704164645.25), ('p2', 'u2', NULL), ('p3', 'u3', 1704164645.0);
"""

EMPTY = """
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT);
CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT, updated_at TEXT);
CREATE TABLE other (a, b);
INSERT INTO other VALUES (1, 2);
"""

_PROJECTS = Resource("projects", "owner_id", "updated_at")

BASES = (
    Base("TEXT keys", TEXT, Plan()),
    Base(
        "INTEGER keys, AUTOINCREMENT",
        INTEGER,
        Plan(
            users=Users("accounts", "n", "mail"),
            resources=(Resource("tasks", "who", "changed"), Resource("boards", "lead", "at")),
        ),
        wal=True,
    ),
    Base(
        "BLOB keys, WITHOUT ROWID",
        BLOB,
        Plan(
            users=Users("people", "key", "email"),
            resources=(Resource("items", "owner", "at"), Resource("notes", "owner")),
        ),
    ),
    Base(
        "STRICT tables",
        STRICT,
        Plan(resources=(_PROJECTS, Resource("files", "owner_id", "updated_at"))),
    ),
    Base("generated columns", GENERATED, Plan(), encoding="UTF-16le"),
    Base(
        "NULL and unknown owners, adopted",
        ADOPT,
        Plan(
            users=Users("users", "id"),
            resources=(_PROJECTS, Resource("drafts", "owner_id")),
            organizations=Organizations("all_users"),
            unowned=Unowned("adopt", "root"),
        ),
    ),
    Base("triggers suspended, views", TRIGGERS, Plan(triggers=Triggers("suspend")), wal=True),
    Base("triggers that fire", FIRE, Plan(triggers=Triggers("fire", ("log",)))),
    Base(
        "odd names, no keys",
        ODD,
        Plan(
            users=Users('App "Users', "select", "E Mail"),
            resources=(Resource("order", "group", "Updated At"), Resource("no key", "by")),
        ),
        encoding="UTF-16be",
    ),
    Base("a ledger with an earlier migration", LEDGER, Plan()),
)
"""What is mutated."""

NOTHING = Base("empty tables", EMPTY, Plan())
"""A plan over nothing."""
