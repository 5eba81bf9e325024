"""Judges SQL: does a query still go by a resource's owner, or insert without an organization?

Every rule here leans to silence, because a false alarm costs an operator more than a miss: a
query is reported only if its own tree shows that the owner column of the resource itself is
compared with a value, and nothing in it knows of organizations yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from runbook.scan.names import ABOUT_ORGANIZATIONS
from runbook.scan.result import Kind, ResourceNames, Sure
from runbook.scan.statements import Statement, restored

ORGANIZATION = "organization_id"
_NEW_TABLES = frozenset({"organizations", "organization_memberships"})
_MAIN_SCHEMAS = frozenset({"", "main"})
# What the source text of an interpolation says if it brings the organization in.
_ABOUT_ORGANIZATIONS = re.compile(ABOUT_ORGANIZATIONS)
_BOUND = re.compile(r"[?:@]|\$\d")
_SCOPES = (exp.Select, exp.Update, exp.Delete)
_EQUALITIES = (exp.EQ, exp.Is, exp.NullSafeEQ)


@dataclass(frozen=True)
class ByOwner:
    """A condition that compares a resource's owner column with a value.

    `qualifier` is what a column of that table must be prefixed with, if anything.
    """

    resource: ResourceNames
    condition: exp.Expression
    column: exp.Column
    qualifier: exp.Identifier | None
    kind: Kind


@dataclass(frozen=True)
class Judgement:
    """What is old in one statement: its conditions by owner, or its insert, or both."""

    kind: Kind
    sure: Sure
    resource: ResourceNames
    conditions: tuple[ByOwner, ...]
    insert: exp.Insert | None


def judge(statement: Statement, resources: Sequence[ResourceNames]) -> Judgement | None:
    """What in `statement` must change after the migration; None if nothing surely must."""
    tree = statement.tree
    if mentions_organizations(" ".join(statement.params)):
        return None
    tables = {table.name.lower() for table in tree.find_all(exp.Table)}
    if tables & _NEW_TABLES:
        return None
    # A common table expression may bear the name of a table and hide it.
    hidden = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    conditions: list[ByOwner] = []
    insert: tuple[exp.Insert, ResourceNames] | None = None
    for resource in resources:
        name = resource.table.lower()
        if name not in tables or name in hidden or _knows_organization(tree, resource):
            continue
        conditions.extend(_conditions(tree, resource))
        if isinstance(tree, exp.Insert) and _lacks_organization(tree, resource):
            insert = tree, resource
    sure: Sure = "likely" if statement.patched or _is_built(statement) else "certain"
    if insert:
        return Judgement("insert", sure, insert[1], tuple(conditions), insert[0])
    if not conditions or not _is_query(tree):
        return None
    first = conditions[0]
    return Judgement(first.kind, sure, first.resource, tuple(conditions), None)


def mentions_organizations(source: str) -> bool:
    """Whether source text, such as that of an interpolation, speaks of organizations."""
    return _ABOUT_ORGANIZATIONS.search(source) is not None


def _is_query(tree: exp.Expression) -> bool:
    if isinstance(tree, exp.Create):
        return bool(tree.kind == "VIEW")
    return isinstance(tree, exp.Query | exp.Update | exp.Delete | exp.Insert)


def _is_built(statement: Statement) -> bool:
    """Whether the program puts in a piece of SQL, and not only values."""
    pieces = (
        *(exp.Select, exp.Table, exp.Where, exp.Join, exp.Having, exp.Ordered),
        *(exp.And, exp.Or, exp.Not),
    )
    return any(
        isinstance(node.parent, pieces) and not _BOUND.match(restored(node.sql(), statement.params))
        for node in statement.tree.find_all(exp.Placeholder)
    )


def _lacks_organization(tree: exp.Insert, resource: ResourceNames) -> bool:
    target = tree.this
    if not isinstance(target, exp.Schema) or not _is_resource(target.this, resource):
        return False  # without a list of columns nobody can tell
    names = {column.name.lower() for column in target.expressions}
    if any(target.find_all(exp.Placeholder)):
        return False  # the program chooses the columns while it runs
    return (
        bool(names)
        and ORGANIZATION not in names
        and isinstance(tree.expression, exp.Values | exp.Query)
    )


def _knows_organization(tree: exp.Expression, resource: ResourceNames) -> bool:
    """Whether the statement mentions organization_id of this table, or of one unknown."""
    for column in tree.find_all(exp.Column):
        if column.name.lower() != ORGANIZATION:
            continue
        if not column.table:
            return True
        source = _source_of(column)
        if source is None or _is_resource(source, resource):
            return True
    return False


def _conditions(tree: exp.Expression, resource: ResourceNames) -> Iterator[ByOwner]:
    for column in tree.find_all(exp.Column):
        if column.name.lower() != resource.owner.lower():
            continue
        scope = _scope_of(column)
        if scope is None:
            continue
        source = _resource_of(column, scope, resource)
        if source is None:
            continue
        condition = _compared(column)
        if condition is None or not _decides(condition, scope):
            continue
        if not _is_by_value(condition, column, scope):
            continue
        qualifier = column.args.get("table")
        if qualifier is None and len(_sources(scope)) > 1:
            alias = source.args.get("alias")
            qualifier = alias.this if alias is not None else source.this
        yield ByOwner(resource, condition, column, qualifier, _kind(scope, resource))


def _kind(scope: exp.Expression, resource: ResourceNames) -> Kind:
    if isinstance(scope, exp.Update | exp.Delete) and _is_resource(scope.this, resource):
        return "update" if isinstance(scope, exp.Update) else "delete"
    return "select"


def _is_resource(source: exp.Expression | None, resource: ResourceNames) -> bool:
    return (
        isinstance(source, exp.Table)
        and source.name.lower() == resource.table.lower()
        and source.db.lower() in _MAIN_SCHEMAS
    )


def _scope_of(node: exp.Expression) -> exp.Expression | None:
    """The innermost SELECT, UPDATE or DELETE around `node`."""
    scope: exp.Expression | None = node.find_ancestor(*_SCOPES)
    return scope


def _sources(scope: exp.Expression) -> dict[str, exp.Expression]:
    """The tables and subqueries of one scope, by the name that columns use for them."""
    start = scope.args.get("from_")
    pending: list[exp.Expression] = [start.this] if start is not None else []
    if isinstance(scope, exp.Update | exp.Delete):
        pending.append(scope.this)
    pending.extend(join.this for join in scope.args.get("joins") or [])
    hits: dict[str, exp.Expression] = {}
    while pending:
        source = pending.pop()
        pending.extend(join.this for join in source.args.get("joins") or [])
        if isinstance(source, exp.Paren) or (
            isinstance(source, exp.Subquery) and isinstance(source.this, exp.Table)
        ):
            pending.append(source.this)  # FROM (a JOIN b)
        hits[source.alias_or_name.lower()] = source
    return hits


def _source_of(column: exp.Column) -> exp.Expression | None:
    """The table or subquery that a prefixed column belongs to; None if that cannot be told."""
    scope = _scope_of(column)
    while scope is not None and column.table:
        sources = _sources(scope)
        if column.table.lower() in sources:
            return sources[column.table.lower()]
        scope = _scope_of(scope)
    return None


def _resource_of(
    column: exp.Column, scope: exp.Expression, resource: ResourceNames
) -> exp.Expression | None:
    """The resource's table, if the owner column `column` is the resource's own.

    A bare owner column in a scope that holds the resource is: were it also another table's,
    SQLite would call it ambiguous.
    """
    sources = [_source_of(column)] if column.table else _sources(scope).values()
    return next((source for source in sources if _is_resource(source, resource)), None)


def _compared(column: exp.Column) -> exp.Expression | None:
    """The equality or IN around `column`, if the column itself is one side of it."""
    node: exp.Expression = column
    while isinstance(node.parent, exp.Paren):
        node = node.parent
    parent = node.parent
    if isinstance(parent, _EQUALITIES) or (isinstance(parent, exp.In) and parent.this is node):
        hits: exp.Expression = parent
        return hits
    return None


def _decides(condition: exp.Expression, scope: exp.Expression) -> bool:
    """Whether `condition` is part of the scope's WHERE or of a join, and not turned around."""
    node = condition.parent
    while isinstance(node, exp.And | exp.Or | exp.Paren):
        node = node.parent
    return isinstance(node, exp.Where | exp.Join) and _scope_of(node) is scope


def _other_side(condition: exp.Expression, column: exp.Column) -> exp.Expression | None:
    if isinstance(condition, exp.In):
        return None
    left, right = condition.this, condition.expression
    other: exp.Expression = right if left.unnest() is column else left
    return other.unnest()


def _is_by_value(condition: exp.Expression, column: exp.Column, scope: exp.Expression) -> bool:
    """Whether the owner is compared with a value, or with a column that equals a value.

    A mere join to the users, which fetches the owner's name, is not a query by owner.
    """
    if isinstance(condition, exp.In):
        values = [*condition.expressions, condition.args.get("field")]
        return all(value is None or _is_value(value) for value in values)
    other = _other_side(condition, column)
    if isinstance(other, exp.Column):
        return bool(other.table) and _equals_value(other, scope)
    return other is not None and _is_value(other)


def _is_value(node: exp.Expression) -> bool:
    if isinstance(node.unnest(), exp.Null | exp.Boolean | exp.Star):
        return False
    own = [node, *node.find_all(exp.Select)]
    return all(
        any(part is column.find_ancestor(exp.Select) for part in own)
        for column in node.find_all(exp.Column)
    )


def _equals_value(column: exp.Column, scope: exp.Expression | None) -> bool:
    """Whether some WHERE or join around says `column = value`, with no OR about it."""
    source = _source_of(column)
    while scope is not None and source is not None:
        for equality in scope.find_all(exp.EQ):
            node = equality.parent
            while isinstance(node, exp.And | exp.Paren):
                node = node.parent
            if not isinstance(node, exp.Where | exp.Join) or _scope_of(equality) is not scope:
                continue
            for side, other in (
                (equality.this.unnest(), equality.expression),
                (equality.expression.unnest(), equality.this),
            ):
                if (
                    isinstance(side, exp.Column)
                    and side.name.lower() == column.name.lower()
                    and _source_of(side) is source
                    and _is_value(other)
                ):
                    return True
        scope = _scope_of(scope)
    return False
