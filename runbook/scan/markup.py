"""The code in templates, where it stands: everything else is blank, and lines stay lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ELEMENT = re.compile(rb"<(script|style)\b[^>]{,2000}>|<!--", re.IGNORECASE)
_ENDS = {
    b"script": re.compile(rb"</script\s*>", re.IGNORECASE),
    b"style": re.compile(rb"</style\s*>", re.IGNORECASE),
    b"": re.compile(rb"-->"),
}
_FRONT_MATTER = re.compile(rb"\A---\r?\n(.*?)^---", re.DOTALL | re.MULTILINE)
_ERB = re.compile(rb"<%(#|%)?[-=]?")
# Vue: what is bound, handled or directed, and what stands in double braces.
_BOUND = re.compile(rb"(?<=\s)(?:[@:#]|v-)[\w.:\[\]@-]*\s*=\s*(\"[^\"]*\"|'[^']*')")
_MUSTACHES = re.compile(rb"\{\{(.{,1000}?)\}\}", re.DOTALL)
_LOOP = re.compile(rb".*?\s(?:in|of)\s+(?=\S)", re.DOTALL)
# Svelte: `{#each rows as row}`, `{#await rows then row}`, `{:else if row}`, `{@html row}`, `{row}`.
_TAG = re.compile(rb"[#:@/][a-z]+(?:\s+if\b)?\s*")
_BINDS = re.compile(rb"\s(?:as|then|catch)\s")
_PIECE = re.compile(rb"[{}\"'`]|//|/\*")
_LONGEST = 20_000
_MOST_UNCLOSED = 20

Span = tuple[int, int]


def code_of(data: bytes, suffix: str) -> bytes:
    """The source of a template with all but its code made blank; any other file as it is."""
    if suffix == ".erb":
        return _only(data, list(_in_erb(data)), [], b";")
    if suffix not in (".vue", ".svelte", ".astro"):
        return data
    elements = list(_elements(data))
    scripts = [(start, end) for name, start, end in elements if name == b"script"]
    if suffix == ".astro":
        scripts += [match.span(1) for match in _FRONT_MATTER.finditer(data)]
    closed = sorted({*scripts, *((start, end) for _, start, end in elements)})
    inner = _in_vue(data) if suffix == ".vue" else _in_braces(data, closed)
    expressions = [(start, end) for start, end in inner
                   if not any(a < end and start < b for a, b in closed)]  # fmt: skip
    return _only(data, scripts, expressions, b"\n")


def _in_erb(data: bytes) -> Iterator[Span]:
    position = 0
    while match := _ERB.search(data, position):
        end = data.find(b"%>", match.end())
        if end < 0:
            return
        if match[1] is None:
            yield match.end(), end - data.startswith(b"-%>", end - 1)
        position = match.end() if match[1] == b"%" else end + 2


def _elements(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Scripts, styles and comments: the name of each, and where its content starts and ends."""
    position = 0
    while match := _ELEMENT.search(data, position):
        name = (match[1] or b"").lower()
        end = _ENDS[name].search(data, match.end())
        if end is None:
            return
        yield name, match.end(), end.start()
        position = end.end()


def _in_vue(data: bytes) -> Iterator[Span]:
    for match in _BOUND.finditer(data):
        start, end = match.start(1) + 1, match.end(1) - 1
        if match.group().startswith(b"v-for") and (loop := _LOOP.match(data, start, end)):
            start = loop.end()
        yield start, end
    for match in _MUSTACHES.finditer(data):
        yield match.span(1)


def _in_braces(data: bytes, closed: list[Span]) -> Iterator[Span]:
    """What stands in the outermost braces of markup."""
    at = data.find(b"{")
    unclosed = 0
    while at >= 0 and unclosed < _MOST_UNCLOSED:
        inside = next((end for start, end in closed if start <= at < end), None)
        if inside is not None:
            at = data.find(b"{", inside)
            continue
        end = _closing(data, at)
        start = at + 1
        unclosed += end == at
        if end > start:
            tag = _TAG.match(data, start, end)
            if tag is not None:
                start = tag.end()
            binds = _BINDS.search(data, start, end) if tag is not None else None
            yield start, binds.start() if binds is not None else end
        at = data.find(b"{", end + 1)


def _closing(data: bytes, start: int) -> int:
    """Where the brace at `start` closes; `start` itself if nowhere near."""
    depth = 0
    position, limit = start, min(len(data), start + _LONGEST)
    while match := _PIECE.search(data, position, limit):
        piece, position = match.group(), match.end()
        if piece in (b"{", b"}"):
            depth += 1 if piece == b"{" else -1
            if depth == 0:
                return match.start()
            continue
        ends = {b"//": b"\n", b"/*": b"*/"}.get(piece, piece)
        if piece in (b"'", b'"') and data.find(ends, position, data.find(b"\n", position)) < 0:
            continue  # an apostrophe in a text
        while (position := data.find(ends, position, limit)) > 0 and data[position - 1] == 0x5C:
            position += 1
        if position < 0:
            break
        position += len(ends)
    return start


def _only(data: bytes, code: list[Span], expressions: list[Span], end: bytes) -> bytes:
    """The code where it stands; expressions in brackets, as statements of their own."""
    kept = bytearray(re.sub(rb"[^\n]", b" ", data))
    for start, stop in code:
        kept[start:stop] = data[start:stop]
        if end == b";":
            kept[stop : stop + 1] = end
    for start, stop in expressions:
        source = data[start:stop]
        if not source.strip() or source.startswith(b"..."):
            continue
        kept[start:stop] = source
        before, after = (b";", b";") if b";" in source or b"const " in source else (b"(", b")")
        kept[start - 1 : start], kept[stop : stop + 1] = before, after
        if kept[start - 2 : start - 1] == b" ":
            kept[start - 2 : start - 1] = b";"
    return bytes(kept)
