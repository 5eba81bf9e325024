"""The generator: from a seed and from what is known of a database, mutants without end.

A mutant is a statement at a moment, or another text of a statement of the script. What SQLite does
not take is none, and whoever runs them lets it go.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from runbook.script.migration import Script
from tests.support.matrix import changes
from tests.support.mutants.content import quoted

Kind = Literal["SQL", "data before the gate", "data after the commit", "header", "schema"]
KINDS: tuple[Kind, ...] = (
    "SQL",
    "data before the gate",
    "data after the commit",
    "header",
    "schema",
)

AT_BEGIN, AFTER_COMMIT = -1, 99
"""Moments besides the numbers of the steps after which something is done."""


@dataclass(frozen=True)
class Mutant:
    """One thing that goes wrong, at a moment; `statement` replaces one of the script's for SQL."""

    kind: Kind
    name: str
    moment: int
    sql: tuple[str, ...]
    statement: tuple[int, int] | None = None
    """Step and number of the statement that is replaced by `sql`."""

    @property
    def is_before(self) -> bool:
        """Whether the gate has to find it."""
        return self.moment != AFTER_COMMIT


@dataclass(frozen=True)
class TableFacts:
    """One table: its columns, those that can be written, the key, and how many rows."""

    name: str
    columns: tuple[str, ...]
    writable: tuple[str, ...]
    key: tuple[str, ...]
    rowid: str | None
    rows: int
    where: str
    """Which of the groups of the published table it belongs to."""

    def row(self, number: int) -> str:
        """The condition for one row."""
        names = (self.rowid,) if self.rowid else tuple(map(quoted, self.key))
        listed = ", ".join(names)
        pick = f"SELECT {listed} FROM {quoted(self.name)} ORDER BY {listed} LIMIT 1 OFFSET {number}"
        return f"({listed}) = ({pick})" if len(names) > 1 else f"{listed} = ({pick})"

    def other(self, column: str, number: int) -> str:
        """The value of a column in another row."""
        return (
            f"(SELECT {quoted(column)} FROM {quoted(self.name)} ORDER BY 1 LIMIT 1 OFFSET {number})"
        )


@dataclass(frozen=True)
class Facts:
    """What the generator knows: tables and objects before and after, and the script."""

    before: tuple[TableFacts, ...]
    after: tuple[TableFacts, ...]
    objects: tuple[tuple[str, str, str, str], ...]
    """Type, name, table and text of what the application made."""
    script: Script
    draw: random.Random = field(default_factory=lambda: random.Random(0))

    def seeded(self, seed: int) -> Facts:
        """The same with another seed."""
        return replace(self, draw=random.Random(seed))


def read_tables(path: Path, where: Callable[[str], str]) -> tuple[TableFacts, ...]:
    """The tables that have rows to be changed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
                " AND name NOT LIKE 'sqlite_schema' ORDER BY name"
            )
        ]
        return tuple(_read_table(connection, name, where(name)) for name in names)


def _read_table(connection: sqlite3.Connection, name: str, where: str) -> TableFacts:
    columns = connection.execute(
        "SELECT name, pk, hidden FROM pragma_table_xinfo(?)", (name,)
    ).fetchall()
    (rows,) = connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()
    (without,) = connection.execute(
        "SELECT wr FROM pragma_table_list WHERE name = ? AND schema = 'main'", (name,)
    ).fetchone()
    taken = {c.casefold() for c, _, _ in columns}
    free = next((a for a in ("rowid", "_rowid_", "oid") if a not in taken), None)
    return TableFacts(
        name,
        tuple(c for c, _, _ in columns),
        tuple(c for c, _, hidden in columns if not hidden),
        tuple(c for c, pk, _ in sorted(columns, key=lambda c: c[1]) if pk),
        None if without else free,
        rows,
        where,
    )


def mutants(facts: Facts, kind: Kind, moments: int) -> Iterator[Mutant]:
    """Mutants of one kind, for ever; `moments` is the number of steps."""
    makers = {
        "SQL": _sql,
        "data before the gate": _data_before,
        "data after the commit": _data_after,
        "header": _header,
        "schema": _schema,
    }
    while True:
        mutant = makers[kind](facts, moments)
        if mutant is not None:
            yield mutant


# -- data --------------------------------------------------------------------------------------


def _data_before(facts: Facts, moments: int) -> Mutant:
    """A write before the first step, or between two of the steps."""
    moment = facts.draw.choice([AT_BEGIN, AT_BEGIN, *range(moments), moments - 1])
    tables = facts.before if moment == AT_BEGIN else facts.after
    table = _choose_table(facts.draw, tables)
    name, sql = _write(facts.draw, table)
    return Mutant("data before the gate", f"{table.where}: {name}", moment, sql)


def _data_after(facts: Facts, moments: int) -> Mutant:
    table = _choose_table(facts.draw, facts.after)
    name, sql = _write(facts.draw, table)
    return Mutant("data after the commit", f"{table.where}: {name}", AFTER_COMMIT, sql)


def _choose_table(draw: random.Random, tables: tuple[TableFacts, ...]) -> TableFacts:
    return draw.choice([t for t in tables if t.rows and (t.rowid or t.key)])


def _write(draw: random.Random, table: TableFacts) -> tuple[str, tuple[str, ...]]:
    """One kind of write to a table, with its name."""
    kind = draw.choices(
        ["value", "values of a column", "values exchanged", "row removed", "row added", "emptied"],
        [60, 6, 8, 10, 12, 4],
    )[0]
    name, number = quoted(table.name), draw.randrange(table.rows)
    row = table.row(number)
    column = draw.choice(table.writable)
    cell = quoted(column)
    if kind == "value":
        value = _value(draw, table, column)
        return kind, (f"UPDATE {name} SET {cell} = {value} WHERE {row}",)
    if kind == "values of a column":
        return kind, (f"UPDATE {name} SET {cell} = {_value(draw, table, column)}",)
    if kind == "values exchanged":
        other = table.row((number + 1) % table.rows)
        pick = f"(SELECT {cell} FROM {name} WHERE {{}})"
        return kind, (
            f"CREATE TEMP TABLE kept AS SELECT {pick.format(row)} AS a, {pick.format(other)} AS b",
            f"UPDATE {name} SET {cell} = CASE WHEN {row} THEN (SELECT b FROM kept)"
            f" ELSE (SELECT a FROM kept) END WHERE {row} OR {other}",
            "DROP TABLE kept",
        )
    if kind == "row removed":
        return kind, (f"DELETE FROM {name} WHERE {row}",)
    if kind == "emptied":
        return kind, (f"DELETE FROM {name}",)
    columns = ", ".join(map(quoted, table.writable))
    new = {c for c in table.writable if c in table.key or draw.random() < 0.4}
    values = ", ".join(_next(c) if c in new else quoted(c) for c in table.writable)
    return kind, (f"INSERT INTO {name} ({columns}) SELECT {values} FROM {name} WHERE {row}",)


def _next(column: str) -> str:
    """A value of the same class that is hardly there yet."""
    c = quoted(column)
    return (
        f"CASE typeof({c}) WHEN 'integer' THEN abs({c} % 1000000) + 1000 WHEN 'blob' THEN"
        f" CAST({c} || 'x' AS BLOB) ELSE {c} || 'x' END"
    )


_LITERALS = [change.after for change in changes() if "9000" not in change.after]


def _value(draw: random.Random, table: TableFacts, column: str) -> str:
    """An SQL expression for another value of a cell; sometimes it is the same one."""
    c = quoted(column)
    derived = [
        "NULL",
        f"{c} || ' '",
        f"CAST({c} AS BLOB)",
        f"CAST({c} AS TEXT)",
        f"upper({c})",
        f"{c} + 1",
        f"1.0 * {c}",
        f"replace({c}, '0', '1')",
        f"replace({c}, 'e', char(233))",
        f"substr({c}, 2)",
        table.other(column, draw.randrange(table.rows)),
        table.other(column, draw.randrange(table.rows)),
        table.other(draw.choice(table.columns), draw.randrange(table.rows)),
    ]
    return draw.choice(derived) if draw.random() < 0.7 else draw.choice(_LITERALS)


# -- the script --------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"--[^\n]*|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\[[^\]]*\]|\d+|\w+|<>|\|\||\s+|[^\w\s]"
)
_CLAUSES = (
    " NOT NULL",
    " UNIQUE",
    " PRIMARY KEY",
    " ON DELETE CASCADE",
    " ON DELETE SET NULL",
    " DEFAULT 'personal'",
    " DEFAULT '{}'",
    " DEFAULT (datetime('now'))",
    " REFERENCES organizations(id)",
    " COLLATE BINARY",
    "ORDER BY o.rowid",
)
_SWAPS = {
    "=": ("<>", "<", "IS NOT", "IS", ">="),
    "<": (">=", "<=", "="),
    "IS": ("IS NOT",),
    "AND": ("OR",),
    "OR": ("AND",),
    "IN": ("NOT IN",),
    "THEN": ("THEN NULL ||", "THEN '' ||"),
    "ELSE": ("ELSE NULL ||", "ELSE '' ||"),
    "lower": ("upper", "", "quote"),
    "hex": ("quote", "lower", ""),
    "instr": ("length", "max", "min"),
    "substr": ("replace", "max", "ltrim"),
    "typeof": ("quote", ""),
    "count": ("total", "min"),
    "TEXT": ("BLOB", "INTEGER", "text", "ANY"),
    "INSERT": ("INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE"),
    "ADD": ("ADD COLUMN extra, ADD",),
    "CREATE": ("CREATE TEMP",),
    "SELECT": ("SELECT DISTINCT",),
    "INDEX": ("UNIQUE INDEX",),
    "EXISTS": ("NOT EXISTS",),
}


def _sql(facts: Facts, moments: int) -> Mutant | None:
    """One statement of the script removed, doubled, or with another text."""
    draw = facts.draw
    step = draw.choice([*range(moments), *range(4, 7), 6])
    statements = facts.script.steps[step].statements
    if not statements:
        return None
    number = draw.randrange(len(statements))
    text = statements[number]
    operation = draw.choice([_remove, _double, *[_token] * 8, _clause, _clause, *[_condition] * 3])
    changed = operation(draw, text)
    if changed is None or changed == (text,):
        return None
    name = operation.__name__.strip("_")
    title = {
        "remove": "a statement removed",
        "double": "a statement run twice",
        "token": "a word, literal or operator",
        "clause": "a clause left out",
        "condition": "a condition or limit added",
    }[name]
    return Mutant("SQL", title, step, changed, (step, number))


def _remove(draw: random.Random, text: str) -> tuple[str, ...]:
    return ()


def _double(draw: random.Random, text: str) -> tuple[str, ...]:
    return text, text


def _clause(draw: random.Random, text: str) -> tuple[str, ...] | None:
    present = [c for c in _CLAUSES if c in text]
    if not present:
        return None
    clause = draw.choice(present)
    at = draw.choice([m.start() for m in re.finditer(re.escape(clause), text)])
    return (text[:at] + text[at + len(clause) :],)


def _condition(draw: random.Random, text: str) -> tuple[str, ...] | None:
    """Rows left out of an INSERT ... SELECT or an UPDATE, or a value overwritten."""
    body = text.rstrip("; \n")
    if body.startswith("UPDATE"):
        more = draw.choice(
            [
                " AND random() IS NULL",
                f" AND (SELECT count(*) FROM organizations) > {draw.randrange(6)}",
                " AND organization_id IS NOT NULL",
                f" OR length(organization_id) > {draw.randrange(9)}",
            ]
        )
        return (f"{body}{more};",)
    if "SELECT" in body and body.startswith("INSERT"):
        limit = draw.choice([0, 1, 2, 3, 100])
        return (f"{body} LIMIT {limit};",)
    return None


def _token(draw: random.Random, text: str) -> tuple[str, ...] | None:
    tokens = _TOKEN.findall(text)
    places = [i for i, t in enumerate(tokens) if not t.isspace() and not t.startswith("--")]
    at = draw.choice(places)
    token = tokens[at]
    if token.startswith("'"):
        new = draw.choice(
            [
                "''",
                "'x'",
                "NULL",
                token[:-1] + " '",
                token.upper(),
                "'" + token[2:] if len(token) > 2 else "' '",
            ]
        )
    elif token.isdigit():
        new = str(draw.choice([int(token) + 1, max(int(token) - 1, 0), 0]))
    elif token in _SWAPS:
        new = draw.choice(_SWAPS[token])
    elif re.fullmatch(r"\w+|\".*\"|\[.*\]", token):
        same = [t for t in tokens if re.fullmatch(r"[a-z_]\w*|\".*\"", t) and t != token]
        new = draw.choice(same) if same else ""
    else:
        return None
    tokens[at] = new
    return ("".join(tokens),)


# -- the header --------------------------------------------------------------------------------


def _header(facts: Facts, moments: int) -> Mutant:
    """A setting of the file's header, before the first step, between two, or after the commit."""
    draw = facts.draw
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


def _schema(facts: Facts, moments: int) -> Mutant | None:
    """An object that comes, goes, or has another text."""
    draw = facts.draw
    moment = draw.choice([AT_BEGIN, AFTER_COMMIT, AFTER_COMMIT, *range(moments)])
    tables = facts.before if moment == AT_BEGIN else facts.after
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
        return _object(facts, kind, moment)
    return Mutant(
        "schema", {"column": "column added or removed"}.get(kind, _title(kind)), moment, sql
    )


def _title(kind: str) -> str:
    return f"table or column {kind}" if kind == "renamed" else f"{kind} added"


def _object(facts: Facts, kind: str, moment: int) -> Mutant | None:
    """An object of the application that goes, has another text, or stands in another place."""
    draw = facts.draw
    if not facts.objects:
        return None
    type_, name, _, text = draw.choice(facts.objects)
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
