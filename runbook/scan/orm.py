"""Shapes of ORMs and query builders in JavaScript, TypeScript, Go, Ruby and PHP.

A chain of calls counts only if it names the resource itself and compares its owner, or creates a
row with an owner; and only if nothing in the whole chain speaks of organizations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from runbook.scan.chains import Chain, Code, Link, Range
from runbook.scan.lexing import Token
from runbook.scan.queries import mentions_organizations
from runbook.scan.result import Kind, ResourceNames
from runbook.scan.shapes import Shape, Words, names, shown

_DELETES = names(
    """del delete deleteFrom deleteMany destroy delete_all destroy_all forceDelete Delete"""
)
_UPDATES = names("""
    update updateMany update_all updateTable updateOrInsert Update Updates
""")
_INSERTS = names("""
    insert insertMany insertGetId insertOrIgnore values create createMany create! insert!
    insert_all insert_all! forceCreate firstOrCreate Create
""")

# Prisma, Sequelize, TypeORM: project.findMany({ where: { ownerId } }).
_OPTION_METHODS = names("""
    findMany findFirst findFirstOrThrow findUnique findUniqueOrThrow find findOne findOneOrFail
    findAll findAndCountAll findAndCount count aggregate groupBy exists update updateMany delete
    deleteMany destroy
""")
_DIRECT_METHODS = names("findBy findOneBy findOneByOrFail countBy existsBy")
# knex, Kysely, Supabase, Laravel.
_TABLE_METHODS = names("from selectFrom table into insertInto updateTable deleteFrom")
_WHERE_METHODS = names("""
    where andWhere orWhere whereIn orWhereIn firstWhere eq in match find_by find_by! exists?
    rewhere find_or_create_by find_or_create_by! find_or_initialize_by Where Or
""")
_RAW_METHODS = names("whereRaw andWhereRaw")
_DYNAMIC_FINDERS = ("find_by_", "where")
# GORM and squirrel.
_GO_TABLE_METHODS = names("""
    Find First Take Last Scan Model Table From Update Delete Count FirstOrInit FirstOrCreate
""")


def shapes(
    tokens: list[Token], language: str, source: str, resources: Sequence[ResourceNames]
) -> Iterator[Shape]:
    """The calls that select, change or delete a resource by owner, or create one without more."""
    words = [Words.of(resource) for resource in resources]
    code = Code(tokens, language)
    for chain in code.chains():
        if not any(_may_query(link.name) for link in chain.links):
            continue
        for word in words:
            found = _judge(code, chain, word)
            if found is None or _speaks_of_organizations(code, chain):
                continue
            first, last = tokens[chain.start], tokens[chain.end - 1]
            kind, where = found
            query = shown(source[first.start : last.end])
            yield Shape(word.resource, kind, first.line, query, where)
            break


_COMPARES = re.compile(r"=|\bin\b", re.IGNORECASE)
_INTERESTING = (
    _OPTION_METHODS | _DIRECT_METHODS | _WHERE_METHODS | _RAW_METHODS | _INSERTS | _GO_TABLE_METHODS
)


def _may_query(name: str) -> bool:
    return name in _INTERESTING or name.startswith(_DYNAMIC_FINDERS)


def _judge(code: Code, chain: Chain, words: Words) -> tuple[Kind, str] | None:
    """The kind of query that the chain stands for, and its condition if that is SQL."""
    if code.language in ("typescript", "javascript"):
        found = _by_options(code, chain, words) or _by_drizzle(code, chain, words)
        if found:
            return found, ""
    if not _names_resource(code, chain, words):
        return None
    for link in chain.links:
        if link.args is None:
            continue
        if link.name in _INSERTS and _creates(code, link.args, words):
            return "insert", ""
        if _is_dynamic_finder(link.name, words):
            return _kind(chain), ""
        if link.name in _WHERE_METHODS and _compares_owner(code, link.args, words):
            return _kind(chain), ""
        raw = link.name in (_RAW_METHODS | _WHERE_METHODS) or (
            code.language == "go" and link.name in _GO_TABLE_METHODS
        )
        if raw and (where := _sql_condition(code, link.args, words)):
            return _kind(chain), where
    return None


def _kind(chain: Chain) -> Kind:
    called = {link.name for link in chain.links}
    if called & _DELETES:
        return "delete"
    return "update" if called & _UPDATES else "select"


def _speaks_of_organizations(code: Code, chain: Chain) -> bool:
    return any(
        mentions_organizations(token.value)
        for token in code.tokens[chain.start : chain.end]
        if token.kind in ("name", "text")
    )


def _by_options(code: Code, chain: Chain, words: Words) -> Kind | None:
    """Prisma and its like: the method behind the model takes an object with `where` or `data`."""
    for before, link in zip(chain.links, chain.links[1:], strict=False):
        if link.args is None or not _is_model_access(code, before, words):
            continue
        objects = [inner for part in code.split(link.args) if (inner := code.inside(part, "{"))]
        for object_ in objects:
            entries = code.entries(object_) or {}
            if link.name in _DIRECT_METHODS and _object_compares(code, object_, words):
                return "select"
            where = code.inside(entries.get("where", (0, 0)), "{")
            if link.name in _OPTION_METHODS and where and _object_compares(code, where, words):
                return _kind(chain)
            data = entries.get("data", (0, 0))
            created = (code.inside(data, "{") or _first_of(code, data)) or object_
            if link.name in _INSERTS and _object_creates(code, created, words):
                return "insert"
    return None


def _is_model_access(code: Code, link: Link, words: Words) -> bool:
    """`prisma.project`, `Project`, `projectRepository` or `getRepository(Project)`."""
    if link.args is None:
        name = re.sub(r"(?:Repository|Repo|Model)$", "", link.name)
        return words.is_model(name)
    start, end = link.args
    return (
        link.name in ("getRepository", "model")
        and end == start + 1
        and words.is_model(code.tokens[start].value)
    )


def _by_drizzle(code: Code, chain: Chain, words: Words) -> Kind | None:
    """`db.select().from(projects).where(eq(projects.ownerId, id))` and its like."""
    named = any(
        link.name in ("from", "update", "delete", "insert")
        and link.args is not None
        and link.args[1] == link.args[0] + 1
        and code.is_name(link.args[0])
        and words.is_model(code.tokens[link.args[0]].value)
        for link in chain.links
    ) or any(
        before.name == "query" and words.is_model(link.name)
        for before, link in zip(chain.links, chain.links[1:], strict=False)
    )
    if not named:
        return None
    for link in chain.links:
        if link.name == "values" and link.args and _creates(code, link.args, words):
            return "insert"
        if link.name not in ("where", "findMany", "findFirst") or link.args is None:
            continue
        for index in range(*link.args):
            if (
                code.is_name(index)
                and code.tokens[index].value in ("eq", "inArray")
                and code.is_mark(index + 1, "(")
                and not (code.is_mark(index - 1, "(") and code.tokens[index - 2].value == "not")
                and code.is_name(index + 2)
                and words.is_model(code.tokens[index + 2].value)
                and code.is_mark(index + 3, ".")
                and code.is_name(index + 4)
                and words.is_owner(code.tokens[index + 4].value)
                and code.is_mark(index + 5, ",")
            ):
                return _kind(chain)
    return None


def _names_resource(code: Code, chain: Chain, words: Words) -> bool:
    """Whether the chain starts from the resource's model or names its table."""
    links = chain.links
    for position, link in enumerate(links):
        text = _only_text(code, link.args) or ""
        if position == 0 and link.args and link.name not in _WHERE_METHODS and words.is_table(text):
            return True  # knex('projects')
        if link.name in _TABLE_METHODS and words.is_table(text):
            return True
        if (
            code.language == "go"
            and link.name in _GO_TABLE_METHODS | {"Create"}
            and link.args
            and (words.is_table(text) or _go_model(code, link.args, words))
        ):
            return True
        if code.language == "ruby" and link.index and words.is_table(_symbol(code, link.index)):
            return True  # DB[:projects]
    if code.language == "go":
        return False
    # The model itself, alone or behind its modules: Project.where, Admin::Project.where.
    model = next((n for n, link in enumerate(links) if words.is_model(link.name)), None)
    if model is None or links[model].args is not None:
        return False
    follows = model + 1 < len(links)
    if code.language in ("typescript", "javascript"):
        return model == 0 and follows and links[1].name == "query"  # Objection
    capital = links[model].name.rpartition("\\")[2][:1].isupper()
    modules = all(link.args is None and link.name[:1].isupper() for link in links[:model])
    return capital and modules and follows


def _go_model(code: Code, args: Range, words: Words) -> bool:
    """`&projects`, `&models.Project{}` or `&[]Project{}` as first argument."""
    start, end = code.split(args)[0] if code.split(args) else (0, 0)
    named = [code.tokens[i].value for i in range(start, end) if code.is_name(i)][:2]
    return code.is_mark(start, "&") and any(words.is_model(name) for name in named)


def _symbol(code: Code, index: Range) -> str:
    start, end = index
    return code.tokens[start + 1].value if end == start + 2 and code.is_mark(start, ":") else ""


def _only_text(code: Code, args: Range | None) -> str | None:
    parts = code.split(args) if args else []
    return code.text(parts[0]) if len(parts) == 1 else None


def _first_of(code: Code, range_: Range) -> Range | None:
    """The first object of a list of objects."""
    inner = code.inside(range_, "[")
    parts = code.split(inner) if inner else []
    return (code.inside(parts[0], "{") or code.inside(parts[0], "[")) if parts else None


def _compares_owner(code: Code, args: Range, words: Words) -> bool:
    """`('owner_id', id)`, `('owner_id', '=', id)`, `({ owner_id: id })` or `owner_id: id`."""
    parts = code.split(args)
    if not parts:
        return False
    column = code.text(parts[0])
    if column is not None and words.is_owner_text(column):
        if len(parts) == 2:
            return code.tokens[parts[1][0]].value not in ("null", "nil", "nullptr")
        operator = code.text(parts[1]) if len(parts) == 3 else None
        return operator is not None and operator.lower() in ("=", "==", "===", "in", "is")
    inner = code.inside(parts[0], "{") or code.inside(parts[0], "[")
    if inner is None and code.language == "go":
        inner = _composite(code, parts[0], words)
    if inner is None and code.language == "ruby":
        inner = args
    return inner is not None and _object_compares(code, inner, words)


def _composite(code: Code, range_: Range, words: Words) -> Range | None:
    """The braces of `&Project{...}`, `sq.Eq{...}` or `map[string]any{...}`."""
    start, end = range_
    opening = next((i for i in range(start, end) if code.pairs.get(i) == end - 1), None)
    if opening is None or not code.is_mark(opening, "{"):
        return None
    type_ = [code.tokens[i].value for i in range(start, opening) if code.is_name(i)]
    known = type_ and (type_[-1] == "Eq" or type_[0] == "map" or words.is_model(type_[-1]))
    return (opening + 1, end - 1) if known else None


def _object_compares(code: Code, object_: Range, words: Words) -> bool:
    """Whether one of the object's keys is the owner, compared with a value."""
    for key, (start, end) in (code.entries(object_) or {}).items():
        if not words.is_owner(key) and not (code.language == "ruby" and words.is_owner_object(key)):
            continue
        inner = code.inside((start, end), "{")
        if inner is not None:  # { in: [...] } or { not: ... }
            operators = code.entries(inner)
            return bool(operators) and set(operators or ()) <= {"in", "equals"}
        return start == end or code.tokens[start].value not in ("null", "nil", "undefined")
    return False


def _creates(code: Code, args: Range, words: Words) -> bool:
    """Whether the arguments are a new row, or a list of them, that has an owner."""
    parts = code.split(args)
    if not parts:
        return False
    inner = _first_of(code, parts[0])
    inner = inner or code.inside(parts[0], "{") or code.inside(parts[0], "[")
    if inner is None and code.language == "go":
        inner = _composite(code, parts[0], words)
    if inner is None and code.language == "ruby":
        inner = args
    return inner is not None and _object_creates(code, inner, words)


def _object_creates(code: Code, object_: Range, words: Words) -> bool:
    keys = code.entries(object_)
    return keys is not None and any(words.is_owner(k) or words.is_owner_object(k) for k in keys)


def _is_dynamic_finder(name: str, words: Words) -> bool:
    """Rails' find_by_owner_id and Laravel's whereOwnerId."""
    for prefix in _DYNAMIC_FINDERS:
        if name.startswith(prefix) and len(name) > len(prefix):
            return words.is_owner(name.removeprefix(prefix).rstrip("!"))
    return False


def _sql_condition(code: Code, args: Range, words: Words) -> str:
    """A condition given as SQL, such as `"owner_id = ?"`, the first string of the arguments."""
    owner = words.resource.owner.lower()
    for part in code.split(args):
        text = code.text(part)
        if text and owner in text.lower() and _COMPARES.search(text):
            return text
    return ""
