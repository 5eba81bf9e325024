"""The edit of a call, in the source's own language, where it can be written with certainty.

The owner is replaced by the organization, and the user by `organization_of(user)`, a function that
the application gains (`docs/scan.md` has it); a new row gains the organization beside its owner.
Everything else of the call stays as it is. Where the values may be several, where a call would
have to wait in a function that cannot, or where a relation's name would have to be guessed, there
is no edit.
"""

from __future__ import annotations

import re

from runbook.scan.names import Words, plain
from runbook.scan.owners import Owner
from runbook.scan.result import Edit, Kind
from runbook.scan.rewrite import lookup_condition
from runbook.scan.syntax import Node, Program

_COLUMN = "organization_id"
_ASYNC = re.compile(r"(?:(?:public|private|protected|static|override|export|default)\s+)*async\b")
_SIMPLE_PREFIXES = {"where": "where", "find_by_": "find_by_"}


def edit_of(
    owner: Owner, kind: Kind, words: Words, program: Program, language: str
) -> tuple[Edit, ...]:
    """What to put where; empty where that is not certain."""
    if owner.form == "condition":
        return _in_sql(owner, words, program)
    if any(around.kind == "text" for around in owner.node.ancestors()):
        return ()  # inside of another text
    if owner.value is None or owner.form not in ("pair", "column", "compare", "finder"):
        return ()
    key = program.source(*owner.key)
    new_key = _renamed(key, words, language, owner)
    value = owner.value
    if not new_key or value.kind in ("object", "list", "spread", "function"):
        return ()
    source = program.source(value.start, value.end) or key.rstrip(":")
    if re.search(r"//|#(?!\{)|/\*|--", source):
        return ()
    around = owner.node.parent.parent if owner.node.parent is not None else None
    if (
        owner.form == "pair"
        and around is not None
        and around.kind == "pair"
        and (around.name == "connect" or plain(name_of(key)) in plain(around.name))
    ):  # a key over several columns, which the schema must have
        return ()
    call = _wrapped(source, owner.node, program, language)
    if not call:
        return ()
    if kind == "insert":
        if owner.form != "pair":
            return ()
        node = owner.node
        pair = program.source(node.start, node.end)
        if node.parts[0].end >= node.parts[1].end or node.parts[0].start == node.parts[1].start:
            return (Edit(node.end, node.end, f", {new_key.rstrip(':')}: {call}"),)
        between = program.source(owner.key[1], value.start)
        if not pair.startswith(key):
            return ()
        return (Edit(node.end, node.end, f", {new_key}{between}{call}"),)
    if owner.form == "pair" and owner.node.parts[0].start == value.start:  # { ownerId }
        return (Edit(owner.node.start, owner.node.end, f"{new_key}: {call}"),)
    if value.start == value.end:  # Ruby's `owner_id:`
        return (Edit(*owner.key, new_key), Edit(value.end, value.end, f" {call}"))
    return (Edit(*owner.key, new_key), Edit(value.start, value.end, call))


def name_of(key: str) -> str:
    """The last word of a key, without its quotes and path."""
    return re.split(r"\.|__", key.strip("\"'`: "))[-1]


def _renamed(key: str, words: Words, language: str, owner: Owner) -> str:
    """The key of the organization, spelled as the key of the owner is; "" if it is unknown."""
    match = re.fullmatch(r"([\"'`:]?)((?:\w+(?:\.|__))*)(\w+)([\"'`:]*)", key)
    if match is None:
        return ""
    before, path, name, after = match.groups()
    prefix = ""
    if owner.form == "finder":
        prefix = next((p for p in _SIMPLE_PREFIXES if name.startswith(p)), "")
        name = name.removeprefix(prefix)
    is_object = plain(name) in words.objects and plain(name) not in words.fields
    if is_object and ((language != "python" and language != "ruby") or owner.form != "pair"):
        return ""  # a relation's name would have to be guessed
    if plain(name) not in words.fields | words.objects:
        return ""
    if "_" in name or name.islower():
        new = _COLUMN
    elif name[:1].isupper():
        new = "OrganizationID" if name.endswith("ID") else "OrganizationId"
    else:
        new = "organizationId"
    return before + path + prefix + new + after


def _wrapped(source: str, node: Node, program: Program, language: str) -> str:
    if language == "go":
        return f"organizationOf({source})"
    if language not in ("javascript", "typescript"):
        return f"organization_of({source})"
    return f"await organizationOf({source})" if _may_wait(node, program) else ""


def _may_wait(node: Node, program: Program) -> bool:
    """Whether `await` may stand here: in an async function, or where one stands already."""
    for around in node.ancestors():
        if around.kind == "function":
            return _ASYNC.match(program.source(around.start, around.start + 200)) is not None
        if around.kind == "await":
            return True
    return False


def _in_sql(owner: Owner, words: Words, program: Program) -> tuple[Edit, ...]:
    """A condition given as SQL keeps its parameters: `owner_id = ?` becomes a lookup."""
    node = owner.node
    source = program.source(node.start, node.end)
    quotes = re.match(r"[\"'`]+", source)
    if (
        quotes is None
        or "\\" in source
        or node.name == "sum"
        or (node.builder and node.builder.holes)
    ):
        return ()
    name = re.escape(words.resource.owner)
    matches = list(re.finditer(
        rf"(?<![\w.`\[])((?:\w+\.)?){name}\s*=\s*(\?\d*|[:@$]\w+|%\(\w+\)s|%s)(?!\w)",
        source, re.IGNORECASE,
    ))  # fmt: skip
    if len(matches) != 1 or len(re.findall(rf"\b{name}\b", source, re.IGNORECASE)) != 1:
        return ()
    match = matches[0]
    sql = lookup_condition(match[1], match[2])
    if quotes[0][0] == "'":
        return ()
    start = node.start + len(source[: match.start()].encode())
    return (Edit(start, start + len(match[0].encode()), sql),)


def applied(source: bytes, edits: tuple[Edit, ...], start: int = 0, end: int | None = None) -> str:
    """The source between two positions with its edits made."""
    pieces: list[bytes] = []
    position = start
    for edit in sorted(edits):
        pieces += [source[position : edit.start], edit.new.encode()]
        position = edit.end
    pieces.append(source[position : len(source) if end is None else end])
    return b"".join(pieces).decode(errors="replace")
