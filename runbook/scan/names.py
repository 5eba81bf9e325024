"""How programs may call a resource: its table, its model, its owner, and its user's relation."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from runbook.scan.result import ResourceNames

# What source says that speaks of organizations.
ABOUT_ORGANIZATIONS = (
    r"[Oo]rgani[sz]ation|[Tt]enant|(?<![A-Za-z])[Oo][Rr][Gg](?![a-z])|(?<=[a-z])Org(?![a-z])"
)


def word_set(text: str) -> frozenset[str]:
    """The words in a text, separated by spaces."""
    return frozenset(text.split())


@functools.lru_cache(maxsize=50_000)
def plain(name: str) -> str:
    """A name without case, underscores, dashes and spaces."""
    return re.sub(r"[^0-9a-z\u0080-\uffff]", "", name.lower())


def singular(name: str) -> str:
    """A noun in the singular, for regular English plurals."""
    if name.endswith("ies") and len(name) > 4:
        return name[:-3] + "y"
    if name.endswith(("sses", "xes", "ches", "shes", "zes")):
        return name[:-2]
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


_PERSONS = {"people": "person", "children": "child", "men": "man", "women": "woman"}


def singulars(name: str) -> frozenset[str]:
    """What one of `name` may be called: an alias of aliases, a course of courses."""
    other = name[:-2] if name.endswith("ses") else name
    return frozenset({singular(name), singular(other) if other == name else other,
                      _PERSONS.get(name, name)} - {""})  # fmt: skip


@functools.lru_cache(maxsize=50_000)
def last_word(name: str) -> str:
    """The last word of currentUser, current_user or CurrentUser, in lower case."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name.rstrip("_!?"))
    return words[-1].lower() if words else ""


@dataclass(frozen=True)
class Declared:
    """What an application's schema says of a resource beyond its table's and column's name.

    `models` are classes and table variables, spelled as they are; `fields` stand for the owner
    column, `objects` for the owner as an object, `relations` lead from a user to their rows.
    """

    models: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()
    relations: frozenset[str] = frozenset()

    def __or__(self, other: Declared) -> Declared:
        return Declared(
            self.models | other.models,
            self.fields | other.fields,
            self.objects | other.objects,
            self.relations | other.relations,
        )


_SUFFIXES = r"(?:Repository|Repo|Model|Table|Schema|Entity|_repository|_repo|_model|_table)$"
_CLASS_SUFFIXES = (
    r"(?:s?(?:Manager|QuerySet|Query|Repository|Repo|Store|Dao|DAO|Scope|Service|CRUD|Controller"
    r"|ViewSet|Gateway|Mapper|Builder|Table|Model|Entity|Storage|Finder|Scopes|Impl|Policy|Form|Resolver"
    r"|(?:Create|List|Update|Detail|Delete|API)*View|Handler))+$"
)


@functools.lru_cache(maxsize=50_000)
def _model_names(name: str) -> tuple[str, str]:
    """What a class or variable may be called for, with and without its suffix."""
    short = re.split(r"[\\.:]", name)[-1]
    return plain(short), plain(re.sub(_SUFFIXES, "", short))


@dataclass(frozen=True)
class Words:
    """All names in use for one resource, each without case and underscores."""

    resource: ResourceNames
    models: frozenset[str]
    spelled: frozenset[str]
    fields: frozenset[str]
    objects: frozenset[str]
    relations: frozenset[str]
    users: frozenset[str]

    @classmethod
    def of(cls, resource: ResourceNames, declared: Declared = Declared()) -> Words:
        """The names for `resource`; those of the schema beside those by convention."""
        table, owner = plain(resource.table), plain(resource.owner)
        one = singular(table)
        relation = owner.removesuffix("id").removesuffix("uu") if owner.endswith("id") else owner
        objects = {relation} if relation and relation != owner else set()
        tables = {table, one, *singulars(table)}
        user = plain(singular(resource.users))
        return cls(
            resource,
            frozenset(tables | set(map(plain, declared.models))),
            declared.models,
            frozenset({owner} | declared.fields),
            frozenset(objects | declared.objects),
            frozenset({table, one + "set", *declared.relations}
                      | ({table + "s"} if table == one else set())
                      | {plain(model) + "set" for model in declared.models}),
            frozenset({"user", "me", "viewer", user, *objects, *declared.objects}),
        )  # fmt: skip

    def is_model(self, name: str) -> bool:
        """Whether a variable, class or property of this name is the resource."""
        return not self.models.isdisjoint(_model_names(name))

    def is_home(self, class_: str) -> bool:
        """Whether a class is the resource's model, or its manager, repository or service."""
        return plain(class_) in self.models or plain(re.sub(_CLASS_SUFFIXES, "", class_)) in (
            self.models
        )

    def is_table(self, text: str) -> bool:
        """Whether a string names the table, as in `projects` or `projects as p`."""
        table = re.escape(self.resource.table)
        quoted = rf"[\"`\[]?{table}[\"`\]]?"
        if re.fullmatch(rf"\s*{quoted}(?:\s+(?:as\s+)?\w+)?\s*", text, re.IGNORECASE):
            return True
        camel = re.fullmatch(r"\s*([a-z]\w*)(?:\s+as\s+\w+)?\s*", text)  # as Kysely may write it
        return camel is not None and plain(camel[1]) == plain(self.resource.table)

    def is_field(self, name: str) -> bool:
        """Whether a key or property is the owner column: owner_id, ownerId, OwnerID."""
        return plain(name) in self.fields

    def is_owner(self, name: str) -> bool:
        """Whether a key or property is the owner column, or the owner as an object."""
        return plain(name) in self.fields or plain(name) in self.objects

    def is_field_text(self, text: str) -> bool:
        """Whether a string names the column, as in `owner_id`, `p.ownerId` or `"p"."owner_id"`."""
        return re.fullmatch(
            r"[\w.\"`\[\]$]+|" + re.escape(self.resource.owner), text
        ) is not None and (self.is_field(text.rpartition(".")[2]))

    def is_user(self, name: str) -> bool:
        """Whether a name is a user: user, current_user, authUser, owner."""
        return last_word(name) in self.users or plain(name) in self.users
