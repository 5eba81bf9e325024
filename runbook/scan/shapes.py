"""A query written through an ORM or query builder, as far as its shape is sure.

The shape is turned into the SQL it stands for; that SQL is judged and replaced like any other, so
the rules live in one place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sqlglot import exp

from runbook.scan.files import Source
from runbook.scan.lexing import Text
from runbook.scan.queries import judge
from runbook.scan.result import Finding, Kind, ResourceNames
from runbook.scan.rewrite import replacement
from runbook.scan.statements import statements

_MAX_SHOWN = 300
_NOTES: dict[Kind, str] = {
    "select": "",
    "delete": "",
    "update": "this finds the rows that are updated",
    "insert": "with the other columns as they are",
}


@dataclass(frozen=True)
class Shape:
    """A call that stands for a query: what it does, and where it stands in the source.

    `where` is the condition where the program gives it as SQL; without one the owner is compared
    with a value.
    """

    resource: ResourceNames
    kind: Kind
    line: int
    query: str
    where: str = ""


@dataclass(frozen=True)
class Words:
    """How programs may call a resource: its table, its model, its owner."""

    resource: ResourceNames
    models: frozenset[str]
    owner_keys: frozenset[str]
    owner_objects: frozenset[str]

    @classmethod
    def of(cls, resource: ResourceNames) -> Words:
        """The names in use for `resource`, each without case and underscores."""
        table, owner = plain(resource.table), plain(resource.owner)
        relation = owner.removesuffix("id")
        return cls(
            resource,
            frozenset({table, _singular(table)}),
            frozenset({owner}),
            frozenset({relation} if relation else ()),
        )

    def is_model(self, name: str) -> bool:
        """Whether a variable, class or property of this name is the resource."""
        return plain(name.rpartition("\\")[2]) in self.models

    def is_table(self, text: str) -> bool:
        """Whether a string names the table, as in `projects` or `projects as p`."""
        name, _, alias = text.strip().partition(" ")
        if text.strip().lower() == self.resource.table.lower():
            return True
        return name.lower() == self.resource.table.lower() and (
            re.fullmatch(r"(?:as\s+)?\w+", alias.strip(), re.IGNORECASE) is not None
        )

    def is_owner(self, name: str) -> bool:
        """Whether a key or property is the owner column: owner_id, ownerId, OwnerID."""
        return plain(name) in self.owner_keys

    def is_owner_object(self, name: str) -> bool:
        """Whether a key is the owner as an object, which some ORMs compare by key."""
        return plain(name) in self.owner_objects

    def is_owner_text(self, text: str) -> bool:
        """Whether a string names the owner column, as in `owner_id` or `projects.owner_id`."""
        return text.rpartition(".")[2].lower() == self.resource.owner.lower()


def names(text: str) -> frozenset[str]:
    """The names in a text, separated by spaces."""
    return frozenset(text.split())


def plain(name: str) -> str:
    """A name without case, underscores, dashes and spaces."""
    return re.sub(r"[^0-9a-z\u0080-\uffff]", "", name.lower())


def _singular(name: str) -> str:
    if name.endswith("ies") and len(name) > 4:
        return name[:-3] + "y"
    if name.endswith(("sses", "xes", "ches", "shes", "zes")):
        return name[:-2]
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def shown(source: str) -> str:
    """Source text on one line, cut where it gets long."""
    line = " ".join(source.split())
    return line if len(line) <= _MAX_SHOWN else line[: _MAX_SHOWN - 1] + "…"


def shape_finding(shape: Shape, source: Source) -> Finding | None:
    """The finding for a shape; None where the SQL it stands for is none."""
    for statement in statements(Text(_sql(shape)), [shape.resource.table.lower()]):
        judgement = judge(statement, [shape.resource])
        if judgement is None:
            continue
        new = replacement(statement, replace(judgement, sure="likely"))
        notes = [note for note in (_NOTES[shape.kind], new.note) if note]
        return Finding(
            file=source.file,
            line=shape.line,
            language=source.language,
            kind=shape.kind,
            sure="likely",
            table=shape.resource.table,
            query=shape.query,
            replacement=new.sql,
            note="; ".join(notes),
        )
    return None


def _sql(shape: Shape) -> str:
    table, owner = _name(shape.resource.table), _name(shape.resource.owner)
    where = shape.where or f"{owner} = :user_id"
    if shape.kind == "insert":
        return f"INSERT INTO {table} ({owner}) VALUES (:user_id)"
    if shape.kind == "delete":
        return f"DELETE FROM {table} WHERE {where}"
    return f"SELECT * FROM {table} WHERE {where}"


def _name(name: str) -> str:
    plain_name = re.fullmatch(r"[A-Za-z_]\w*", name) is not None
    sql: str = exp.to_identifier(name, quoted=not plain_name).sql(dialect="sqlite")
    return sql
