"""Rows that are reached through their user: `current_user.projects`, `$user->projects()`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from runbook.scan.names import Words, plain, word_set
from runbook.scan.owners import calls_around, class_around
from runbook.scan.syntax import Node, bare, chain_end, links

_PYTHON_QUERIES = word_set("""
    all filter filter_by exclude get first last count exists create add remove order_by values
    values_list annotate aggregate select_related prefetch_related get_or_create update delete
    latest earliest only defer distinct in_bulk iterator bulk_create update_or_create append where
    select aget acount aexists afirst acreate none set clear limit offset paginate
""")
_KINDS = word_set("member call name pair text")
_LOADS = word_set("""
    with load loadMissing loadCount withCount includes preload eager_load prefetch_related Preload
    withGraphFetched withGraphJoined
""")
_QUERIES = word_set("""
    findUnique findUniqueOrThrow findFirst findFirstOrThrow findMany update create upsert findOne
    findByPk findAll
""")
_PATH = re.compile(r"__|\.")
_SCOPE = re.compile(r"(?:by|for|of|with|where|owned|scope)_?(?=[A-Z_])")
_JAVASCRIPT = re.compile(r"^(?:get|create|count|set|add|has|remove)([A-Z]\w*)$")


def reached(
    nodes: Iterable[Node], words: Words, language: str, relations: frozenset[str]
) -> Iterator[Node]:
    """The chains among the nodes of a file that start from a user and go on to the user's rows.

    `relations` are the names that the schema gives such rows, beside those by convention.
    """
    for node in nodes:
        if node.kind in _KINDS and _is_reached(node, words, language, relations):
            call = next(calls_around(node)) if node.kind in ("pair", "text") else node
            yield chain_end(call)


def _is_loaded(node: Node, words: Words) -> bool:
    """`User.includes(:projects)`, `Preload("Projects")` of a user, Prisma's `include`."""
    path = re.split(r"__|\.", node.value or node.name)
    if plain(path[-1]) not in words.relations or any(not words.is_user(step) for step in path[:-1]):
        return False
    inner = node
    for around in node.ancestors():
        if around.kind == "call" and around.parts[0] is not inner:
            paired = node.kind == "pair"
            if around.name not in (_QUERIES if paired else _LOADS):
                return False
            if _PATH.search(node.value or ""):
                return True
            return any(
                words.is_user(part.name)
                and (part.name[:1].isupper() or part.kind == "member")
                and not _SCOPE.match(part.name)
                for part in links(around)[:-1]
                if part.kind in ("name", "member")
            ) or (around.name == "Preload" and _finds_user(around, words))
        if around.kind == "pair" and around.name not in ("include", "select", "data", "_count"):
            return False
        if around.kind in ("function", "class", "assign"):
            return False
        inner = around
    return False


def _finds_user(call: Node, words: Words) -> bool:
    return any(
        words.is_user(bare(passed).name)
        for link in links(chain_end(call))
        if link.kind == "call"
        for passed in link.arguments
    )


def _is_reached(node: Node, words: Words, language: str, relations: frozenset[str]) -> bool:
    if node.kind in ("pair", "text"):
        return (node.kind == "text" or language in ("javascript", "typescript")) and _is_loaded(
            node, words
        )
    if language in ("javascript", "typescript"):
        return _in_javascript(node, words)
    if language == "go":
        return _in_go(node, words)
    if plain(node.name) not in words.relations or (node.kind == "name" and language != "ruby"):
        return False
    if node.kind == "name" or (node.kind == "call" and node.parts[0].kind == "name"):
        return language == "ruby" and _in_user_class(node, words) and _is_bare_ruby(node)
    if node.kind != "member":
        return False
    before = bare(node.parts[0])
    if not (_is_user(before, words) or (before.name in ("self", "this")
            and _in_user_class(node, words))):  # fmt: skip
        return False
    if _is_assigned(node):
        return False
    if language != "python":
        return True
    if plain(node.name) in relations or node.name.endswith("_set"):
        return True
    after = node.parent
    return after is not None and after.kind == "member" and after.name in _PYTHON_QUERIES


def _is_bare_ruby(node: Node) -> bool:
    """`projects.where(...)` within the user's class, but no parameter or key of that name."""
    parent = node.parent
    return parent is not None and parent.kind in ("member", "call") and parent.parts[0] is node


def _is_assigned(node: Node) -> bool:
    parent = node.parent
    return parent is not None and parent.kind == "assign" and parent.parts[0] is node


def _in_user_class(node: Node, words: Words) -> bool:
    class_ = class_around(node)
    return class_ is not None and plain(class_.name) in words.users | {"account"}


def _is_user(node: Node, words: Words) -> bool:
    """`user`, `request.user`, `auth()->user()`, `User.find(id)`."""
    if node.kind == "call" and node.name == "[]":
        return False
    if words.is_user(node.name):
        return True
    if node.kind in ("call", "member"):
        first = links(node)[0]
        finders = ("find", "get", "first", "findOrFail", "find_by", "find_by!", "find!", "first!",
                   "firstOrFail", "get_or_404", "one", "last")  # fmt: skip
        return node.name in finders and first.name[:1].isupper() and words.is_user(first.name)
    return False


def _in_javascript(node: Node, words: Words) -> bool:
    """Sequelize's `user.getProjects()`, Objection's `user.$relatedQuery('projects')`, Prisma's."""
    if node.kind != "call" or not node.parts[0].parts:
        return False
    before = bare(node.parts[0].parts[0])
    match = _JAVASCRIPT.match(node.name)
    if match and (plain(match[1]) in words.relations | words.models):
        return _is_user(before, words) and before.kind != "call"
    if node.name in ("$relatedQuery", "relatedQuery") and node.arguments:
        return plain(node.arguments[0].value or "") in words.relations and _is_user(before, words)
    if plain(node.name) in words.relations and before.kind == "call":
        around = bare(before.parts[0]).parts  # prisma.user.findUnique({...}).projects()
        return before.name.startswith("find") and bool(around) and (
            words.is_user(bare(around[0]).name)
        )  # fmt: skip
    return False


def _in_go(node: Node, words: Words) -> bool:
    """GORM's `Association("Projects")` of a user, Ent's `user.QueryProjects()`."""
    if node.kind != "call":
        return False
    first = node.arguments[0] if node.arguments else None
    if node.name == "Association" and first is not None:
        return plain(first.value or "") in words.relations and any(
            link.name == "Model" and any(words.is_user(part.name) for passed in link.arguments
                                         for part in passed.walk())
            for link in links(node) if link.kind == "call"
        )  # fmt: skip
    relation = plain(node.name.removeprefix("Query"))
    return node.name.startswith("Query") and relation in words.relations and bool(
        node.parts[0].parts
    )  # fmt: skip
