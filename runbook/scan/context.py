"""Whose rows a chain of calls means: by its model, table, class, or what its variable holds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runbook.scan.names import Words, plain, word_set
from runbook.scan.syntax import Node, bare, chain_end, links
from runbook.scan.vocabulary import DELETES, INSERTS, RAWS, UPDATES, WHERES

_DEPTH = 4  # a variable that holds a variable that holds a query
_HTTP = re.compile(
    r"^(?:\w*(?:api|http|axios|fetcher|sdk|trpc|dispatch|router|queryclient|cache|redis|logger|log)"
    r"|\$?http|octokit|github|gitlab|stripe|_|lodash|\$|jquery|console|localstorage|store|yup|z|vuex"
    r"|socket|io|analytics|expect|cy|page|faker|requests|app|express|server|event|events)$",
    re.IGNORECASE,
)
# Calls that name a table or a model by an argument: `from('projects')`, `session.query(Project)`.
_NAMING = word_set("""
    from selectFrom table into insertInto updateTable deleteFrom replaceInto From Table Model from_
    Into Insert InsertInto update insert delete Update Delete select query using with_entities
    getRepository getModel model getCustomRepository find findOne findAll findAndCount count exists
    select_from get get_object_or_404 get_list_or_404 get_or_404 aget_object_or_404
    createQueryBuilder insert_into dispense load findLast findOrDispense countBy getAll store trash
    [] save create remove upsert softDelete findBy findOneBy merge subquery aliased DB from_self
    get_where unique update_batch selectAll fetch fetchAll row list paginate Select Replace Count
    Raw first find_by findOneOrFail findByIds preload get_multi findFirst one
""")
_TABLES = word_set("table from selectFrom insertInto updateTable deleteFrom from_ into")
_PLAIN_NAMING = word_set("""
    from update insert delete into insertInto selectFrom deleteFrom updateTable select query Model
    Find First Take Last Scan Create Save Delete Update
""")
_CROSSED = re.compile(
    r"where|filter|when|unless|having|find|query|scope|tap|join|select|Scopes|nested|on$|and$|or$|Q$"
    r"|with|load", re.IGNORECASE,
)  # fmt: skip
_GOES_ON = INSERTS | WHERES | UPDATES | DELETES | RAWS
_SELF = word_set("""
    self this cls super static q query qb builder scope repo repository objects queryset qs model
    klass collection class db relation table newquery createquerybuilder _model get_queryset
    serializer form instance
""")  # fmt: skip


class Context:
    """What a file says about its names; `words` are those of one resource."""

    def __init__(self, words: Words, language: str) -> None:
        self.words = words
        self.language = language
        self._values: dict[Node, dict[str, list[Node]]] = {}
        self._named: dict[Node, bool] = {}
        self._called: dict[Node, frozenset[str]] = {}

    def called(self, chain: Node) -> frozenset[str]:
        """The names of a chain's calls and members."""
        known = self._called.get(chain)
        if known is None:
            names = [link.name for link in links(chain) if link.kind in ("call", "member")]
            known = self._called[chain] = frozenset(names)
        return known

    def chain_around(self, node: Node) -> Node | None:
        """The innermost chain around `node` that names the resource; `node` may be one itself."""
        inner = node
        crossing = False
        first = True
        for around in [node, *node.ancestors()]:
            if around.kind == "function":
                if not first and not self._may_cross(around):
                    return None
                crossing = True
            elif around.kind == "class":
                return None
            elif around.kind == "call" and (around is node or around.parts[0] is not inner):
                chain = chain_end(around)
                if crossing and self._is_relation(around):
                    return chain
                if (not crossing or _CROSSED.search(around.name)) and self.is_named(chain):
                    return chain
                crossing = False
            inner, first = around, False
        return None

    def _is_relation(self, call: Node) -> bool:
        """`whereHas('project', ...)`: what the callback asks for are rows of the resource."""
        first = call.arguments[0].value if call.arguments else None
        return first is not None and re.search(r"[hH]as|with|load", call.name) is not None and (
            plain(first.rpartition(".")[2]) in self.words.models
        )  # fmt: skip

    def is_named(self, chain: Node) -> bool:
        """Whether a chain means rows of the resource."""
        known = self._named.get(chain)
        if known is None:
            self._named[chain] = False  # a variable may hold itself
            known = self._named[chain] = self._names(chain, _DEPTH)
        return known

    def is_home(self, node: Node) -> bool:
        """Whether a class around `node` is the resource's model, manager, repository or view."""
        return any(self._is_home(around) for around in node.ancestors() if around.kind == "class")

    def _is_home(self, class_: Node) -> bool:
        name = class_.name
        if self.language == "python":  # a schema of what is created, a view that lists
            name = re.sub(r"(?:Create|Update|List)+$", "", name)
        if self.words.is_home(class_.name) or self.words.is_home(name):
            return True
        lines = [line for part in class_.parts for line in (part, *part.parts)]
        return any(
            line.kind == "assign"
            and line.parts[0].name in ("model", "queryset", "_model", "entity", "modelClass")
            and any(
                part.kind in ("name", "member") and self.words.is_model(part.name)
                for part in line.parts[1].walk()
            )
            for body in lines
            for line in (body, *body.parts)
        )

    def _names(self, chain: Node, depth: int) -> bool:
        parts = links(chain)
        root = parts[0]
        if _is_foreign(parts):
            return False
        for index, link in enumerate(parts):
            if link.kind in ("name", "member") and self._is_model_link(parts, index):
                return True
            if link.kind == "call" and self._is_named_by_argument(link, index, parts):
                return True
        if root.kind == "name" and self._is_bare(parts) and self.is_home(chain):
            return True
        if root.name == "this" and any(
            around.kind == "call" and around.name == "extend" and self.is_named(chain_end(around))
            for around in chain.ancestors()
        ):  # `getRepository(Project).extend({...})`
            return True
        return self._variable_names(root, chain, depth)

    def _is_model_link(self, parts: list[Node], index: int) -> bool:
        link, words = parts[index], self.words
        called = index + 1 < len(parts) and parts[index + 1].kind == "call" and (
            parts[index + 1].parts[0] is link
        )  # fmt: skip
        if not words.is_model(link.name) or self._is_namespace(parts, index):
            return False
        if called:  # a constructor: Project(...), new Project(...), Project{...}
            own = index == 0 or parts[index - 1].name in ("models", "model", "entities", "tables")
            return own and link.name.rpartition("\\")[2][:1].isupper()
        if index and words.is_user(bare(parts[index - 1]).name):
            return False
        follows = index + 1 < len(parts)
        suffixed = plain(link.name) not in words.models
        if index == 0:
            capital = re.split(r"[\\.]", link.name)[-1][:1].isupper()
            return (capital or suffixed or link.name in words.spelled) and (follows or capital)
        capital_root = parts[0].name[:1].isupper() or self.language in ("javascript", "typescript")
        return follows and (
            capital_root or suffixed or link.name[:1].isupper()
            or parts[index - 1].name in ("models", "db", "repo", "crud", "repositories", "orm")
        )  # fmt: skip

    def _is_namespace(self, parts: list[Node], index: int) -> bool:
        """Ruby's `Projects::Export`, where the module only holds another class."""
        after = parts[index + 1] if index + 1 < len(parts) else None
        return (
            self.language == "ruby" and after is not None
            and after.kind == "member" and after.name[:1].isupper()
        )  # fmt: skip

    def _is_named_by_argument(self, call: Node, index: int, parts: list[Node]) -> bool:
        words = self.words
        first_call = index == 0 or all(part.kind != "call" for part in parts[:index])
        if call.name.removeprefix("new ") != call.name and words.is_model(call.name[4:]):
            return True
        # `knex('projects')` names its table; `where('projects', x)` does not.
        naming = call.name in _NAMING or (
            index == 1 and parts[0].name in ("knex", "db", "trx", "t")
        )
        if not naming and not (self.language == "go" and call.name[:1].isupper()):
            return False
        for passed in call.arguments[:2]:
            passed = bare(passed)
            value = passed.value
            if value is not None:
                alias = call.name == "createQueryBuilder" and plain(value) in words.models
                if words.is_table(value) or alias:
                    return first_call or call.name not in ("find", "get", "first")
                continue
            if passed.kind == "member" and passed.name == "class" and passed.parts:
                passed = passed.parts[0]  # Project::class
            is_new = passed.kind == "call" and passed.name.startswith("new ")
            if is_new and words.is_model(passed.name[4:]):
                return True
            if passed.kind == "list" and words.is_model(passed.name):
                return True
            name = bare(passed).name if passed.kind in ("name", "member") else ""
            if passed.kind == "member" and passed.name[:1].islower() and passed.parts:
                name = passed.parts[0].name if words.is_owner(passed.name) or (
                    passed.parts[0].name[:1].isupper()) else passed.name  # fmt: skip
            if not name:
                continue
            short = re.split(r"[\\.]", name)[-1]
            if words.is_model(name) and (
                short[:1].isupper() or call.name in _PLAIN_NAMING or self.language == "go"
            ):
                return True
            if self.language == "go" and self._go_type(passed):
                return True
        return False

    def _go_type(self, variable: Node) -> bool:
        """Whether a variable is declared as the model: `var rows []Project`, `rows []Project`."""
        for around in variable.ancestors():
            if around.kind != "function":
                continue
            for node in around.walk():
                if node.kind == "assign" and node.parts[0].name == variable.name:
                    kept = [*node.parts[2:], node.parts[1]]
                elif node.name == "parameter_declaration" and node.kind == "other" and (
                    node.parts and node.parts[0].name == variable.name
                ):  # fmt: skip
                    kept = node.parts[1:]
                else:
                    continue
                if any(self._is_type(part) for part in kept):
                    return True
        return False

    def _is_type(self, node: Node) -> bool:
        if node.kind == "list" and self.words.is_model(node.name):
            return True
        if node.kind == "call" and (node.name.startswith("new") or node.name in ("make", "new")):
            names = [part.name for part in node.walk() if part.kind == "name"]
            return any(self.words.is_model(name) for name in names if name[:1].isupper())
        return node.kind in ("other", "name") and node.name in (
            "slice_type", "pointer_type", "array_type", node.name if node.kind == "name" else ""
        ) and any(
            part.kind == "name" and self.words.is_model(part.name) and
            part.name.rpartition(".")[2][:1].isupper() for part in node.walk()
        )  # fmt: skip

    def _is_bare(self, parts: list[Node]) -> bool:
        """`where(...)`, `self.filter(...)`, `$query->where(...)`: the class says whose rows."""
        names = [plain(part.name) for part in parts]
        if any(part.kind == "call" and part.name in _TABLES and part.arguments for part in parts):
            return False  # it names another table
        if self.language == "php" and names[0] in ("model", "class", "klass"):
            return False  # a variable that holds the name of any class
        if (
            parts[0].kind == "name"
            and len(parts) > 1
            and parts[1].kind == "call"
            and (parts[1].parts[0] is parts[0])
        ):
            return self.language in ("ruby", "python") or names[0] in _SELF
        own = {plain(name) for name in _SELF}
        last = next((i for i, part in enumerate(parts) if part.kind == "call"), len(parts))
        return all(
            name in own
            or self.words.is_model(parts[index].name)
            or name.endswith(("repo", "repository", "model"))
            for index, name in enumerate(names[: max(last - 1, 1)])
        )

    def _variable_names(self, root: Node, chain: Node, depth: int) -> bool:
        if root.kind != "name" or depth == 0:
            return False
        parts = links(chain)
        # A variable that holds a query goes on with conditions; one that holds a row, elsewhere.
        if len(parts) > 1 and parts[1].name not in _GOES_ON:
            return False
        return any(
            value is not chain and self._names(value, depth - 1)
            for value in self.values(root)
            if value.start < root.start and value.kind in ("call", "member", "await")
        )

    def values(self, variable: Node) -> list[Node]:
        """What is assigned to a variable in the functions around it."""
        hits: list[Node] = []
        scopes = [around for around in variable.ancestors() if around.kind == "function"]
        scopes = scopes or [list(variable.ancestors())[-1]] if variable.parent else []
        for scope in scopes:
            hits.extend(self._assigned(scope).get(variable.name, []))
        return hits

    def _assigned(self, scope: Node) -> dict[str, list[Node]]:
        known = self._values.get(scope)
        if known is None:
            known = {}
            for node in scope.walk():
                if node.kind != "assign":
                    continue
                target = node.parts[0]
                if target.kind == "other" and target.parts:  # `a, err := ...`
                    target = target.parts[0]
                if target.kind == "name":
                    known.setdefault(target.name, []).append(bare(node.parts[1]))
                elif target.kind == "member":
                    known.setdefault("." + target.name, []).append(bare(node.parts[1]))
            self._values[scope] = known
        return known

    def _may_cross(self, function: Node) -> bool:
        """Whether a function is a callback, of which a chain around may be meant."""
        return function.name == "" or function.name in ("arrow_function", "lambda")

    def uses(self, variable: str, scope: Node) -> Iterator[Node]:
        """The chains in a function that are given `variable`, or go on from it."""
        for node in scope.walk():
            if node.kind == "name" and node.name == variable:
                if chain_end(node) is not node:
                    yield chain_end(node)
                    continue
                for around in node.ancestors():
                    if around.kind in ("function", "class") or around.kind == "assign":
                        break
                    if around.kind == "call":
                        yield chain_end(around)
                        break


def _is_foreign(parts: list[Node]) -> bool:
    """Whether a chain belongs to an HTTP client, a cache, a list: to no database."""
    names = [part.name for part in parts[:2] if part.kind in ("name", "member")]
    if names and names[0] in ("this", "self") and len(parts) > 1:
        names = [parts[1].name]
    return bool(names) and _HTTP.match(names[0]) is not None


def creates(name: str) -> bool:
    """Whether a call of this name makes a row."""
    return name in INSERTS or name.startswith("new ")
