"""Shapes of Django, SQLAlchemy and Peewee."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from runbook.scan.queries import mentions_organizations
from runbook.scan.result import Kind, ResourceNames
from runbook.scan.shapes import Shape, Words, shown

_FILTERS = frozenset({"filter", "where", "filter_by", "get", "aget", "get_or_none", "first_or_404"})
_SHORTCUTS = frozenset({"get_object_or_404", "get_list_or_404", "aget_object_or_404"})
_CREATES = frozenset({"create", "acreate", "get_or_create", "update_or_create", "values"})
_STARTERS = frozenset({"query", "select", "update", "delete", "insert"})


def shapes(tree: ast.Module, source: str, resources: Sequence[ResourceNames]) -> Iterator[Shape]:
    """The calls that select, change or delete a resource by owner, or create one without more."""
    words = [Words.of(resource) for resource in resources]
    lines = source.split("\n")
    inner: set[int] = set()  # calls that are part of a chain already reported
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        pending.extend(ast.iter_child_nodes(node))
        if not isinstance(node, ast.Call) or id(node) in inner:
            continue
        chain = _chain(node)
        for word in words:
            kind = _judge(chain, word)
            if kind is None:
                continue
            inner.update(id(call) for call in chain)
            text = _segment(node, lines)
            if not mentions_organizations(text):
                yield Shape(word.resource, kind, node.lineno, shown(text))
            break


def _chain(call: ast.Call) -> list[ast.Call]:
    """The calls of `a.b(...).c(...)`, the last one first."""
    chain: list[ast.Call] = []
    node: ast.expr = call
    while True:
        if isinstance(node, ast.Call):
            chain.append(node)
            node = node.func
        elif isinstance(node, ast.Attribute | ast.Subscript | ast.Await):
            node = node.value
        else:
            return chain


def _judge(chain: list[ast.Call], words: Words) -> Kind | None:
    for call in chain:
        name = _name(call.func)
        if name in _SHORTCUTS:
            if call.args and _is_model(call.args[0], words) and _keyword_compares(call, words):
                return "select"
        elif name in _CREATES:
            if _starts_from_model(chain, words) and _keyword_creates(call, words):
                return "insert"
        elif name in _FILTERS and isinstance(call.func, ast.Attribute):
            if any(_compares(argument, words) for argument in call.args):
                return _kind(chain)
            if _starts_from_model(chain, words) and _keyword_compares(call, words):
                return _kind(chain)
    return None


def _kind(chain: list[ast.Call]) -> Kind:
    names = {_name(call.func) for call in chain}
    if names & {"delete", "adelete"}:
        return "delete"
    return "update" if names & {"update", "aupdate"} else "select"


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_model(node: ast.expr, words: Words) -> bool:
    """The class Project, models.Project, or the table object projects."""
    return isinstance(node, ast.Name | ast.Attribute) and words.is_model(_name(node))


def _starts_from_model(chain: list[ast.Call], words: Words) -> bool:
    """`Project.objects`, `Project.query`, `session.query(Project)` or `select(Project)`."""
    for call in chain:
        if _name(call.func) in _STARTERS and call.args and _is_model(call.args[0], words):
            return True
    node = chain[-1].func
    while isinstance(node, ast.Attribute):
        if node.attr in ("objects", "query", "c") and _is_model(node.value, words):
            return True
        if node.attr in _STARTERS and _is_model(node.value, words):
            return True
        node = node.value
    return False


def _compares(node: ast.expr, words: Words) -> bool:
    """`Project.owner_id == x`, `projects.c.owner_id == x`, `.in_(x)`, or one of several by &."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd):
        return _compares(node.left, words) or _compares(node.right, words)
    if isinstance(node, ast.Compare):
        is_value = not any(
            isinstance(other, ast.Constant) and other.value is None for other in node.comparators
        )
        return (
            len(node.ops) == 1
            and isinstance(node.ops[0], ast.Eq)
            and is_value
            and not _is_column(node.comparators[0])
            and _is_owner(node.left, words)
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr == "in_" and _is_owner(node.func.value, words)
    if isinstance(node, ast.Call) and _name(node.func) == "and_":
        return any(_compares(argument, words) for argument in node.args)
    return False


def _is_column(node: ast.expr) -> bool:
    """A column of another model, as in a join: User.id."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id[:1].isupper()
    )


def _is_owner(node: ast.expr, words: Words) -> bool:
    if not isinstance(node, ast.Attribute):
        return False
    model = node.value
    if isinstance(model, ast.Attribute) and model.attr == "c":
        model = model.value
    is_owner = words.is_owner(node.attr) or words.is_owner_object(node.attr)
    return is_owner and _is_model(model, words)


def _keyword_compares(call: ast.Call, words: Words) -> bool:
    for keyword in call.keywords:
        if keyword.arg is None:
            continue
        name, _, lookup = keyword.arg.partition("__")
        none = isinstance(keyword.value, ast.Constant) and keyword.value.value is None
        if (
            lookup in ("", "in", "exact", "id", "pk", "id__in")
            and not none
            and (words.is_owner(name) or words.is_owner_object(name))
        ):
            return True
    return False


def _keyword_creates(call: ast.Call, words: Words) -> bool:
    names = [keyword.arg for keyword in call.keywords]
    return None not in names and any(
        words.is_owner(name) or words.is_owner_object(name) for name in names if name
    )


def _segment(node: ast.expr, lines: list[str]) -> str:
    """The source of `node`, columns being counted in bytes."""
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    part = [line.encode() for line in lines[first : last + 1]]
    part[-1] = part[-1][: node.end_col_offset]
    part[0] = part[0][node.col_offset :]
    return b"\n".join(part).decode(errors="replace")
