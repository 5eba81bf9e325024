"""Reads calls that are strung together: `db('projects').where({ owner_id: id }).first()`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runbook.scan.lexing import Token

Range = tuple[int, int]

_ACCESS = frozenset({".", "?.", "->", "?->", "::", "&."})
_OPEN = {"(": ")", "[": "]", "{": "}"}
_MAX_GENERICS = 60


@dataclass(frozen=True)
class Link:
    """One name of a chain. `args` is the range of tokens in its brackets, None without a call."""

    name: str
    args: Range | None = None
    index: Range | None = None


@dataclass(frozen=True)
class Chain:
    """A chain of links, and the range of its tokens."""

    links: tuple[Link, ...]
    start: int
    end: int


class Code:
    """The tokens of one file, with their brackets paired."""

    def __init__(self, tokens: list[Token], language: str) -> None:
        self.tokens = tokens
        self.language = language
        self.pairs = _pairs(tokens)

    def is_mark(self, index: int, *values: str) -> bool:
        """Whether the token at `index` is one of these punctuation marks."""
        return (
            0 <= index < len(self.tokens)
            and self.tokens[index].kind == "punct"
            and self.tokens[index].value in values
        )

    def is_name(self, index: int) -> bool:
        """Whether the token at `index` is a name."""
        return 0 <= index < len(self.tokens) and self.tokens[index].kind == "name"

    def chains(self) -> Iterator[Chain]:
        """All chains of two links or more, also those within others' arguments."""
        for index, token in enumerate(self.tokens):
            if token.kind == "name" and not self.is_mark(index - 1, *_ACCESS):
                chain = self._chain(index)
                if len(chain.links) > 1:
                    yield chain

    def split(self, range_: Range) -> list[Range]:
        """The parts of a range between its outer commas, as ranges that are not empty."""
        parts: list[Range] = []
        index, end = range_
        start = index
        while index < end:
            if self.is_mark(index, ","):
                parts.append((start, index))
                start = index + 1
            index = self.pairs.get(index, index) + 1
        parts.append((start, end))
        return [part for part in parts if part[0] < part[1]]

    def entries(self, range_: Range) -> dict[str, Range] | None:
        """The keys of an object, hash, array or keyword arguments, with their values' ranges.

        None if something is spread into it, so that its keys cannot be known.
        """
        found: dict[str, Range] = {}
        for start, end in self.split(range_):
            if self.is_mark(start, "...", "**"):
                return None
            if self.is_mark(start, ":") and self.is_mark(start + 2, "=>"):  # Ruby's :key => value
                found[self.tokens[start + 1].value] = (start + 3, end)
            elif self.tokens[start].kind in ("name", "text"):
                if self.is_mark(start + 1, ":", "=>"):
                    found[self.tokens[start].value] = (start + 2, end)
                elif end == start + 1 and self.tokens[start].kind == "name":
                    found[self.tokens[start].value] = (start, end)  # { ownerId }
        return found

    def inside(self, range_: Range, opening: str) -> Range | None:
        """The range within the brackets, if `range_` is a bracketed group and nothing more."""
        start, end = range_
        if start < end and self.is_mark(start, opening) and self.pairs.get(start) == end - 1:
            return start + 1, end - 1
        return None

    def text(self, range_: Range) -> str | None:
        """The string, if `range_` is one string and nothing more."""
        start, end = range_
        if end == start + 1 and self.tokens[start].kind == "text":
            return self.tokens[start].value
        return None

    def _chain(self, start: int) -> Chain:
        links: list[Link] = []
        index = start
        while True:
            name = self.tokens[index].value
            index += 1
            args: Range | None = None
            subscript: Range | None = None
            index = self._behind_generics(index)
            while self.is_mark(index, "(", "[") and index in self.pairs:
                inner = (index + 1, self.pairs[index])
                if self.is_mark(index, "["):
                    subscript = inner
                elif args is None:
                    args = inner
                index = self.pairs[index] + 1
            if args is None and self.language == "ruby":
                args, index = self._bare_arguments(index)
            if self.is_mark(index, "!") and self.is_mark(index + 1, *_ACCESS):
                index += 1  # TypeScript's "is not null"
            links.append(Link(name, args, subscript))
            if self.is_mark(index, *_ACCESS) and self.is_name(index + 1):
                index += 1
            else:
                return Chain(tuple(links), start, index)

    def _behind_generics(self, index: int) -> int:
        """Behind `<Type>`, if that is what follows and a call comes after it."""
        if not (self.language == "typescript" and self.is_mark(index, "<")):
            return index
        depth = 0
        for at in range(index, min(index + _MAX_GENERICS, len(self.tokens))):
            depth += self.is_mark(at, "<") - self.is_mark(at, ">")
            if depth == 0:
                return at + 1 if self.is_mark(at + 1, "(") else index
        return index

    def _bare_arguments(self, index: int) -> tuple[Range | None, int]:
        """Ruby's arguments without brackets: `where owner_id: id`, to the end of the line."""
        if index >= len(self.tokens) or self.tokens[index].line != self.tokens[index - 1].line:
            return None, index
        first = self.tokens[index]
        label = first.kind == "name" and self.is_mark(index + 1, ":")
        symbol = self.is_mark(index, ":") and self.is_mark(index + 2, "=>")
        if not (label or symbol or first.kind == "text"):
            return None, index
        end = index
        while end < len(self.tokens):
            token = self.tokens[end]
            if token.line != self.tokens[end - 1].line and not self.is_mark(end - 1, ","):
                break
            if token.kind == "punct" and token.value in (")", "]", "}", ";"):
                break
            end = self.pairs.get(end, end) + 1
        return (index, end), end


def _pairs(tokens: list[Token]) -> dict[int, int]:
    """For each opening bracket the place of its closing one; unpaired ones are left out."""
    pairs: dict[int, int] = {}
    open_: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind != "punct":
            continue
        if token.value in _OPEN:
            open_.append(index)
        elif token.value in (")", "]", "}"):
            if open_ and _OPEN[tokens[open_[-1]].value] == token.value:
                pairs[open_.pop()] = index
            else:
                open_.clear()
    return pairs
