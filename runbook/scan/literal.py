"""The values of string literals, and where each of their characters stands."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

# Stands in a literal's value where the program puts something in; a private-use character, so
# that no sensible source holds it.
HOLE = "\ue000"


@dataclass(frozen=True, slots=True)
class Text:
    """The value of a string literal.

    `value` has one HOLE for each interpolation and `holes` their source text, in order.
    `marks` are pairs (offset in value, source line): from that offset on, text is on that line.
    """

    value: str
    holes: tuple[str, ...] = ()
    marks: tuple[tuple[int, int], ...] = ()

    def line_at(self, offset: int) -> int:
        """The source line, from 1, on which the character at `offset` stands."""
        index = bisect_right(self.marks, offset, key=lambda mark: mark[0])
        return self.marks[max(index - 1, 0)][1] if self.marks else 1


@dataclass
class TextBuilder:
    """Collects a literal's value piece by piece."""

    parts: list[str] = field(default_factory=list)
    holes: list[str] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)
    length: int = 0

    def raw(self, piece: str, line: int) -> None:
        """Add source text as it stands; its line ends are line ends of the source."""
        piece = piece.replace(HOLE, "\ufffd")
        self.marks.append((self.length, line))
        at = piece.find("\n")
        while at >= 0:
            line += 1
            self.marks.append((self.length + at + 1, line))
            at = piece.find("\n", at + 1)
        self._add(piece)

    def decoded(self, piece: str, line: int) -> None:
        """Add what an escape stands for; its line ends are none of the source."""
        self.marks.append((self.length, line))
        self._add(piece.replace(HOLE, "\ufffd"))

    def hole(self, source: str, line: int) -> None:
        """Add an interpolation, with its source text."""
        self.marks.append((self.length, line))
        self.holes.append(source)
        self._add(HOLE)

    def append(self, other: TextBuilder) -> None:
        """Add another literal's value behind this one."""
        self.marks.extend((self.length + offset, line) for offset, line in other.marks)
        self.holes.extend(other.holes)
        self.parts.extend(other.parts)
        self.length += other.length

    def done(self) -> Text:
        """The literal as collected so far."""
        return Text("".join(self.parts), tuple(self.holes), tuple(self.marks))

    def _add(self, piece: str) -> None:
        self.parts.append(piece)
        self.length += len(piece)


_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a",
           "e": "\x1b", "s": " ", "\n": ""}  # fmt: skip


def decode_escape(escape: str) -> str:
    r"""What an escape such as \n or \u0041 stands for; unknown ones stand for their character."""
    body = escape[1:]
    digits = body[1:].strip("{}") if body[:1] in ("u", "U", "x") else body
    if body[:1] in ("u", "U", "x") and re.fullmatch(r"[0-9A-Fa-f]{1,8}", digits):
        code = int(digits, 16)
    elif re.fullmatch(r"[0-7]{1,3}", body):
        code = int(body, 8)
    else:
        return _SIMPLE.get(body, body)
    # Surrogates and what lies beyond Unicode cannot be written out again.
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
