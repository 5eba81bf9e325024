"""Renders the query that replaces an old one.

The condition `owner_id = X` becomes `organization_id IN (the personal organization of X)`, and an
insert gains the same lookup as a value; `sql/queries/organization_of_user.sql` is that lookup.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from runbook.resources import resource_folder
from runbook.scan.queries import ORGANIZATION, ByOwner, Judgement
from runbook.scan.result import ResourceNames
from runbook.scan.statements import MARK, Dialect, Statement, restored

_TEMPLATE = resource_folder("sql") / "queries" / "organization_of_user.sql"

NO_OWNER = "bind the user's key as :user_id"
_TWICE = "the user's key is bound once more, for the new value"


@dataclass(frozen=True)
class Replacement:
    """The new query on one line, and what to know about its parameters."""

    sql: str
    note: str = ""


def replacement(statement: Statement, judgement: Judgement) -> Replacement:
    """The query that does by organization what `statement` does by owner. Changes its tree."""
    params = list(statement.params)
    notes: list[str] = []
    # From the inside out, so that a condition within another's subquery is replaced as well.
    for condition in reversed(judgement.conditions):
        _replace_condition(condition)
    if judgement.insert is not None:
        _extend_insert(judgement.insert, judgement.resource, params, notes)
    sql = statement.tree.sql(dialect=Dialect, comments=False)
    return Replacement(restored(sql, params), "; ".join(dict.fromkeys(notes)))


@functools.cache
def _lookup() -> exp.Expression:
    return sqlglot.parse_one(_TEMPLATE.read_text(encoding="utf-8"), dialect=Dialect)


def lookup_condition(prefix: str, parameter: str) -> str:
    """The condition by organization for `prefix` + `owner_id = parameter`, as SQL."""
    sql: str = _lookup().sql(dialect=Dialect, comments=False)
    return f"{prefix}{ORGANIZATION} IN ({sql.replace(':user_id', parameter)})"


def _replace_condition(hits: ByOwner) -> None:
    """Turn the comparison of the owner into one of the organization, in place."""
    condition = hits.condition
    user = exp.column("user_id", table="om")
    hits.column.replace(user)
    inner = condition.copy()
    new = exp.In(
        this=exp.Column(
            this=exp.to_identifier(ORGANIZATION),
            table=hits.qualifier.copy() if hits.qualifier is not None else None,
        ),
        query=exp.Subquery(this=_lookup_where(inner, _copied(user, condition, inner))),
    )
    condition.replace(new)


def _copied(node: exp.Expression, tree: exp.Expression, copy: exp.Expression) -> exp.Expression:
    """The node of `copy` that stands where `node` stands in `tree`."""
    pairs = zip(tree.walk(), copy.walk(), strict=True)
    return next(twin for original, twin in pairs if original is node)


def _lookup_where(condition: exp.Expression, user: exp.Expression) -> exp.Expression:
    """The lookup with `condition` in the place of `om.user_id = :user_id`.

    `user` is the column om.user_id of that condition.
    """
    lookup = _lookup().copy()
    _keep_apart(lookup, condition, user)
    place = next(p for p in lookup.find_all(exp.Placeholder) if p.name == "user_id").parent
    assert place is not None  # a parameter is always part of a comparison
    place.replace(condition)
    return lookup


def _keep_apart(lookup: exp.Expression, condition: exp.Expression, user: exp.Expression) -> None:
    """Rename the lookup's aliases where the condition means tables of the same name outside."""
    used = {c.table.lower() for c in condition.find_all(exp.Column) if c is not user}
    used |= {t.alias_or_name.lower() for t in condition.find_all(exp.Table)}
    for alias in ("om", "o"):
        if alias not in used:
            continue
        new = next(f"{alias}{n}" for n in range(2, 100) if f"{alias}{n}" not in used)
        for name in [*lookup.find_all(exp.Identifier), user.args["table"]]:
            if name.name == alias:
                name.set("this", new)


def _extend_insert(
    insert: exp.Insert, resource: ResourceNames, params: list[str], notes: list[str]
) -> None:
    """Add organization_id to the columns and the lookup to each row of values."""
    names = [column.name.lower() for column in insert.this.expressions]
    owner = resource.owner.lower()
    index = names.index(owner) if owner in names else None
    insert.this.append("expressions", exp.to_identifier(ORGANIZATION))
    source = insert.expression
    if isinstance(source, exp.Values):
        for row in source.expressions:
            values = row.expressions if isinstance(row, exp.Tuple) else [row]
            key = values[index] if index is not None and index < len(values) else None
            row.append("expressions", _lookup_value(key, params, notes))
        return
    for select in _branches(source):
        key = (
            select.expressions[index]
            if index is not None and not select.is_star and (index < len(select.expressions))
            else None
        )
        select.append("expressions", _lookup_value(_outer(key, select), params, notes))


def _branches(source: exp.Expression) -> list[exp.Expression]:
    if isinstance(source, exp.SetOperation):
        return [*_branches(source.this), *_branches(source.expression)]
    if isinstance(source, exp.Subquery):
        return _branches(source.this)
    return [source] if isinstance(source, exp.Select) else []


def _outer(key: exp.Expression | None, select: exp.Expression) -> exp.Expression | None:
    """`key` with every column prefixed, so that it keeps its meaning inside the lookup."""
    if key is None:
        return None
    key = key.unalias().copy()
    start = select.args.get("from_")
    for column in key.find_all(exp.Column):
        if column.table:
            continue
        if start is None or select.args.get("joins") or not start.this.alias_or_name:
            return None
        column.set("table", exp.to_identifier(start.this.alias_or_name, quoted=True))
    return key


def _lookup_value(
    key: exp.Expression | None, params: list[str], notes: list[str]
) -> exp.Expression:
    if key is None:
        notes.append(NO_OWNER)
        key = exp.Placeholder(this="user_id")
    else:
        key = _same_again(key.copy(), params, notes)
    user = exp.column("user_id", table="om")
    return exp.Subquery(this=_lookup_where(exp.EQ(this=user, expression=key), user))


def _same_again(key: exp.Expression, params: list[str], notes: list[str]) -> exp.Expression:
    """The key for a second use: SQLite can name the n-th `?` as ?n, others are bound again."""
    for placeholder in list(key.find_all(exp.Placeholder)):
        match = MARK.fullmatch(f":{placeholder.name}")
        if match is None:
            continue
        number = int(match.group(1) or match.group(2))
        if params[number] == "?" and not any(re.match(r"\?\d|\$\d", p) for p in params):
            params.append(f"?{params[: number + 1].count('?')}")
            placeholder.set("this", f"runbook_p{len(params) - 1}_")
        elif re.fullmatch(r"\?|%\w", params[number]):
            notes.append(_TWICE)
    return key
