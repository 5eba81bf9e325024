-- title: Note that the migration was applied
-- why: wrangler writes the same after a file that it applies itself, so that it does not apply it again.
CREATE TABLE IF NOT EXISTS {{ table }} (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE,
    applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
);
INSERT INTO {{ table }} (name) VALUES ({{ file }});
