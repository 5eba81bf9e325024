"""Which pieces of a file could say something of a resource, before anything is parsed.

Everything here errs on the side of reading: a piece is passed over only if it names neither an
owner, nor a user's rows, nor a table that is inserted into, in any spelling that a rule knows.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from runbook.scan.names import Words, plain, word_set

_TOKEN = re.compile(rb"[A-Za-z_\x80-\xff][\w\x80-\xff]*")
_SEPARATORS = str.maketrans("", "", "_- \n\"'`")
# What stands around an owner or a relation that is a key, a member or a text, and no mere variable.
_BEFORE = frozenset(b".>:\"'`@[?")
_AFTER = re.compile(rb"\s*(?:[:=\"'`?\]]|__)")
_SHORTHAND = re.compile(rb"[{,]\s*\Z")
_REQUEST = re.compile(
    rb"(?:request|req|ctx|context|session|auth|locals|props|state)\s*(?:\?\.|\.|->)\s*\Z"
)
_SCRIPTS = frozenset({"javascript", "typescript"})

# What is left empty where it holds nothing of a resource; all but functions only if it is long.
FUNCTIONS = word_set("""
    function_declaration function_expression arrow_function method_definition do_block lambda
    generator_function_declaration method_declaration func_literal method singleton_method
    function_definition anonymous_function anonymous_function_creation_expression
""")
BULKY = word_set("object hash array array_creation_expression jsx_element composite_literal")
BULK = 400


@dataclass(frozen=True)
class Hits:
    """Positions in a file, in order: `strong` where something may be found, `weak` its model."""

    strong: tuple[int, ...]
    weak: tuple[int, ...]

    def has_strong(self, start: int, end: int) -> bool:
        """Whether something may be found between two positions."""
        return _has(self.strong, start, end)

    def has_any(self, start: int, end: int) -> bool:
        """Whether anything between two positions is about the resource at all."""
        return _has(self.strong, start, end) or _has(self.weak, start, end)


def _has(positions: Sequence[int], start: int, end: int) -> bool:
    index = bisect_left(positions, start)
    return index < len(positions) and positions[index] < end


class Relevance:
    """Knows the spellings of all resources; what a word is, it works out once."""

    def __init__(self, words: Sequence[Words]) -> None:
        self._models = tuple({model for word in words for model in word.models})
        self._fields = tuple({field for word in words for field in word.fields})
        self._objects = frozenset(name for word in words for name in word.objects)
        self._relations = frozenset(name for word in words for name in word.relations)
        self._words = tuple(words)
        self._tables = tuple({w.resource.table.lower() for w in words})
        # SQL may name a column that is no word of a program.
        self._columns = tuple({
            w.resource.owner.lower().encode() for w in words
            if re.fullmatch(r"\w+", w.resource.owner) is None
        })  # fmt: skip
        tables = b"|".join(re.escape(table.encode()) for table in self._tables)
        self._into = re.compile(rb"into\b[^;]{1,60}?(?:" + tables + rb")", re.IGNORECASE)
        fields = {w.resource.owner for w in words} | {
            _camel(w.resource.owner, first) for w in words for first in (False, True)
        }  # fmt: skip
        names = "|".join(sorted((re.escape(field) for field in fields), key=len, reverse=True))
        self._spelled = re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])".encode())
        self._kinds: dict[bytes, str] = {}

    def names_model(self, text: str) -> bool:
        """Whether a text names a model or a table of a resource in any spelling."""
        squeezed = text.lower().translate(_SEPARATORS)
        return any(model in squeezed for model in self._models)

    def hits(self, text: str, data: bytes, language: str) -> Hits | None:
        """Where a file could hold something; None if nowhere."""
        kinds = {token: self._kind(token) for token in set(_TOKEN.findall(data))}
        about = {token: kind for token, kind in kinds.items() if kind}
        has_user = "user" in about.values() or any(k in ("object", "both") for k in about.values())
        strong = [match.start() for match in self._into.finditer(data)]
        for column in self._columns:
            strong += [m.start() for m in re.finditer(re.escape(column), data, re.IGNORECASE)]
        if not strong and not any(kind in ("field", "object", "relation", "getter", "both")
                                  for kind in about.values()):  # fmt: skip
            return None
        if not self.names_model(text) and not any(
            kind in ("relation", "both", "getter") for kind in about.values()
        ):
            return None
        weak: list[int] = []
        for match in _TOKEN.finditer(data):
            kind = about.get(match.group())
            if kind is None or kind == "user":
                continue
            start, end = match.span()
            if (
                kind == "field"
                or (kind == "getter" and has_user)
                or (kind == "object" and _is_key(data, start, end, language))
                or (kind in ("relation", "both") and has_user
                    and (language == "ruby" or _is_key(data, start, end, language)))
            ):  # fmt: skip
                strong.append(start)
            if kind != "field":
                weak.append(start)
        if not strong:
            return None
        return Hits(tuple(sorted(strong)), tuple(weak))

    def mentions(self, text: str, data: bytes, language: str) -> list[int]:
        """Where a file mentions the owner of a resource, in order.

        That is the owner column as the schema or a program writes it; in a file that names the
        resource also any other spelling of it (`OwnerID`, `findByOwnerId`, a field of the model),
        and the owner as an object that is a key or a member, such as Django's `owner`.
        """
        if not self.names_model(text):
            return [match.start() for match in self._spelled.finditer(data)]
        hits = []
        for match in _TOKEN.finditer(data):
            kind = self._kind(match.group())
            start, end = match.span()
            if kind == "field" or (
                kind in ("object", "both")
                and data[end : end + 1] != b"("
                and _is_key(data, start, end, language)
            ):
                hits.append(start)
        return hits

    def _kind(self, token: bytes) -> str:
        """What a word may be: field, object, relation, both, getter, user, model, or nothing."""
        known = self._kinds.get(token)
        if known is None:
            known = self._kinds[token] = self._classified(token.decode(errors="replace"))
        return known

    def _classified(self, token: str) -> str:
        bare = plain(token)
        if any(field in bare for field in self._fields):
            return "field"
        pieces = {plain(piece) for piece in token.split("__")}
        pieces.add(plain(re.sub(r"^(?:Set|Has|OrHas|where|by|get_by_|find_by_)|With$|EQ$|In$|IDIn$",
                                "", token)))  # fmt: skip
        is_object = not pieces.isdisjoint(self._objects)
        is_relation = not pieces.isdisjoint(self._relations)
        if is_object or is_relation:
            return "both" if is_object and is_relation else "object" if is_object else "relation"
        if token.lower().endswith("belongsto"):
            return "object"
        getter = re.match(r"(?:get|create|count|set|add|has|remove|Query)([A-Z]\w*)$", token)
        if getter and plain(getter[1]) in self._relations | set(self._models):
            return "getter"
        if any(model in bare for model in self._models):
            return "model"
        return "user" if any(word.is_user(token) for word in self._words) else ""


def _camel(name: str, first: bool) -> str:
    head, *rest = name.split("_")
    return (head.capitalize() if first else head) + "".join(part.capitalize() for part in rest)


def _is_key(data: bytes, start: int, end: int, language: str) -> bool:
    """Whether the word is a member, key, text or argument by name, and no mere variable."""
    before = data[max(start - 24, 0) : start]
    if _REQUEST.search(before):
        return False
    if before[-1:] and before[-1] in _BEFORE:
        return True
    if _AFTER.match(data, end) or data[end : end + 1] == b"(":
        return True
    stripped = before.rstrip()
    if stripped.endswith((b".", b"->", b"::")):
        return True
    return language in _SCRIPTS and _SHORTHAND.search(before) is not None
