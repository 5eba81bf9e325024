"""Mutants of the file's header and of the schema."""

from __future__ import annotations

import random

from tests.support.mutants.content import quoted
from tests.support.mutants.original import AFTER_COMMIT, AT_BEGIN, Mutant, Original

# -- the header --------------------------------------------------------------------------------


def spoil_header(original: Original, moments: int) -> Mutant:
    """A setting of the file's header, before the first step, between two, or after the commit."""
    draw = original.draw
    name = draw.choice(
        ["user_version", "application_id", "auto_vacuum", "page_size", "journal_mode", "encoding"]
    )
    moment = draw.choice([AT_BEGIN, AFTER_COMMIT])
    if name in ("user_version", "application_id"):
        moment = draw.choice([AT_BEGIN, AFTER_COMMIT, *range(moments)])
        value = draw.choice([0, 1, -1, 2**31 - 1, draw.randrange(-(2**31), 2**31)])
        return Mutant("header", name, moment, (f"PRAGMA {name} = {value}",))
    if name == "auto_vacuum":
        mode = draw.choice(["FULL", "INCREMENTAL", "NONE"])
        return Mutant("header", name, moment, (f"PRAGMA auto_vacuum = {mode}", "VACUUM"))
    if name == "page_size":
        size = draw.choice([512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])
        script = ("PRAGMA journal_mode = DELETE", f"PRAGMA page_size = {size}", "VACUUM")
        return Mutant("header", name, moment, script)
    if name == "journal_mode":
        mode = draw.choice(["WAL", "DELETE"])
        return Mutant("header", name, moment, (f"PRAGMA journal_mode = {mode}",))
    encoding = draw.choice(["UTF-8", "UTF-16le", "UTF-16be"])
    return Mutant("header", name, moment, (encoding,))  # the whole file is written anew


# -- the schema --------------------------------------------------------------------------------


def spoil_schema(original: Original, moments: int) -> Mutant | None:
    """An object that comes, goes, or has another text."""
    draw = original.draw
    moment = draw.choice([AT_BEGIN, AFTER_COMMIT, AFTER_COMMIT, *range(moments)])
    tables = original.before if moment == AT_BEGIN else original.after
    table = draw.choice([t for t in tables if not t.name.startswith("sqlite_")])
    name, column = quoted(table.name), quoted(draw.choice(table.columns))
    kind = draw.choice(
        ["column", "index", "table", "view", "trigger", "removed", "renamed", "text", "order"]
    )
    number = draw.randrange(1000)
    sql: tuple[str, ...]
    if kind == "column":
        extra = draw.choice(
            ["", " TEXT", " INTEGER DEFAULT 0", f" AS ({column})", " REFERENCES users(id)"]
        )
        sql = draw.choice(
            [
                (f"ALTER TABLE {name} ADD COLUMN extra_{number}{extra}",),
                (f"ALTER TABLE {name} DROP COLUMN {column}",),
            ]
        )
    elif kind == "index":
        unique = draw.choice(["", "UNIQUE "])
        where = draw.choice(["", f" WHERE {column} IS NOT NULL"])
        sql = (f"CREATE {unique}INDEX extra_{number} ON {name} ({column}){where}",)
    elif kind == "table":
        rows = draw.choice(["", f" AS SELECT * FROM {name}"])
        sql = (f"CREATE TABLE extra_{number}{rows or ' (a, b TEXT)'}",)
    elif kind == "view":
        sql = (f"CREATE VIEW extra_{number} AS SELECT {column} FROM {name}",)
    elif kind == "trigger":
        event = draw.choice(["INSERT", "UPDATE", "DELETE"])
        sql = (f"CREATE TRIGGER extra_{number} AFTER {event} ON {name} WHEN 0 BEGIN SELECT 1; END",)
    elif kind == "renamed":
        sql = draw.choice(
            [
                (f"ALTER TABLE {name} RENAME TO extra_{number}",),
                (f"ALTER TABLE {name} RENAME COLUMN {column} TO extra_{number}",),
            ]
        )
    else:
        return _object(original, kind, moment)
    return Mutant(
        "schema", {"column": "column added or removed"}.get(kind, _title(kind)), moment, sql
    )


def _title(kind: str) -> str:
    return f"table or column {kind}" if kind == "renamed" else f"{kind} added"


def _object(original: Original, kind: str, moment: int) -> Mutant | None:
    """An object of the application that goes, has another text, or stands in another place."""
    draw = original.draw
    if not original.objects:
        return None
    type_, name, _, text = draw.choice(original.objects)
    drop = f"DROP {type_.upper()} {quoted(name)}"
    if kind == "removed":
        return Mutant("schema", f"{type_} removed", moment, (drop,))
    if kind == "order":
        if type_ != "trigger":
            return None
        return Mutant("schema", "trigger made anew, later", moment, (drop, text))
    pair = _other_words(draw, text)
    if pair is None:
        return None
    if type_ == "table":
        old, new, plain = (each.replace("'", "''") for each in (*pair, name))
        edit = f"UPDATE sqlite_schema SET sql = replace(sql, '{old}', '{new}')"
        return Mutant(
            "schema",
            "text of a table",
            moment,
            (
                "PRAGMA writable_schema = ON",
                f"{edit} WHERE type = 'table' AND name = '{plain}'",
                "PRAGMA writable_schema = RESET",
            ),
        )
    return Mutant("schema", f"text of a {type_}", moment, (drop, text.replace(*pair, 1)))


_WORDS = (
    (" DESC", ""),
    ("TEXT", "text"),
    ("TEXT", "BLOB"),
    (" NOT NULL", ""),
    (" UNIQUE", ""),
    (" REFERENCES users(id)", ""),
    ("AFTER", "BEFORE"),
    (" IS NOT NULL", " IS NULL"),
    ("SELECT", "select"),
    (" AS ", "  AS "),
    (" ON ", "  ON "),
    (", ", ",  "),
    ("count(*)", "count(1)"),
    ("INTEGER", "INT"),
    ("COLLATE NOCASE", "COLLATE BINARY"),
    ("UNION ALL", "UNION"),
    ("JOIN", "LEFT JOIN"),
    ("'2000'", "'1999'"),
    ("upper", "lower"),
    ("> 0", "> -1"),
)


def _other_words(draw: random.Random, text: str) -> tuple[str, str] | None:
    present = [pair for pair in _WORDS if pair[0] in text]
    return draw.choice(present) if present else None
