"""Remedies as scripts: what is no statement is a comment, whatever names and texts stand in it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from runbook.sqlite.sql_text import Token, tokens

_LATER = "-- and after the run, with the application's own connection:"


def with_way_back(script: Iterable[str], back: Iterable[str]) -> str:
    """A script for before the run, and in comments below it the one that undoes it afterwards."""
    lines = "\n".join(back).split("\n")  # a statement may have several
    return "\n".join([*script, _LATER, *(f"-- {line}" for line in lines)])


def comment(text: str) -> str:
    """The text as a comment at the end of a line, which no newline in a name can leave."""
    return " -- " + " ".join(text.split())


def word(path: Path) -> str:
    """The path as one word of a shell, whatever is in it."""
    return shlex.quote(str(path))


_NOT_IN_D1 = {
    ("TEMP",): "temporary tables",
    ("WRITABLE_SCHEMA",): "PRAGMA writable_schema",
    ("FOREIGN_KEYS", "=", "OFF"): "PRAGMA foreign_keys = OFF, which it ignores",
}
"""Words of our remedies that D1's engine does not do (a test asks workerd)."""


def for_d1(script: str) -> str:
    """The script as D1 takes it, whose `execute --file` is a transaction and refuses another.

    One that D1 cannot do stays as it is, for SQLite, and says above what to do with it.
    """
    read = tokens(script)
    words = [token.word for token in read]
    missing = [
        text
        for part, text in _NOT_IN_D1.items()
        if any(words[n : n + len(part)] == list(part) for n in range(len(words)))
    ]
    if missing:
        return (
            f"-- D1 has no {' and no '.join(missing)}. See what this changes in a copy "
            "(`wrangler d1 export NAME --output copy.sql`, `sqlite3 copy.db < copy.sql`), and make "
            f"the same changes in D1 by statements of your own.\n{script}"
        )
    kept, place = "", 0
    for number, token in enumerate(read):
        first = number == 0 or read[number - 1].word == ";"
        if first and (end := _end_of_bracket(read[number:])):
            kept += script[place : token.start]
            place = end + (script[end : end + 1] == "\n")
    return kept + script[place:]


def _end_of_bracket(read: tuple[Token, ...]) -> int:
    """Where `BEGIN;`, `BEGIN IMMEDIATE;` or `COMMIT;` ends, if the tokens begin with one; or 0."""
    words = [token.word for token in read[:3]]
    for bracket in (["BEGIN", ";"], ["BEGIN", "IMMEDIATE", ";"], ["COMMIT", ";"]):
        if words[: len(bracket)] == bracket:
            return read[len(bracket) - 1].end
    return 0
