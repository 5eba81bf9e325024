"""Tokens of PHP: quoted strings, heredoc and nowdoc, and only what stands between PHP's tags."""

from __future__ import annotations

import re

from runbook.scan.lexing import C_ESCAPE, Lines, TextBuilder, Token, decode_c_escape, plain_text

_OPEN_TAG = re.compile(r"<\?(?:php\b|=)?", re.IGNORECASE)
_CODE = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<close>\?>)
  | (?P<comment>(?://|\#(?!\[))(?:(?!\?>)[^\n])*|/\*.*?(?:\*/|\Z))
  | (?P<name>\$?[A-Za-z_\\\u0080-\uffff][\w\\]*)
  | (?P<number>\d[\w.]*)
  | (?P<single>'(?:[^'\\]|\\.)*+')
  | (?P<double>")
  | (?P<doc><<<[ \t]*(?P<mark>["']?)(?P<label>[A-Za-z_]\w*)(?P=mark)\n)
  | (?P<punct>\?->|->|::|=>|\.\.\.|\.=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PIECE = re.compile(
    r"""
    (?P<escape>"""
    + C_ESCAPE.pattern
    + r""")
  | (?P<hole>\{\$(?:[^{}'"]|'[^'\n]*+'|"[^"\n]*+"|\{[^{}]*+\})*+\}|\$\{[^{}]*+\}
      |\$[A-Za-z_]\w*(?:\[[^\]\n"]*+\]|->[A-Za-z_]\w*)?)
  | (?P<end>")
  | (?P<plain>[^"\\{$]++|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SINGLE_ESCAPE = re.compile(r"\\['\\]")


def tokens(source: str) -> list[Token]:
    """All tokens; never raises, whatever the text."""
    found: list[Token] = []
    lines = Lines(source)
    position = 0
    while tag := _OPEN_TAG.search(source, position):
        position = _code(source, tag.end(), lines, found)
    return found


def _code(source: str, position: int, lines: Lines, found: list[Token]) -> int:
    while match := _CODE.match(source, position):
        kind, value, line = match.lastgroup, match.group(), lines.at(position)
        if match.group("doc"):  # its inner groups match after it, so ask for it by name
            kind = "doc"
        start, position = position, match.end()
        if kind in ("space", "comment"):
            continue
        if kind == "close":
            found.append(Token("punct", ";", line, start, position))  # ends a statement
            return position
        if kind == "single":
            text = plain_text(value[1:-1], line, _SINGLE_ESCAPE, lambda escape: escape[1])
            found.append(Token("text", text.value, line, start, position, text))
        elif kind == "double":
            position = _double(source, start, lines, found)
        elif kind == "doc":
            position = _doc(source, match, lines, found)
        elif kind == "name":
            found.append(Token("name", value, line, start, position))
        elif kind == "number":
            found.append(Token("number", value, line, start, position))
        else:
            found.append(Token("punct", value, line, start, position))
    return len(source)


def _double(source: str, start: int, lines: Lines, found: list[Token]) -> int:
    builder = TextBuilder()
    builder.raw("", lines.at(start))
    position = start + 1
    while match := _PIECE.match(source, position):
        position = match.end()
        if match.lastgroup == "end":
            text = builder.done()
            found.append(Token("text", text.value, lines.at(start), start, position, text))
            return position
        _add_piece(match, lines, builder)
    found.append(Token("punct", '"', lines.at(start), start, start + 1))  # never closed
    return start + 1


def _doc(source: str, opening: re.Match[str], lines: Lines, found: list[Token]) -> int:
    close = re.compile(rf"^[ \t]*{opening['label']}\b", re.MULTILINE)
    end = close.search(source, opening.end())
    body_end = end.start() if end else len(source)
    builder = TextBuilder()
    line = lines.at(opening.end())
    if opening["mark"] == "'":
        builder.raw(source[opening.end() : body_end], line)
    else:
        builder.raw("", line)
        for match in _PIECE.finditer(source, opening.end(), body_end):
            _add_piece(match, lines, builder)
    text = builder.done()
    stop = end.end() if end else len(source)
    found.append(Token("text", text.value, lines.at(opening.start()), opening.start(), stop, text))
    return stop


def _add_piece(match: re.Match[str], lines: Lines, builder: TextBuilder) -> None:
    piece, line = match.group(), lines.at(match.start())
    if match.lastgroup == "hole":
        builder.hole(piece, line)
    elif match.lastgroup == "escape":
        builder.decoded(decode_c_escape(piece), line)
    else:
        builder.raw(piece, line)
