"""Tokens of Go: interpreted and raw strings."""

from __future__ import annotations

import re

from runbook.scan.lexing import (
    C_ESCAPE,
    Lines,
    Text,
    TextBuilder,
    Token,
    decode_c_escape,
    plain_text,
)

_CODE = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<name>[A-Za-z_\u0080-\uffff]\w*)
  | (?P<number>\d[\w.]*)
  | (?P<rune>'(?:[^'\\\n]|\\.)*+')
  | (?P<quoted>"(?:[^"\\\n]|\\[^\n])*+")
  | (?P<raw>`[^`]*+`)
  | (?P<punct>:=|\+=|.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(source: str) -> list[Token]:
    """All tokens; never raises, whatever the text."""
    found: list[Token] = []
    lines = Lines(source)
    for match in _CODE.finditer(source):
        kind, value, (start, end) = match.lastgroup, match.group(), match.span()
        text: Text | None = None
        if kind in ("space", "comment"):
            continue
        line = lines.at(start)
        if kind == "quoted":
            text = plain_text(value[1:-1], line, C_ESCAPE, decode_c_escape)
        elif kind == "raw":
            builder = TextBuilder()
            builder.raw(value[1:-1], line)
            text = builder.done()
        if text is not None:
            found.append(Token("text", text.value, line, start, end, text))
        elif kind == "name":
            found.append(Token("name", value, line, start, end))
        else:
            found.append(Token("punct" if kind == "punct" else "number", value, line, start, end))
    return found
