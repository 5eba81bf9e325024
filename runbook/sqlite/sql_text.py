"""SQL text in pieces: where its tokens stand, and which tables it takes rows from.

This is no parser. It serves to propose a changed text, which SQLite then compiles; whether a text
means what it should is for SQLite to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runbook.sqlite.quoting import IN_WORD, fold_name, quote_name

_TOKEN = re.compile(
    r"(?P<skip>--[^\n]*|/\*.*?(?:\*/|\Z)|[ \t\n\f\r]+)"
    r"|(?P<quoted>\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\])"
    r"|(?P<literal>[xX]?'(?:[^']|'')*'|[0-9][0-9A-Za-z_.]*)"
    rf"|(?P<name>[{IN_WORD}]+)"
    r"|(?P<sign>.)",
    re.DOTALL,
)

_ENDS_FROM = frozenset(
    (
        *("WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "INTERSECT", "EXCEPT", "WINDOW"),
        *("SELECT", "SET", "VALUES", "RETURNING", "INSERT", "UPDATE", "DELETE", "REPLACE", "END"),
    )
)
_AFTER_SOURCE = _ENDS_FROM | {
    *("NATURAL", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "OUTER", "JOIN", "ON", "USING"),
    *("INDEXED", "NOT"),
}


@dataclass(frozen=True)
class Token:
    """A piece of SQL at `start` to `end`; `word` is an unquoted word in capitals, or a sign."""

    text: str
    start: int
    end: int
    word: str
    is_name: bool

    @property
    def name(self) -> str:
        """The identifier without its quotes."""
        return bare(self.text)


def tokens(sql: str) -> tuple[Token, ...]:
    """The tokens of `sql`, without blanks and comments."""
    pieces = []
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup
        if kind == "skip":
            continue
        text = match.group()
        word = text.upper() if kind in ("name", "sign") else ""
        pieces.append(Token(text, *match.span(), word, kind in ("name", "quoted")))
    return tuple(pieces)


def bare(token: str) -> str:
    """A name without its quotes."""
    if token[:1] in ('"', "`"):
        return token[1:-1].replace(token[0] * 2, token[0])
    return token[1:-1] if token[:1] == "[" else token


@dataclass(frozen=True)
class Source:
    """A table, view or query that rows are taken from; `name` is None for a query in brackets.

    `start` to `end` is its name without an alias, `until` the end of both. `natural` is the place
    of the word NATURAL before it, and `left` are the sources that it is joined to.
    """

    name: str | None
    alias: str | None
    start: int
    end: int
    until: int
    natural: tuple[int, int] | None = None
    left: tuple[Source, ...] = ()


@dataclass
class _Level:
    """What is known within one pair of brackets."""

    in_from: bool = False
    expecting: bool = False
    natural: tuple[int, int] | None = None
    sources: list[Source] = field(default_factory=list)


def sources(sql: str) -> tuple[Source, ...]:
    """Every source that a FROM or JOIN names, in the order of the text."""
    read, every = tokens(sql), []
    levels = [_Level()]
    place = 0
    while place < len(read):
        token, level = read[place], levels[-1]
        if level.expecting and (token.word == "(" or token.is_name):
            level.expecting = False
            opens_query = token.word == "("
            if opens_query and _word(read, place + 1) not in ("SELECT", "WITH", "VALUES"):
                levels.append(_Level(in_from=True, expecting=True))
                place += 1
                continue
            last = _closing(read, place) if opens_query else _end_of_name(read, place)
            call = not opens_query and _word(read, last + 1) == "("
            until, alias = last, None
            if not call:
                until, alias = _alias(read, last)
            name = None if opens_query or call else read[last].name
            source = Source(
                name,
                alias,
                token.start,
                read[last].end,
                read[until].end,
                level.natural,
                tuple(level.sources),
            )
            level.sources.append(source)
            level.natural = None
            every.append(source)
            place = place + 1 if opens_query else until + 1
            if opens_query:
                levels.append(_Level())
            continue
        _step(levels, read, place)
        place += 1
    return tuple(every)


def _step(levels: list[_Level], read: tuple[Token, ...], place: int) -> None:
    """One token that is no source: what it opens, closes or announces."""
    level, word = levels[-1], read[place].word
    if word == "(":
        levels.append(_Level())
    elif word == ")" and len(levels) > 1:
        levels.pop()
    elif word == "FROM" and _word(read, place - 1) not in ("DISTINCT", "DELETE"):
        level.in_from, level.expecting, level.sources, level.natural = True, True, [], None
    elif word == "NATURAL" and level.in_from:
        level.natural = (read[place].start, read[place + 1].start)
    elif (word == "," and level.in_from) or word == "JOIN":
        level.expecting = level.in_from
    elif word in _ENDS_FROM or word == ";":
        level.in_from = level.expecting = False


def _word(read: tuple[Token, ...], place: int) -> str:
    return read[place].word if 0 <= place < len(read) else ""


def _closing(read: tuple[Token, ...], place: int) -> int:
    """The bracket that closes the one at `place`."""
    depth = 0
    for position in range(place, len(read)):
        depth += {"(": 1, ")": -1}.get(read[position].word, 0)
        if not depth:
            return position
    return len(read) - 1


def _end_of_name(read: tuple[Token, ...], place: int) -> int:
    """The last token of `name` or `schema.name`."""
    return place + 2 if _word(read, place + 1) == "." and place + 2 < len(read) else place


def _alias(read: tuple[Token, ...], last: int) -> tuple[int, str | None]:
    """The last token of an alias after `last`, and the alias."""
    following = last + 1
    if _word(read, following) == "AS":
        return following + 1, read[following + 1].name
    if (
        following < len(read)
        and read[following].is_name
        and read[following].word not in _AFTER_SOURCE
    ):
        return following, read[following].name
    return last, None


Columns = Mapping[str, tuple[str, ...]]
"""Folded name of a table or view to its columns."""


def natural_as_using(sql: str, columns: Columns) -> str | None:
    """The text with each NATURAL JOIN as JOIN … USING, or None where that cannot be told.

    `columns` are those of today: with them the join goes by what it goes by today.
    """
    edits: list[tuple[int, int, str]] = []
    for source in sources(sql):
        if source.natural is None:
            continue
        every = [source, *source.left]
        if any(s.name is None or fold_name(s.name) not in columns for s in every):
            return None
        left = {fold_name(c) for s in source.left if s.name for c in columns[fold_name(s.name)]}
        assert source.name is not None
        shared = [c for c in columns[fold_name(source.name)] if fold_name(c) in left]
        edits.append((*source.natural, ""))
        if shared:
            names = ", ".join(map(quote_name, shared))
            edits.append((source.until, source.until, f" USING ({names})"))
    return edited(sql, edits) if edits else None


def without_new_columns(sql: str, columns: Columns) -> str | None:
    """The text with each of these tables as a query of the given columns, or None without any."""
    edits = []
    for source in sources(sql):
        if source.name is None or fold_name(source.name) not in columns:
            continue
        names = ", ".join(map(quote_name, columns[fold_name(source.name)]))
        alias = "" if source.alias else f" AS {quote_name(source.name)}"
        text = f"(SELECT {names} FROM {sql[source.start : source.end]}){alias}"
        edits.append((source.start, source.end, text))
    return edited(sql, edits) if edits else None


def with_columns_named(sql: str, columns: Columns) -> str | None:
    """The text with the columns named in each INSERT into these tables, or None without any."""
    read, edits = tokens(sql), []
    for place, token in enumerate(read):
        if token.word != "INTO" or place + 1 >= len(read) or not read[place + 1].is_name:
            continue
        last = _end_of_name(read, place + 1)
        until, _ = _alias(read, last) if _word(read, last + 1) == "AS" else (last, None)
        names = columns.get(fold_name(read[last].name))
        if names and _word(read, until + 1) not in ("(", "DEFAULT"):
            text = f" ({', '.join(map(quote_name, names))})"
            edits.append((read[until].end, read[until].end, text))
    return edited(sql, edits) if edits else None


def as_comment(sql: str) -> str:
    """The SQL as a comment within SQL."""
    return "/*" + sql.replace("*/", "* /") + "*/"


def edited(sql: str, edits: list[tuple[int, int, str]]) -> str:
    """The text with what stands from start to end replaced, for each of the edits."""
    for start, end, text in sorted(edits, reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql


def references(sql: str) -> Iterator[tuple[Token, int, int]]:
    """Each REFERENCES of a CREATE TABLE: the parent's name, and from where to where it stands.

    The whole clause is meant: a table constraint from its CONSTRAINT or FOREIGN on, or what
    follows a column's type; with its comma where it is a constraint of the table.
    """
    read = tokens(sql)
    for place, token in enumerate(read):
        if token.word == "REFERENCES" and place + 1 < len(read) and read[place + 1].is_name:
            first = _start_of_reference(read, place)
            last = _end_of_reference(read, place + 1)
            yield read[place + 1], read[first].start, read[last].end


def _start_of_reference(read: tuple[Token, ...], place: int) -> int:
    """Where the clause begins, with the constraint's name and a table constraint's comma."""
    first = place
    if _word(read, place - 1) == ")":  # FOREIGN KEY (…), or a column whose type ends in a bracket
        first_bracket = place - 1
        depth = 0
        while first_bracket >= 0:
            depth += {")": 1, "(": -1}.get(read[first_bracket].word, 0)
            if not depth:
                break
            first_bracket -= 1
        if (_word(read, first_bracket - 2), _word(read, first_bracket - 1)) == ("FOREIGN", "KEY"):
            first = first_bracket - 2
    if _word(read, first - 2) == "CONSTRAINT":
        first -= 2
    return first - 1 if first < place and _word(read, first - 1) == "," else first


def _end_of_reference(read: tuple[Token, ...], place: int) -> int:
    """The last token of the clause whose parent stands at `place`."""
    last = place
    if _word(read, last + 1) == "(":
        last = _closing(read, last + 1)
    while True:
        following = [_word(read, last + n) for n in (1, 2, 3, 4)]
        if following[0] == "ON" and following[1] in ("DELETE", "UPDATE"):
            last += 4 if following[2] in ("SET", "NO") else 3
        elif following[0] == "MATCH":
            last += 2
        elif following[0] == "DEFERRABLE" or following[:2] == ["NOT", "DEFERRABLE"]:
            last += 2 if following[0] == "NOT" else 1
        elif following[0] == "INITIALLY":
            last += 2
        else:
            return last
