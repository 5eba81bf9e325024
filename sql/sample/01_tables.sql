-- title: The application as it is before the migration
-- why: Users own projects; all else is there to be left alone. The messy database has the tables of an application that trusted its own code: no reference, no uniqueness, NULL allowed.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT{% if not messy %} NOT NULL UNIQUE{% endif %},
    name TEXT,
    created_at TEXT NOT NULL DEFAULT (datetime('now'))
);

CREATE TABLE projects (
    id TEXT PRIMARY KEY,
    owner_id TEXT{% if not messy %} NOT NULL REFERENCES users(id){% endif %},
    name TEXT NOT NULL,
    description TEXT,
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('draft', 'active', 'archived')),
    settings TEXT NOT NULL DEFAULT '{}',
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT{% if not messy %} NOT NULL{% endif %} DEFAULT (datetime('now'))
);

CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    assignee_id TEXT REFERENCES users(id) ON DELETE SET NULL,
    title TEXT NOT NULL,
    done BOOLEAN NOT NULL DEFAULT 0,
    hours REAL,
    due_on DATE
);

CREATE TABLE comments (
    id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    author_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    body TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT (datetime('now'))
);

CREATE TABLE tags (
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    tag TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (project_id, tag)
) WITHOUT ROWID;

-- event and weight carry numbers that careless tools round; detail has no type on purpose.
CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    action TEXT NOT NULL,
    event INTEGER,
    weight REAL,
    payload BLOB,
    detail,
    at TEXT NOT NULL DEFAULT (datetime('now'))
);
