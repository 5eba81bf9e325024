-- title: Create organizations
-- why: The new owners. A UNIQUE constraint brings its own index, so the slug needs no second one.
CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    owner_id {{ key_type }} NOT NULL REFERENCES {{ users.table }}({{ users.key }}),
    type TEXT DEFAULT 'personal',
    settings TEXT DEFAULT '{}',
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now'))
);
