"""The files of `sql/`: found, read, and rendered with Jinja.

A template sees only SQL: names that are already quoted and literals that are already escaped, so
that nothing it can write is ever a raw value. A process reads each file once, so that what it runs,
and what it says that it runs, is one text even if somebody changes the file meanwhile.
"""

from __future__ import annotations

import functools
import hashlib
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import jinja2

from runbook.errors import InstallationError
from runbook.resources import resource_folder

FOLDER = resource_folder("sql")

_HEAD = re.compile(r"^-- (title|why|for each|when|columns|assumes): (.*)\n", re.MULTILINE)


@dataclass(frozen=True)
class SqlFile:
    """One file of `sql/`: its name without suffix, its head, and the template below the head."""

    name: str
    title: str
    why: str
    for_each: str
    when: str
    columns: tuple[str, ...]
    assumes: tuple[str, ...]
    body: str

    def render(self, **values: object) -> str:
        """The SQL for these values; a name that is missing is an error, never an empty text."""
        return template(self.body).render(**values).strip() + "\n"

    def statements(self, **values: object) -> tuple[str, ...]:
        """The SQL for these values as single statements, each complete."""
        return split_statements(self.render(**values))


@functools.cache
def environment() -> jinja2.Environment:
    """The Jinja environment over `sql/`. Nothing is escaped: names and literals come quoted."""
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: read_sql(FOLDER / name)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
        lstrip_blocks=False,
        keep_trailing_newline=True,
        autoescape=False,
    )


@functools.cache
def template(body: str) -> jinja2.Template:
    """A template, compiled once: a run renders most of them several times."""
    return environment().from_string(body)


@functools.cache
def sql_files(folder: str) -> tuple[SqlFile, ...]:
    """The files in `sql/<folder>`, by name."""
    return tuple(_read(path) for path in sorted((FOLDER / folder).glob("*.sql")))


def sql_file(name: str) -> SqlFile:
    """One file, for example `queries/before_by_owner`."""
    return _read(FOLDER / f"{name}.sql")


def read_sql(path: Path) -> str:
    """The text of a file of `sql/`, as this process first read it."""
    return _content(path).decode("utf-8").replace("\r\n", "\n")


@functools.cache
def sql_checksums(folder: Path) -> Mapping[str, str]:
    """SHA-256 of every file in the folder `sql`, as this process reads it."""
    return MappingProxyType(
        {
            str(path.relative_to(folder)): hashlib.sha256(_content(path)).hexdigest()
            for path in sorted(folder.rglob("*.sql"))
        }
    )


@functools.cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


@functools.cache
def _read(path: Path) -> SqlFile:
    try:
        text = read_sql(path)
    except FileNotFoundError as error:
        # Not the database's or the operator's fault, and never to be taken for it.
        raise InstallationError(
            f"The file 'sql/{path.relative_to(FOLDER)}' of the runbook"
        ) from error
    head = dict(_HEAD.findall(text))
    return SqlFile(
        name=path.stem,
        title=head.get("title", ""),
        why=head.get("why", ""),
        for_each=head.get("for each", ""),
        when=head.get("when", ""),
        columns=tuple(filter(None, head.get("columns", "").split(", "))),
        assumes=tuple(filter(None, head.get("assumes", "").split(", "))),
        body=_HEAD.sub("", text),
    )


def split_statements(text: str) -> tuple[str, ...]:
    """The statements of an SQL text, each with the comments above it and its semicolon.

    Knows strings, comments and trigger bodies, because SQLite itself is asked where a
    statement is complete.
    """
    statements: list[str] = []
    pending = ""
    for piece in re.split(r"(?<=;)", text):
        pending += piece
        if sqlite3.complete_statement(pending):
            statements.append(pending.strip())
            pending = ""
    if pending.strip() and re.sub(r"--[^\n]*", "", pending).strip():
        raise ValueError(f"unfinished SQL statement: {pending.strip()[:60]}")
    return tuple(statements)
