"""A resource with odd names, in every shape of table and key, and generated columns over it."""

from __future__ import annotations

from pathlib import Path

from tests.support.databases import execute

PLAN = """
[users]
table = "us ers"
key = "id"

[[resources]]
table = 'it"ems'
owner = "by"
updated_at = "Changed At"
"""
TABLE = '"it""ems"'

SHAPES = {
    "integer key": "(k INTEGER PRIMARY KEY, {columns})",
    "text key": "(k TEXT PRIMARY KEY, {columns})",
    "no key": "(k, {columns})",
    "without rowid": "(k TEXT PRIMARY KEY, {columns}) WITHOUT ROWID",
    "strict": "(k TEXT PRIMARY KEY, {columns}) STRICT",
    "sequence": "(k INTEGER PRIMARY KEY AUTOINCREMENT, {columns})",
}
KEYS = {
    "TEXT": ("'a'", "'b'", "NULL"),
    "INTEGER": ("1", "2", "NULL"),
    "BLOB": ("x'00'", "x'0001'", "NULL"),
}


def make(path: Path, shape: str, key: str = "TEXT", journal: str = "DELETE") -> Path:
    """A database of the plan, and the plan beside it."""
    one, two, _ = KEYS[key]
    columns = (
        f'by {key}, "Changed At" TEXT, title TEXT, day TEXT AS (substr("Changed At", 1, 10)) STORED,'
        " year TEXT AS (substr(day, 1, 4)), who TEXT AS (typeof(by) || quote(by)) STORED"
    )
    execute(
        path,
        f"PRAGMA journal_mode = {journal}",
        f'CREATE TABLE "us ers" (id {key} PRIMARY KEY)',
        f'INSERT INTO "us ers" VALUES ({one}), ({two})',
        f"CREATE TABLE {TABLE} {SHAPES[shape].format(columns=columns)}",
        f'CREATE INDEX "by day" ON {TABLE} (day, who)',
        *(
            f'INSERT INTO {TABLE} (k, by, "Changed At", title) VALUES ({n}, {owner}, {at}, {n})'
            for n, owner, at in (
                (1, one, "'2024-01-02 03:04:05'"),
                (2, two, "'2024-01-02 03:04:05'"),
                (3, two, "NULL"),
            )
        ),
        "CREATE TABLE other (n INTEGER PRIMARY KEY AUTOINCREMENT, body)",
        "INSERT INTO other (body) VALUES (1), (NULL)",
    )
    (path.parent / "plan.toml").write_text(PLAN, encoding="utf-8")
    return path
