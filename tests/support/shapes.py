"""Small databases of every shape that a plan admits."""

from __future__ import annotations

from pathlib import Path

from tests.support.databases import connected

PLAN = """
[users]
table = 'App "Users"'
key = "select"
email = "E Mail"

[[resources]]
table = "order"
owner = "group"
updated_at = "Updated At"

[[resources]]
table = "no key"
owner = "by"
"""

USERS = '"App ""Users"""'

KEYS = {
    "TEXT": ("'ada'", "'Bob''s'", "'zoë '"),
    "INTEGER": ("-7", "0", "9007199254740993"),
    "BLOB": ("x'00'", "x'ff00'", "x'c3a9'"),
    "VARCHAR(36) COLLATE NOCASE": ("'a'", "'b'", "'ü'"),
}

TIMES = {
    "text": ("TEXT", "'2024-01-02T03:04:05.678Z'"),
    "epoch": ("INTEGER", "1704164645"),
    "milliseconds": ("INTEGER", "1704164645678"),
}


def make(path: Path, key: str, suffix: str, time: str, encoding: str, journal: str) -> None:
    """A small database of one shape, with every storage class in it and NULLs where they fit."""
    declared, value = TIMES[time]
    strict_key = key if "STRICT" not in suffix else key.split("(")[0].split(" ")[0]
    if strict_key.startswith("VARCHAR"):
        strict_key = "TEXT"
    ada, bob, zoe = KEYS[key]
    with connected(path) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        connection.execute(f"PRAGMA journal_mode = {journal}")
        for statement in (
            f"CREATE TABLE {USERS} ([select] {key} PRIMARY KEY NOT NULL, [E Mail] TEXT)",
            f"CREATE TABLE [order] ([key] TEXT NOT NULL, part INTEGER NOT NULL, [group] {strict_key}"
            f" REFERENCES {USERS}([select]), note BLOB, [Updated At] {declared},"
            f" PRIMARY KEY ([key], part)) {suffix}",
            f"CREATE TABLE [no key] (by {key}, body, [Organization] TEXT)",
            "CREATE TABLE [rowid] (rowid, _rowid_, oid, body)",
            "CREATE INDEX [by note] ON [order](note) WHERE note IS NOT NULL",
            "CREATE VIEW [view] AS SELECT [key], part FROM [order]",
            f"INSERT INTO {USERS} VALUES ({ada}, 'ada@example.org'), ({bob}, NULL), ({zoe}, '@x')",
            f"INSERT INTO [order] VALUES ('a', 1, {ada}, x'00', {value}),"
            f" ('a', 2, {bob}, NULL, NULL), ('b', 1, {ada}, x'', {value})",
            f"INSERT INTO [no key] VALUES ({zoe}, 1, NULL), ({zoe}, 1.0, NULL), ({bob}, 'x', '')",
            "INSERT INTO [rowid] VALUES (1, 1, 1, NULL), (1, 1, 1, NULL), (NULL, 2, x'00', -0.0)",
        ):
            connection.execute(statement)
