"""Cuts a text into SQL statements and makes each readable for the parser.

Programs write parameters in a dozen ways (?, $1, :x, @x, %s, interpolation); the parser knows few.
Each becomes a named one, `:runbook_p0_`, and is put back into whatever SQL comes out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ErrorLevel, SqlglotError

from runbook.scan.literal import HOLE, Text

# p: where a value stands; f: a fragment of SQL, taken for one more condition.
MARK = re.compile(r"(?:AND )?:runbook_f(\d+)_|:?runbook_p(\d+)_")
MAX_LENGTH = 50_000


class Dialect(SQLite):  # type: ignore[misc]
    """SQLite's SQL in which a comma stays a comma: `CROSS JOIN` would bind SQLite's planner."""

    class Parser(SQLite.Parser):  # type: ignore[misc]
        """Reads a join that is written as a comma as one without a kind."""

        def _parse_join(self, *args: Any, **options: Any) -> exp.Join | None:
            comma = self._curr and self._curr.token_type == TokenType.COMMA
            join: exp.Join | None = super()._parse_join(*args, **options)
            if comma and join is not None:
                join.set("kind", None)
            return join


_PARTS = re.compile(
    r"""
    (?P<string>'(?:[^']|'')*+')
  | (?P<name>"(?:[^"]|"")*+"|`[^`]*+`|\[[^\]\n]{1,200}+\])
  | (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<param>\?\d*|(?<!:):[A-Za-z_]\w*|@[A-Za-z_]\w*|\$\w+|%\(\w+\)s|%[sdvqi]\b)
  | (?P<hole>"""
    + HOLE
    + r""")
  | (?P<gap>\s+)
  | (?P<word>\w+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_START = re.compile(
    r"(?:WITH|SELECT|INSERT|REPLACE\s+INTO|UPDATE|DELETE|CREATE\s+(?:TEMP\w*\s+)?VIEW)\b",
    re.IGNORECASE,
)
_FRAGMENT = re.compile(r"FROM\s+[\w\"`\[.]+.*\bWHERE\b", re.IGNORECASE | re.DOTALL)
_BRACKET = re.compile(r"(\(\s*)(?=(?:SELECT|WITH)\b)", re.IGNORECASE)
# After one of these a value is expected; after anything else that ends a value, a hole is a
# fragment of SQL.
_WANTS_VALUE = re.compile(
    r"SELECT|DISTINCT|ALL|WHERE|AND|OR|NOT|IN|IS|LIKE|GLOB|BETWEEN|LIMIT|OFFSET|SET|VALUES|BY|JOIN"
    r"|ON|FROM|INTO|UPDATE|HAVING|WHEN|THEN|ELSE|CASE|AS|UNION|EXCEPT|INTERSECT|TABLE"
    r"|[=<>!(,+*/|.%-]|",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Statement:
    """One SQL statement: where it starts in its text, itself on one line, and its tree.

    `params` are the parameters as the program writes them, by their number in the tree.
    `patched` says that the tree is right only if interpolated fragments are further conditions.
    """

    offset: int
    query: str
    tree: exp.Expression
    params: tuple[str, ...]
    patched: bool


def statements(text: Text, tables: Collection[str]) -> Iterator[Statement]:
    """The statements in `text` that can be parsed and hold a name of `tables` (in lower case)."""
    hole = 0
    words = [max(re.findall(r"\w+", name), key=len, default=name) for name in tables]
    for offset, part in _split(text.value):
        holes = text.holes[hole : hole + part.count(HOLE)]
        hole += part.count(HOLE)
        lower = part.lower()
        if len(part) > MAX_LENGTH or not any(word in lower for word in words):
            continue
        for start, end, inner in _queries(part):
            before = part[:start].count(HOLE)
            own = holes[before : before + part[start:end].count(HOLE)]
            if hits := _parse(inner, own, offset + start):
                yield hits


def _queries(part: str) -> Iterator[tuple[int, int, str]]:
    """The query that `part` is, or else those that it holds: in brackets, or from its FROM on.

    Triples of start, end and text; a fragment is completed to a query.
    """
    if _START.match(part):
        yield 0, len(part), part
    elif _FRAGMENT.match(part):
        yield 0, len(part), "SELECT * " + part
    else:
        position = 0
        while bracket := _BRACKET.search(part, position):
            end = _closing(part, bracket.start())
            yield bracket.end(1), end, part[bracket.end(1) : end]
            position = end + 1


def _closing(part: str, start: int) -> int:
    """Where the bracket at `start` closes; the end of the text if nowhere."""
    depth = 0
    for match in _PARTS.finditer(part, start):
        depth += {"(": 1, ")": -1}.get(match.group(), 0)
        if depth == 0:
            return match.start()
    return len(part)


def restored(sql: str, params: tuple[str, ...] | list[str]) -> str:
    """`sql` with the program's own parameters put back."""

    def original(match: re.Match[str]) -> str:
        number = int(match.group(1) or match.group(2))
        return params[number] if number < len(params) else match.group()

    return MARK.sub(original, sql)


def _split(value: str) -> Iterator[tuple[int, str]]:
    """Pairs (offset, statement) of the text, each from its first character that is no comment."""
    start: int | None = None
    end = 0
    for match in _PARTS.finditer(value):
        if match.lastgroup in ("gap", "comment"):
            continue
        if match.group() == ";":
            if start is not None:
                yield start, value[start:end]
            start = None
            continue
        if start is None:
            start = match.start()
        end = match.end()
    if start is not None:
        yield start, value[start:end]


def _parse(part: str, holes: tuple[str, ...], offset: int) -> Statement | None:
    prepared = _prepare(part, holes)
    for sql in dict.fromkeys((prepared.plain, prepared.patched)):
        tree = parse(sql)
        if tree is not None:
            patched = sql != prepared.plain
            return Statement(offset, prepared.shown, tree, prepared.params, patched)
    return None


@dataclass(frozen=True)
class _Prepared:
    """A statement for the parser; the same with fragments as conditions; and for people."""

    plain: str
    patched: str
    shown: str
    params: tuple[str, ...]


def _prepare(part: str, holes: tuple[str, ...]) -> _Prepared:
    left = iter(holes)
    params: list[str] = []
    plain: list[str] = []
    patched: list[str] = []
    shown: list[str] = []
    before = ""  # the last word or mark

    def mark(written: str) -> str:
        params.append(written)
        return f":runbook_p{len(params) - 1}_"

    for match in _PARTS.finditer(part):
        kind, piece = match.lastgroup, match.group()
        marked = written = piece
        fragment = ""
        if kind in ("gap", "comment"):
            marked = written = " "
        elif kind == "param":
            marked = mark(piece)
        elif kind == "hole":
            written = next(left, "{...}")
            marked = mark(written)
            if _WANTS_VALUE.fullmatch(before) is None:
                fragment = f" AND :runbook_f{len(params) - 1}_"
        elif HOLE in piece:  # an interpolation within quotes
            sources = [next(left, "{...}") for _ in range(piece.count(HOLE))]
            marked = _fill(piece, [mark(source) for source in sources])
            written = _fill(piece, sources)
        plain.append(marked)
        patched.append(fragment or marked)
        shown.append(written)
        before = before if marked == " " else piece
    return _Prepared(
        "".join(plain).strip(),
        "".join(patched).strip(),
        " ".join("".join(shown).split()),
        tuple(params),
    )


def has_alias(source: bytes, table: str, alias: str) -> bool:
    """Whether SQL in the source gives the table, and no other one, this alias."""
    named = re.finditer(
        rb"\b(?:FROM|JOIN|UPDATE)\s+[\"`]?(\w+)[\"`]?\s+(?:AS\s+)?"
        + re.escape(alias.encode()) + rb"\b",
        source, re.IGNORECASE,
    )  # fmt: skip
    return bool(alias) and {match[1].lower() for match in named} == {table.lower().encode()}


def _fill(piece: str, values: list[str]) -> str:
    parts = piece.split(HOLE)
    return "".join(a + b for a, b in zip(parts, [*values, ""], strict=True))


def parse(sql: str) -> exp.Expression | None:
    """The tree of one statement, or None if it is no SQL that SQLite would take."""
    sql = re.sub(r"^REPLACE\s+INTO\b", "INSERT OR REPLACE INTO", sql, flags=re.IGNORECASE)
    if re.match(r"DELETE\s+(?!FROM\b)", sql, re.IGNORECASE):
        return None
    logger = logging.getLogger("sqlglot")
    before, logger.disabled = logger.disabled, True  # it warns of what we pass over in silence
    try:
        tree = sqlglot.parse_one(sql, dialect=Dialect, error_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError):
        return None
    except Exception:  # whatever else the parser stumbles over is no query either
        return None
    finally:
        logger.disabled = before
    return tree if _is_sound(tree) else None


def _is_sound(tree: exp.Expression) -> bool:
    """Whether the parser, which forgives much, has read something that SQLite would run."""
    if isinstance(tree, exp.Command):
        return False
    for node in tree.find_all(exp.Select, exp.Update):
        if not node.expressions:
            return False
    # An interpolation where only a name can stand, as in FROM projects ${rest}.
    if any(isinstance(node.parent, exp.TableAlias) for node in tree.find_all(exp.Placeholder)):
        return False
    return not any(MARK.search(name.name) for name in tree.find_all(exp.Identifier))
