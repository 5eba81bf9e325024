"""What stands in the text of a CREATE TABLE: its checks and what its generated columns compute."""

from __future__ import annotations

from runbook.sqlite.quoting import same_name
from runbook.sqlite.sql_text import Token, as_comment, tokens


def check_expressions(sql: str) -> tuple[str, ...]:
    """The expressions of all CHECK constraints, as they are written."""
    read, checks, depth = tokens(sql), [], 0
    for place, token in enumerate(read):
        if token.word == "CHECK" and depth == 1 and _is(read, place + 1, "("):
            checks.append(_bracket(sql, read, place + 1))
        depth += {"(": 1, ")": -1}.get(token.word, 0)
    return tuple(checks)


def generated_definition(sql: str, column: str) -> str:
    """A column's whole definition, as ADD COLUMN takes it; empty where the text has none."""
    read = tokens(sql)
    first = _definition(read, column)
    if first is None:
        return ""
    depth = 0
    for place in range(first, len(read)):
        if not depth and read[place].word in (",", ")"):
            return sql[read[first].start : read[place - 1].end]
        depth += {"(": 1, ")": -1}.get(read[place].word, 0)
    return ""


def column_part(sql: str, column: str) -> str:
    """A column's definition with the comma or bracket before it, which stands in the text once."""
    read = tokens(sql)
    first = _definition(read, column)
    if first is None:
        return ""
    definition = generated_definition(sql, column)
    return sql[read[first - 1].start : read[first].start] + definition


def generated_expression(sql: str, column: str) -> str:
    """The expression of a generated column; empty where it is none."""
    read = tokens(sql)
    first = _definition(read, column)
    if first is None:
        return ""
    for place in range(first + 1, len(read)):
        if read[place].word == "AS" and _is(read, place + 1, "("):
            return _bracket(sql, read, place + 1)
        if read[place].word == ",":
            break
    return ""


def not_generated(definition: str) -> str:
    """A generated column's definition with what generates it in a comment."""
    read = tokens(definition)
    start = next(i for i, t in enumerate(read) if t.word == "AS" and _is(read, i + 1, "("))
    end, depth = start + 1, 0
    while True:
        depth += {"(": 1, ")": -1}.get(read[end].word, 0)
        if not depth:
            break
        end += 1
    if start >= 2 and [t.word for t in read[start - 2 : start]] == ["GENERATED", "ALWAYS"]:
        start -= 2
    if end + 1 < len(read) and read[end + 1].word in ("STORED", "VIRTUAL"):
        end += 1
    words = definition[read[start].start : read[end].end]
    return definition[: read[start].start] + as_comment(words) + definition[read[end].end :]


def mentions(sql: str, name: str) -> int:
    """How often the name stands in the text."""
    return sum(token.is_name and same_name(token.name, name) for token in tokens(sql))


def _definition(read: tuple[Token, ...], column: str) -> int | None:
    """The token that begins the column's definition."""
    depth = 0
    for place, token in enumerate(read):
        before = read[place - 1].word if place else ""
        if depth == 1 and before in ("(", ",") and token.is_name and same_name(token.name, column):
            return place
        depth += {"(": 1, ")": -1}.get(token.word, 0)
    return None


def _is(read: tuple[Token, ...], place: int, word: str) -> bool:
    return place < len(read) and read[place].word == word


def _bracket(sql: str, read: tuple[Token, ...], place: int) -> str:
    """What stands in the brackets that open at `place`."""
    depth = 0
    for position in range(place, len(read)):
        depth += {"(": 1, ")": -1}.get(read[position].word, 0)
        if not depth:
            return sql[read[place].end : read[position].start].strip()
    return ""


_CONSTRAINTS = frozenset(
    (
        *("CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE"),
        *("REFERENCES", "GENERATED", "AS"),
    )
)


def retyped(sql: str, column: str, declared: str) -> str:
    """The CREATE TABLE with another declared type for a column."""
    read = tokens(sql)
    first = _definition(read, column)
    if first is None:
        return sql
    last = first
    while read[last + 1].is_name and read[last + 1].word not in _CONSTRAINTS:
        last += 1
    if last > first and _is(read, last + 1, "("):
        while read[last].word != ")":
            last += 1
    return f"{sql[: read[first].end]} {declared}{sql[read[last].end :]}"
