"""Whether a database file is sound: its pages, its indexes, and the rows that break its own rules.

`PRAGMA integrity_check` mixes three kinds of trouble in one list. Damaged pages lose data; an index
that lacks rows can be made anew; a NULL in a NOT NULL column is a value like any other in a file
that is perfectly sound. They are told apart here.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from runbook.sqlite.quoting import quote_name
from runbook.sqlite.sql_text import tokens
from runbook.wording import counted

Method = Literal["integrity_check", "indexes counted"]

ALWAYS_BYTES = 200_000_000
"""Up to this size `integrity_check` is run, whatever it takes."""
BYTES_A_SECOND = 16_000_000
"""What it reads, measured on 190 MB with random keys and four indexes on a busy machine."""
MOST_SECONDS = 30

_MOST_LINES = 1000
_MOST_SHOWN = 10
_OF_INDEX = re.compile(
    r"(?:row \S+ missing from|wrong # of entries in|non-unique entry in|rowid not at end-of-record"
    r" for row \S+ of|values differ) index (?P<index>.+)$",
    re.DOTALL,
)
# Python cannot decode a message in which SQLite quotes damaged text.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)
_OF_CODE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR")


@dataclass
class Soundness:
    """What a check found. Where all are empty, the file and its rows are as they should be."""

    method: Method
    pages: list[str] = field(default_factory=list)
    """SQLite's lines about damaged pages, at most ten."""
    indexes: dict[str, str] = field(default_factory=dict)
    """Index that does not agree with its table, and SQLite's first line about it."""
    repeated: dict[str, str] = field(default_factory=dict)
    """Unique index with equal entries, and SQLite's first line about it."""
    nulls: dict[tuple[str, str], None] = field(default_factory=dict)
    """(table, column) declared NOT NULL that holds NULL."""
    types: dict[tuple[str, str], None] = field(default_factory=dict)
    """(table, column) with values of a type that it does not admit."""
    checks: dict[str, None] = field(default_factory=dict)
    """Tables with rows that do not meet a CHECK."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Table that cannot be checked or read whole, and SQLite's error."""

    @property
    def damaged(self) -> bool:
        """Whether pages are damaged or an index does not agree with its table."""
        return bool(self.pages or self.indexes)


def method_for(size: int) -> Method:
    """What fits the time for a file of `size` bytes."""
    fits = size <= max(ALWAYS_BYTES, BYTES_A_SECOND * MOST_SECONDS)
    return "integrity_check" if fits else "indexes counted"


def check_soundness(connection: sqlite3.Connection, method: Method) -> Soundness:
    """Checks the whole database, which is only read.

    "indexes counted" is `quick_check`, which reads every page and leaves the indexes' content out,
    and then each index counted against its table.
    """
    before = connection.text_factory
    connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
    try:
        return _check(connection, Soundness(method))
    finally:
        connection.text_factory = before


def _check(connection: sqlite3.Connection, soundness: Soundness) -> Soundness:
    method = soundness.method
    pragma = "integrity_check" if method == "integrity_check" else "quick_check"
    tables = _columns(connection, soundness)
    try:
        _read_lines(connection, pragma, tables, soundness)
    except _ERRORS as error:
        if is_damage(error):
            soundness.pages.append(str(error))
            return soundness
        _one_by_one(connection, pragma, tables, soundness)
    if method == "indexes counted" and not soundness.pages:
        for table in tables:
            _count(connection, table, soundness)
    return soundness


def is_damage(error: Exception) -> bool:
    """Whether SQLite stumbled over damaged pages or a disk that cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return True
    return str(getattr(error, "sqlite_errorname", "")).startswith(_OF_CODE)


def _columns(connection: sqlite3.Connection, soundness: Soundness) -> dict[str, tuple[str, ...]]:
    """Table to columns; damage that hides them is noted."""
    columns = {}
    try:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY rowid"
        ).fetchall():
            columns[name] = tuple(
                c for (c,) in connection.execute("SELECT name FROM pragma_table_xinfo(?)", (name,))
            )
    except _ERRORS as error:
        soundness.pages.append(str(error))
    return columns


def _read_lines(
    connection: sqlite3.Connection,
    pragma: str,
    tables: dict[str, tuple[str, ...]],
    soundness: Soundness,
) -> None:
    """Sorts the pragma's lines; as many as there are, where rows alone fill the first thousand."""
    for most in (_MOST_LINES, 2**31 - 1):
        lines = 0
        for line in _lines(connection, f"PRAGMA main.{pragma}({most})"):
            lines += 1
            _sort(line, tables, soundness)
            if len(soundness.pages) >= _MOST_SHOWN:
                return
        if lines < _MOST_LINES:
            return


def _lines(connection: sqlite3.Connection, pragma: str) -> Iterator[str]:
    for (text,) in connection.execute(pragma):
        if text != "ok":
            yield str(text)


def _sort(line: str, tables: dict[str, tuple[str, ...]], soundness: Soundness) -> None:
    """Enters one line where it belongs; what is not known is about pages."""
    match = _OF_INDEX.search(line)
    if match:
        kind = soundness.repeated if line.startswith("non-unique") else soundness.indexes
        kind.setdefault(match["index"], line)
        return
    if line.startswith("CHECK constraint failed in "):
        soundness.checks[line.removeprefix("CHECK constraint failed in ")] = None
        return
    kind_of_value, separator, place = line.partition(" value in ")
    if separator:
        for table, columns in tables.items():
            for column in columns:
                if place == f"{table}.{column}":
                    into = soundness.nulls if kind_of_value == "NULL" else soundness.types
                    into[table, column] = None
                    return
    soundness.pages.append(line[:200])


def _one_by_one(
    connection: sqlite3.Connection,
    pragma: str,
    tables: dict[str, tuple[str, ...]],
    soundness: Soundness,
) -> None:
    """Each table by itself, since one of them keeps SQLite from checking them all at once."""
    for table in tables:
        try:
            for line in _lines(connection, f"PRAGMA main.{pragma}({quote_name(table)})"):
                _sort(line, tables, soundness)
        except _ERRORS as error:
            if is_damage(error):
                soundness.pages.append(str(error))
                continue
            soundness.unreadable[table] = str(error)
            if pragma == "integrity_check":
                _count(connection, table, soundness)


def _count(connection: sqlite3.Connection, table: str, soundness: Soundness) -> None:
    """Counts each index of the table against it: a partial one against the rows that it is of."""
    name = f"main.{quote_name(table)}"
    for index, sql in connection.execute(
        "SELECT name, sql FROM main.sqlite_schema WHERE type = 'index' AND tbl_name = ?", (table,)
    ).fetchall():
        where = partial_condition(sql or "")
        try:
            # For count(*) SQLite takes the smallest index, whichever is named.
            (entries,) = connection.execute(
                f"SELECT ifnull(sum(1), 0) FROM {name} INDEXED BY {quote_name(index)}{where}"
            ).fetchone()
            (rows,) = connection.execute(
                f"SELECT count(*) FROM {name} NOT INDEXED{where}"
            ).fetchone()
        except _ERRORS as error:
            if is_damage(error):
                soundness.pages.append(str(error))
            else:
                soundness.unreadable.setdefault(table, str(error))
            continue
        if entries != rows:
            held = counted(entries, "entry", "entries")
            line = f"{held} in index {index}, {counted(rows, 'row')} in its table"
            soundness.indexes.setdefault(index, line)


def partial_condition(sql: str) -> str:
    """The WHERE of a CREATE INDEX with a blank before it; empty where there is none."""
    depth = 0
    for token in tokens(sql):
        depth += {"(": 1, ")": -1}.get(token.word, 0)
        if token.word == "WHERE" and not depth:
            return " " + sql[token.start :]
    return ""
