"""Where a program compares a resource's owner with somebody, or gives a new row its owner.

Each such place is an `Owner`; whose rows are meant is for `context.py` to say, unless the place
names the model itself (`Project.owner_id == x`, `projects: { owner_id: x }`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runbook.scan.names import Words, plain, word_set
from runbook.scan.syntax import Node, bare
from runbook.scan.vocabulary import UPDATES, WHERES

_NEGATIONS = word_set("""
    not exclude whereNot whereNotIn orWhereNot not_ neq ne notInArray NotEq isNot Not whereNotNull
    whereNull orWhereNull NEQ IDNEQ notEquals notIn not_in joins includes join leftJoin innerJoin
    leftJoinAndSelect on
""")
# These take columns; a query within one, `addSelect(subquery)`, has conditions of its own.
_COLUMNS = word_set("""
    order order_by orderBy OrderBy group group_by groupBy select_related pluck only defer
    values_list distinct index_by Order Group Select latest oldest addSelect
""")
_GATHERS = word_set("and or and_ or_ And Or Q")
_EQUALITY_CALLS = word_set("eq inArray equals Eq")
_EQUALITY_METHODS = word_set("in_ eq is_ equals in any has __eq__ any_")
_LOOKUPS = word_set("exact iexact in id pk username email uuid")
# The keys of objects that lead to a condition; anything else is another relation.
_PATHS = word_set("""
    where and or $and $or filter filters is data connect create some every none in equals eq $eq $in
    connectorcreate values defaults update conditions all joins includes opand opor with set
""")
_NO_CONDITIONS = word_set("""
    select include orderby order attributes group groupby by distinct fields columns not omit count
    _count returning relations opnot uniqueby onconflict on_conflict conflicttarget target _sum
""")
_VALUE_KEYS = word_set("""
    in equals eq $eq $in is opeq opin _eq _in connect hasevery mode isexactly any
""")
_SIGNS = word_set("= == === in is IN IS eq")
_NO_VALUES = word_set("""
    Not IsNull not ne isNull MoreThan LessThan Ne NotIn text integer varchar uuid int
""")


@dataclass(frozen=True)
class Owner:
    """A place that goes by the owner.

    `node` is the whole comparison. `key` is what names the owner, `value` who is meant, where both
    can be told apart. `named` says that the place itself names the resource. `form` tells how it
    is written.
    """

    node: Node
    form: str  # pair, column, compare, condition, finder, setter, assignment
    named: bool
    key: tuple[int, int] = (0, 0)
    value: Node | None = None
    prefix: str = ""  # the table or alias that a column in a text is said to be of


def owners(nodes: Iterable[Node], words: Words, language: str) -> Iterator[Owner]:
    """All places among the nodes of a file."""
    condition = _condition_pattern(words)
    for node in nodes:
        owner: Owner | None = None
        match node.kind:
            case "pair":
                owner = _from_pair(node, words)
            case "text":
                owner = _from_text(node, words, condition)
            case "compare" if language == "python" and node.name in ("==", "in"):
                owner = _from_compare(node, words)
            case "call":
                owner = _from_call(node, words, language)
            case "assign":
                owner = _from_assignment(node, words)
        if owner is not None and not _turned(owner.node):
            yield owner


def call_of(node: Node) -> Node | None:
    """The call that `node` is, or else the one that it is an argument of."""
    return node if node.kind == "call" else next(calls_around(node), None)


def calls_around(node: Node) -> Iterator[Node]:
    """The calls that `node` is an argument of, from the inside out."""
    inner = node
    for around in node.ancestors():
        if around.kind == "call" and around.parts[0] is not inner:
            yield around
        inner = around


def _turned(node: Node) -> bool:
    """Whether the place is turned around by a `not`, up to the statement it stands in."""
    inner = node
    first = node.kind != "call"
    for around in node.ancestors():
        if around.kind == "not":
            return True
        if around.kind == "call" and around.parts[0] is not inner:
            name = around.name.removeprefix("new ")
            if name in _NEGATIONS or (first and name in _COLUMNS):
                return True
            first = first and name in _GATHERS
        if around.kind in ("function", "class", "assign"):
            return False
        inner = around
    return False


def is_null(node: Node) -> bool:
    """Whether a value is nothing, true or false: no user at all."""
    return node.kind == "null" or node.name in ("true", "false", "True", "False", "boolean")


def _from_pair(node: Node, words: Words) -> Owner | None:
    path = re.split(r"__|\.", node.name.strip("$:"))
    while len(path) > 1 and path[-1] in _LOOKUPS:
        path.pop()
    if not words.is_owner(path[-1]) or len(node.parts) != 2:
        return None
    named = len(path) > 1 and words.is_model(path[-2])
    prefix = "" if named or len(path) == 1 else path[-2]
    if prefix and "__" in node.name:
        return None
    value = node.parts[1]
    if is_null(value) or not _is_value(value, words.is_field(path[-1])):
        return None
    for around in node.ancestors():
        if around.kind == "pair":
            name = plain(around.name)
            if name == "where" and _joins_model(around, words):
                return Owner(node, "pair", True, node.at, value)
            if name in _NO_CONDITIONS or name in ("$ne", "nin"):
                return None
            if words.is_model(around.name):
                named = True
            elif name and name not in _PATHS and name[-3:] not in words.fields and not any(
                field in name for field in words.fields
            ):  # fmt: skip
                return None
        elif around.kind in ("call", "function", "class", "assign"):
            break
    return Owner(node, "pair", named, node.at, value, prefix)


def _joins_model(where: Node, words: Words) -> bool:
    """`{ model: Project, where: {...} }`: the condition is on the joined model."""
    return where.parent is not None and any(
        part.kind == "pair" and part.name in ("model", "association")
        and words.is_model(bare(part.parts[1]).name) for part in where.parent.parts
    )  # fmt: skip


def _is_value(value: Node, is_field: bool) -> bool:
    if value.kind == "call" and value.name in _NO_VALUES:
        return False
    if value.kind == "list" and any(is_null(part) for part in value.parts):
        return False  # `[sign, null]`
    if value.kind != "object":
        return value.name not in ("asc", "desc") and value.value not in ("asc", "desc", "ASC")
    keys = {plain(part.name) or plain(part.parts[0].name) for part in value.parts
            if part.kind == "pair"}  # fmt: skip
    keys |= {plain("op" + p.parts[0].name) for p in value.parts
             if p.kind == "pair" and p.parts[0].kind == "member"}  # fmt: skip
    if is_field:
        return bool(keys) and all(key.removeprefix("op") in {k.removeprefix("op").strip("$_")
                                  for k in _VALUE_KEYS} for key in keys)  # fmt: skip
    if value.parts and not keys:
        return False  # all of it is spread: a condition on whatever the owner has
    return not keys & {"not", "isnot", "ne", "select", "include", "type", "attributes", "model"}


def _condition_pattern(words: Words) -> re.Pattern[str]:
    """A comparison of the owner column in SQL: what stands before the column, and the value."""
    owner = words.resource.owner
    spelled = {re.escape(owner), *_spellings(owner)}
    for field in words.fields - {plain(owner)}:
        spelled.add(re.escape(field))
    names = "|".join(sorted(spelled, key=len, reverse=True))
    quote = r"[\"`\[\]]?"
    return re.compile(
        rf"(?<![\w.$:@])(?:{quote}(?P<table>\w+){quote}\.)?{quote}(?:{names}){quote}"
        rf"\s*(?:={{1,3}}|\bIN\b|\bIS\b(?!\s+(?:NOT\b|NULL\b)))\s*(?P<value>\(|\?\d*|[:@$%]\(?\w+(?:\)s)?"
        rf"|:\.\.\.\w+|\ue000|'[^']*'|\"|\d+|\{{)",
        re.IGNORECASE,
    )


def _spellings(owner: str) -> Iterator[str]:
    parts = owner.split("_")
    camel = parts[0] + "".join(part.capitalize() for part in parts[1:])
    yield re.escape(camel)
    yield re.escape(camel[:1].upper() + camel[1:])


_STATEMENT = re.compile(
    r"\s*(?:\(\s*)*(?:SELECT|INSERT|UPDATE|DELETE|WITH|REPLACE|CREATE|ALTER|FROM)\b", re.IGNORECASE
)


def _from_text(node: Node, words: Words, condition: re.Pattern[str]) -> Owner | None:
    if node.builder is None or node.parent is None:
        return None
    value = node.value
    if value is not None and words.is_field_text(value):
        return _from_column(node, value, words)
    text = "".join(node.builder.parts)
    squeezed = text.lower().replace("_", "")
    if not any(field in squeezed for field in words.fields):
        return None
    match = condition.search(text)
    if match is None or _STATEMENT.match(text) or re.search(r"\bNOT\s*$", text[: match.start()]):
        return None
    table = match["table"]
    named = bool(table) and plain(table) in words.models
    return Owner(node, "condition", named, prefix=table or "")


def _from_column(node: Node, value: str, words: Words) -> Owner | None:
    """`where('owner_id', id)`, `where('owner_id', '=', id)`, `[['owner_id', '=', id]]`."""
    parent = node.parent
    assert parent is not None
    parts = parent.arguments if parent.kind == "call" else parent.parts
    if parent.kind not in ("call", "list") or not parts or parts[0] is not node:
        return None
    call = parent if parent.kind == "call" else next(calls_around(parent), None)
    if call is None or call.name == "[]":
        return None
    if len(parts) == 2:
        other = parts[1]
    elif len(parts) == 3 and (parts[1].value or "") in _SIGNS:
        other = parts[2]
    else:
        return None
    known = call.name in WHERES or (call.parts[0].kind == "name" and len(parts) == 3)
    if call.name in UPDATES or not known or is_null(other):
        return None
    if (other.value or "").lower() in ("asc", "desc", "!=", "<>"):
        return None
    table = value.rpartition(".")[0].strip('"`[]')
    single = (len(parts) == 2 and re.search(r"(?:^i|_i|I)n$", call.name) is None) or (
        len(parts) == 3 and parts[1].value in ("=", "eq")
    )
    return Owner(parent, "column", bool(table) and words.is_model(table), (node.start, node.end),
                 other if single else None, table)  # fmt: skip


def _owner_member(node: Node, words: Words, *, callback: bool = False) -> Node | None:
    """The member `Project.owner_id`, also as `col(Project.owner_id)` or `projects.c.owner_id`."""
    node = bare(node)
    if node.kind == "call" and node.name in ("col", "lower", "cast") and node.arguments:
        node = node.arguments[0]
    if node.kind == "member" and node.name in ("id", "pk") and node.parts[0].kind == "member":
        node = node.parts[0]
    if node.kind != "member" or not words.is_owner(node.name):
        return None
    before = bare(node.parts[0])
    if before.kind == "member" and before.name in ("c", "columns", "table") and before.parts:
        before = before.parts[0]
    name = before.name
    if before.kind not in ("name", "member"):
        return None
    if callback and before.kind == "name" and words.is_field(node.name):
        return node  # whose table it is, the call around says
    is_class = name[:1].isupper() or plain(name) == plain(words.resource.table)
    if words.is_model(name) and (is_class or name in words.spelled):
        return node
    if name in ("cls", "model") and (home := class_around(node)) and words.is_home(home.name):
        return node
    return None


def class_around(node: Node) -> Node | None:
    """The innermost class that a node stands in."""
    return next((around for around in node.ancestors() if around.kind == "class"), None)


def _from_compare(node: Node, words: Words) -> Owner | None:
    left, right = node.parts
    for side, other in ((left, right), (right, left)):
        member = _owner_member(side, words)
        if member is None or is_null(other) or is_column(other):
            continue
        plain_member = side is member and node.name == "=="
        return Owner(node, "compare", True, member.at, other if plain_member else None)
    return None


def is_column(node: Node) -> bool:
    """Whether a value is a column of some model, so that the comparison joins."""
    node = bare(node)
    if node.kind == "call" and node.name == "OuterRef":
        return True
    if node.kind != "member" or not node.parts:
        return False
    before = node.parts[0]
    if before.kind == "member" and before.name == "c":
        return True
    return before.kind == "name" and before.name[:1].isupper() and not before.name.isupper()


def _from_call(node: Node, words: Words, language: str) -> Owner | None:
    passed = node.arguments
    if node.name in _EQUALITY_CALLS and len(passed) == 2:
        member = _owner_member(passed[0], words, callback=language in ("javascript", "typescript"))
        if member is not None and not is_null(passed[1]) and not _is_table_column(passed[1], words):
            named = words.is_model(bare(member.parts[0]).name)
            value = passed[1] if node.name == "eq" and member is passed[0] else None
            return Owner(node, "compare", named, member.at, value)
    callee = node.parts[0]
    if (
        node.name in _EQUALITY_METHODS
        and language in ("python", "typescript")
        and callee.parts
        and _owner_member(callee.parts[0], words) is not None
        and passed
        and not is_null(passed[0])
    ):
        return Owner(node, "compare", True)
    return _from_finder(node, words)


def _is_table_column(node: Node, words: Words) -> bool:
    node = bare(node)
    users = plain(words.resource.users)
    return (
        node.kind == "member"
        and node.parts[0].kind == "name"
        and (
            (plain(node.parts[0].name) in (users, users + "table") and not _is_local(node.parts[0]))
            or is_column(node)
        )
    )


def _is_local(name: Node) -> bool:
    """Whether a function around assigns the name or takes it: a user, and not the users' table."""
    for around in name.ancestors():
        if around.kind == "function":
            for part in around.walk():
                if part.kind == "assign" and part.parts[0].name == name.name:
                    return True
                if part.name == "formal_parameters" and part.kind == "other" and any(
                    inner.kind == "name" and inner.name == name.name for inner in part.walk()
                ):  # fmt: skip
                    return True
    return False


def _from_finder(node: Node, words: Words) -> Owner | None:
    """`find_by_owner_id(1)`, `whereOwnerId($id)`, Ent's `project.OwnerID(id)`, `SetOwnerID(id)`."""
    name = node.name.rstrip("!?")
    for prefix in ("find_by_", "find_all_by_", "where", "orWhere", "findBy", "findOneBy",
                   "findAllBy", "FindBy", "getBy", "GetBy", "countBy"):  # fmt: skip
        rest = name.removeprefix(prefix)
        if rest != name and rest and words.is_field(re.split(r"And(?=[A-Z])|_and_", rest)[0]):
            simple = prefix in ("where", "find_by_") and len(node.arguments) == 1
            return Owner(node, "finder", False, node.at, node.arguments[0] if simple else None)
    callee = node.parts[0]
    if name == "whereBelongsTo" and any(words.is_user(bare(a).name) for a in node.arguments):
        return Owner(node, "finder", False)
    if not callee.parts or not node.arguments:
        return None
    if name[:3] == "Set" and words.is_owner(name[3:]):
        return Owner(node, "setter", False)
    package = bare(callee.parts[0])
    stem = re.sub(r"^Has|With$|EQ$|In$|IDIn$", "", name)
    if package.kind == "name" and words.is_model(package.name) and name[:1].isupper() and (
        words.is_owner(stem) or words.is_owner(re.sub(r"^Has|With$", "", name))
    ):  # fmt: skip
        return Owner(node, "finder", package.name.islower())
    return None


def _from_assignment(node: Node, words: Words) -> Owner | None:
    """`project.owner = user`, `bean.user_id = id`, `$p['owner_id'] = $id`."""
    target, value = node.parts[:2]
    if node.name not in ("=", "||="):
        return None
    if target.kind == "call" and target.name == "[]" and len(target.arguments) == 1:
        key = target.arguments[0]
        if key.value is None or not words.is_field(key.value) or target.parts[0].kind != "name":
            return None
    elif target.kind != "member" or not words.is_owner(target.name):
        return None
    if is_null(value) or not target.parts:
        return None
    return Owner(node, "assignment", False)
