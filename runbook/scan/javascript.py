"""Tokens of JavaScript and TypeScript, with JSX and template literals."""

from __future__ import annotations

import re

from runbook.scan.lexing import (
    C_ESCAPE,
    Lines,
    TextBuilder,
    Token,
    decode_c_escape,
    plain_text,
)

_CODE = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<name>[A-Za-z_$\#\u0080-\uffff][\w$]*)
  | (?P<number>\d[\w.]*)
  | (?P<quoted>'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")
  | (?P<template>`)
  | (?P<slash>/)
  | (?P<punct>\?\.(?!\d)|\.\.\.|=>|\+=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_REGEX = re.compile(r"/(?:[^/\\\[\n]|\\[^\n]|\[(?:[^\]\\\n]|\\[^\n])*+\])++/[a-z]*")
_TEMPLATE = re.compile(r"[^`\\$]++|\$\{|\$|`|" + C_ESCAPE.pattern, re.DOTALL)
_INSIDE_HOLE = re.compile(
    r"[^'\"`{}/\\$]++|'(?:[^'\\\n]|\\.)*+'|\"(?:[^\"\\\n]|\\.)*+\"|//[^\n]*|/\*.*?(?:\*/|\Z)|\$\{|.",
    re.DOTALL,
)
# After these a slash starts a regular expression though they look like names.
_BEFORE_REGEX = frozenset({"return", "typeof", "case", "in", "of", "do", "else", "void", "delete",
                           "throw", "new", "await", "yield", "instanceof"})  # fmt: skip
_MAX_NESTING = 10


def tokens(source: str) -> list[Token]:
    """All tokens, those inside interpolations last; never raises, whatever the text."""
    found: list[Token] = []
    lines = Lines(source)
    ranges = [(0, len(source), 0)]
    while ranges:
        start, end, depth = ranges.pop(0)
        inner = _tokens_between(source, start, end, lines, found)
        if depth < _MAX_NESTING:
            ranges.extend((*pair, depth + 1) for pair in inner)
    return found


def _tokens_between(
    source: str, position: int, end: int, lines: Lines, found: list[Token]
) -> list[tuple[int, int]]:
    """Add the tokens from `position` to `end`; returns the ranges of interpolated code."""
    holes: list[tuple[int, int]] = []
    while position < end:
        match = _CODE.match(source, position, end)
        if match is None:  # the pattern ends with "any character", so this is the end
            break
        kind, value, line = match.lastgroup, match.group(), lines.at(position)
        stop = match.end()
        if kind == "quoted":
            text = plain_text(value[1:-1], line, C_ESCAPE, decode_c_escape)
            found.append(Token("text", text.value, line, position, stop, text))
        elif kind == "template":
            stop = _template(source, position, end, lines, found, holes)
        elif kind == "slash":
            regex = _REGEX.match(source, position, end) if _regex_may_start(found) else None
            stop = regex.end() if regex else stop
            found.append(Token("number" if regex else "punct", value, line, position, stop))
        elif kind == "name":
            found.append(Token("name", value, line, position, stop))
        elif kind == "number":
            found.append(Token("number", value, line, position, stop))
        elif kind == "punct":
            found.append(Token("punct", value, line, position, stop))
        position = stop
    return holes


def _regex_may_start(found: list[Token]) -> bool:
    if not found:
        return True
    last = found[-1]
    if last.kind == "name":
        return last.value in _BEFORE_REGEX
    return last.kind == "punct" and last.value not in (")", "]", "}")


def _template(
    source: str,
    start: int,
    end: int,
    lines: Lines,
    found: list[Token],
    holes: list[tuple[int, int]],
) -> int:
    """Read the template literal at `start`; returns where it ends (an open one: at `end`)."""
    builder = TextBuilder()
    position = start + 1
    builder.raw("", lines.at(position))
    while position < end:
        match = _TEMPLATE.match(source, position, end)
        if match is None:  # a lone backslash at the end
            position = end
            break
        piece, line = match.group(), lines.at(position)
        position = match.end()
        if piece == "`":
            break
        if piece == "${":
            close = _hole_end(source, position, end)
            holes.append((position, close))
            builder.hole(f"${{{source[position:close]}}}", line)
            position = min(close + 1, end)
        elif piece[0] == "\\":
            builder.decoded(decode_c_escape(piece), line)
        else:
            builder.raw(piece, line)
    text = builder.done()
    found.append(Token("text", text.value, lines.at(start), start, position, text))
    return position


def _hole_end(source: str, position: int, end: int) -> int:
    """Where the brace that closes an interpolation stands; `end` if there is none."""
    open_ = ["{"]
    while position < end:
        if open_[-1] == "`":
            match = _TEMPLATE.match(source, position, end)
            if match is None:
                return end
            if match.group() == "`":
                open_.pop()
            elif match.group() == "${":
                open_.append("{")
        else:
            match = _INSIDE_HOLE.match(source, position, end)
            if match is None:
                return end
            if match.group() in ("{", "${", "`"):
                open_.append(match.group()[-1])
            elif match.group() == "}":
                open_.pop()
                if not open_:
                    return position
        position = match.end()
    return end
