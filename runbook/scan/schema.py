"""Reads an application's own schema: which model is the table, which field is the owner column.

What is read: Prisma's `@@map` and `@map`; tables and columns named in calls (`sqliteTable("t", {a:
text("b")})`, `Table("t", ...)`, `define`, `init`); and classes that name their table in any of the
ways below, whose fields may name their column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from runbook.scan.names import Declared, plain, word_set
from runbook.scan.result import ResourceNames
from runbook.scan.syntax import Node, Program, bare

# How classes, structs and options name their table.
_TABLE_KEYS = frozenset({"tablename", "dbtable", "table", "name", "basetable"})
_OUR_TABLE_KEYS = _TABLE_KEYS - {"name"}
_TABLE_DECORATORS = frozenset({"entity", "table", "objectiontable"})
_TABLE_CALLS = re.compile(r"(?:[a-z]+|[A-Z]\w*)?[tT]able(?:Creator)?$|^define$|^init$|^model$")
_RELATION_KEYS = frozenset({"relatedname", "backref", "backpopulates", "inverse", "inverseof"})
_RELATION_CALLS = word_set("""
    has_many has_one hasMany hasOne belongsToMany HasMany relationship OneToMany many
""")

_PRISMA_MODEL = re.compile(r"^model\s+(\w+)\s*\{(.*?)^\}", re.MULTILINE | re.DOTALL)
_PRISMA_FIELD = re.compile(r"^\s*(\w+)\s+(\w+)(\[\])?\??(.*)$", re.MULTILINE)


def from_prisma(text: str, resource: ResourceNames) -> Declared:
    """The names in a Prisma schema."""
    hits = Declared()
    for name, body in _PRISMA_MODEL.findall(text):
        mapped = re.search(r'@@map\(\s*(?:name:\s*)?"([^"]+)"', body)
        table = mapped[1] if mapped else name
        if plain(table) != plain(resource.table) and not (
            mapped is None and plain(table) + "s" == plain(resource.table)
        ):
            continue
        fields, objects = set(), set()
        for field, _type, _many, rest in _PRISMA_FIELD.findall(body):
            column = re.search(r'@map\(\s*(?:name:\s*)?"([^"]+)"', rest)
            if plain(column[1] if column else field) == plain(resource.owner):
                fields.add(field)
        for field, _type, _many, rest in _PRISMA_FIELD.findall(body):
            keys = re.search(r"fields:\s*\[([^\]]*)\]", rest)
            if keys and keys[1].strip() in fields:
                objects.add(plain(field))
        hits |= Declared(frozenset({name}), frozenset(map(plain, fields)), frozenset(objects))
    for _name, body in _PRISMA_MODEL.findall(text):
        many = [plain(f) for f, type_, many, _ in _PRISMA_FIELD.findall(body)
                if many and type_ in hits.models]  # fmt: skip
        if re.match(r"(?:User|Account|Person|Member)$", _name):
            hits |= Declared(relations=frozenset(many))
    return hits


def from_program(program: Program, file: str, resource: ResourceNames) -> Declared:
    """The names that one file of a program declares for `resource`."""
    structs = frozenset(
        name for node in program.nodes if node.kind == "function" and node.name == "TableName"
        and any(_names(part, resource) for part in node.walk()) for name in _receiver(node)
    )  # fmt: skip
    hits = Declared(models=structs)
    for node in program.nodes:
        if node.kind == "call":
            hits |= _from_call(node, resource)
        elif node.kind == "class":
            hits |= _from_class(node, program, file, resource, structs)
    return hits


def from_relations(program: Program, models: frozenset[str]) -> frozenset[str]:
    """What users call their rows: `related_name="notes"` of a key in a model, `has_many :notes`."""
    hits: set[str] = set()
    for node in program.nodes:
        if node.kind == "class" and plain(node.name) in models:
            for pair in node.walk():
                if pair.kind == "pair" and plain(pair.name) in _RELATION_KEYS and (
                    (name := pair.parts[1].value) and _is_users(pair)
                ):  # fmt: skip
                    hits.add(plain(name))
        elif (
            node.kind == "call"
            and node.name in _RELATION_CALLS
            and _in_user(node)
            and not any(part.kind == "pair" and part.name == "through" for part in node.arguments)
        ) and any(plain(_model_name(part)) in models for part in _operands(node)):
            hits |= _declared_name(node)
    return frozenset(hits)


def _operands(node: Node) -> Iterator[Node]:
    for part in node.arguments:
        yield part.parts[1] if part.kind == "pair" else part


def _model_name(node: Node) -> str:
    name = node.value or (node.parts[0].name if node.kind == "member" and node.parts
                          and node.name == "class" else node.name)  # fmt: skip
    return re.split(r"[\\.:]", name)[-1]


def _in_user(node: Node) -> bool:
    return any(
        around.kind == "class" and re.search(r"(?:User|Account|Member|Person)$", around.name)
        for around in node.ancestors()
    )


def _declared_name(node: Node) -> set[str]:
    """The relation's name: the first symbol, the attribute assigned, or the method around."""
    first = node.arguments[0] if node.arguments else None
    if node.name in ("has_many", "has_one") and first is not None and first.value:
        return {plain(first.value)}
    for around in node.ancestors():
        if around.kind == "assign":
            return {plain(around.parts[0].name)}
        if around.kind == "function" and around.name:
            return {plain(around.name)}
    return set()


def _is_users(pair: Node) -> bool:
    """Whether the key or relation that has this name leads to a user."""
    call = next((around for around in pair.ancestors() if around.kind == "call"), None)
    return call is not None and any(
        re.search(r"user", part.value or part.name, re.IGNORECASE)
        for part in call.walk() if part is not pair and part.kind in ("name", "member", "text")
    )  # fmt: skip


def _names(node: Node, resource: ResourceNames) -> bool:
    value = node.value
    return value is not None and value.rpartition(".")[2].lower() == resource.table.lower()


def _from_call(node: Node, resource: ResourceNames) -> Declared:
    """`const notes = sqliteTable("notes", {...})`, `Note.init({...}, { tableName: "notes" })`."""
    if not _TABLE_CALLS.search(node.name) or not node.arguments:
        return Declared()
    tables = [node.arguments[0]] if _names(node.arguments[0], resource) else []
    for part in node.arguments:
        if part.kind in ("object", "pair"):
            pairs = part.parts if part.kind == "object" else [part]
            tables += [p for p in pairs if p.kind == "pair" and plain(p.name) in _OUR_TABLE_KEYS
                       and _names(p.parts[1], resource)]  # fmt: skip
    if not tables:
        return Declared()
    models: set[str] = set()
    if node.name in ("define", "model") and node.arguments[0].value:
        models.add(node.arguments[0].value)
    callee = node.parts[0]
    if node.name == "init" and callee.parts:
        models.add(bare(callee.parts[0]).name)
    parent = next((a for a in node.ancestors() if a.kind not in ("await", "other")), None)
    if parent is not None and parent.kind == "assign":
        models.add(parent.parts[0].name)
    return Declared(frozenset(models - {""}), _fields(node, resource))


def _fields(node: Node, resource: ResourceNames) -> frozenset[str]:
    """The fields below `node` that give the owner column as their own."""
    hits: set[str] = set()
    for part in node.walk():
        if part.kind == "pair" and _is_field_call(bare(part.parts[1]), resource):
            hits.add(plain(part.name))
        elif part.kind == "assign" and part.parts[0].kind == "name":
            value = [part.parts[1], *part.parts[2:]]
            if any(_is_field_call(bare(v), resource) for v in value):
                hits.add(plain(part.parts[0].name))
    return frozenset(hits)


def _is_field_call(node: Node, resource: ResourceNames) -> bool:
    """`text("owner_id")`, `Column("owner_id", ...)`, `{ field: "owner_id" }`, `db_column=...`."""
    for part in node.walk():
        if part.kind == "function":
            return False
        if (part.value or "").lower() != resource.owner.lower() or part.parent is None:
            continue
        around = part.parent
        first = around.kind == "call" and around.arguments and around.arguments[0] is part
        if first or (
            around.kind == "pair"
            and plain(around.name) in ("field", "name", "dbcolumn", "columnname", "sourcefield")
        ):
            return True
    return False


def _from_class(
    node: Node, program: Program, file: str, resource: ResourceNames, structs: frozenset[str]
) -> Declared:
    declared = node.name in structs
    tag_fields: set[str] = set()
    siblings = node.parent.parts if node.parent is not None else []
    decorators = [p for sibling in siblings if sibling.name == "decorator" for p in sibling.walk()]
    for part in (*decorators, *node.walk()):
        match part.kind:
            case "assign" if plain(part.parts[0].name) in _OUR_TABLE_KEYS and _is_own(part):
                declared |= _names(part.parts[1], resource)
            case "function" if plain(part.name) == "tablename":
                declared |= any(_names(inner, resource) for inner in part.walk())
            case "call" if plain(part.name) in _TABLE_DECORATORS and _is_own(part):
                declared |= any(
                    _names(a, resource) or any(_names(b, resource) for b in a.walk())
                    for a in part.arguments
                )
            case "text" if "column:" + resource.owner in (part.value or ""):
                around = part.parent
                if around is not None and around.parts and around.parts[0].kind == "name":
                    tag_fields.add(plain(around.parts[0].name))
    # Django names a table after its app, which is a folder, and the model.
    bases = program.source(*node.at)
    places = re.split(r"[/\\.]", file)
    if ("Model" in bases or "models" in places) and plain(resource.table).endswith(
        plain(node.name)
    ):
        app = plain(resource.table).removesuffix(plain(node.name))
        folders = [plain(folder) for folder in re.split(r"[/\\]", file)]
        declared |= app in folders or any(
            part.kind == "assign" and part.parts[0].name == "app_label"
            and plain(part.parts[1].value or "") == app for part in node.walk()
        )  # fmt: skip
    if not declared and not (tag_fields and plain(node.name) + "s" == plain(resource.table)):
        return Declared()
    fields = _fields(node, resource) | tag_fields
    return Declared(frozenset({node.name}), fields)


def _is_own(part: Node) -> bool:
    """Whether an assignment is one of the class itself, and not of a method."""
    around = next((a for a in part.ancestors() if a.kind in ("function", "class")), None)
    return around is None or around.kind == "class"


def _receiver(node: Node) -> Iterator[str]:
    """The type that a method of Go belongs to."""
    first = node.parts[0] if node.parts else node
    names = [part.name for part in first.walk() if part.kind == "name"]
    if names:
        yield names[-1]
