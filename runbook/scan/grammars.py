"""Reads JavaScript, TypeScript, Go, Ruby and PHP with tree-sitter, as `syntax.Node`s."""

from __future__ import annotations

import functools
from bisect import bisect_right

import tree_sitter_go
import tree_sitter_javascript
import tree_sitter_php
import tree_sitter_ruby
import tree_sitter_typescript
from tree_sitter import Language, Parser
from tree_sitter import Node as Leaf

from runbook.scan.literal import TextBuilder, decode_escape
from runbook.scan.names import word_set
from runbook.scan.relevance import BULK, BULKY, FUNCTIONS, Hits
from runbook.scan.syntax import Kind, Node, Program, adopt, line_starts

Fields = list[tuple[str, Node]]  # each child with the name of its field, or ""

_GRAMMARS = {
    "javascript": tree_sitter_javascript.language,
    "typescript": tree_sitter_typescript.language_typescript,
    "tsx": tree_sitter_typescript.language_tsx,
    "go": tree_sitter_go.language,
    "ruby": tree_sitter_ruby.language,
    "php": tree_sitter_php.language_php,
}

# Which of our kinds a node of a grammar is. The few names that grammars share mean the same.
_KINDS: dict[Kind, str] = {
    "name": """identifier property_identifier private_property_identifier field_identifier constant
        type_identifier instance_variable global_variable self this name variable_name
        package_identifier shorthand_property_identifier super qualified_type""",
    "member": """member_expression selector_expression member_access_expression scope_resolution
        nullsafe_member_access_expression scoped_property_access_expression qualified_name
        class_constant_access_expression subscript_expression element_reference""",
    "call": """call_expression call member_call_expression nullsafe_member_call_expression
        scoped_call_expression function_call_expression new_expression object_creation_expression
        composite_literal""",
    "text": """string template_string encapsed_string interpreted_string_literal raw_string_literal
        simple_symbol delimited_symbol hash_key_symbol heredoc nowdoc heredoc_body nowdoc_body
        chained_string bare_string subshell""",
    "object": "object hash",
    "list": "array array_creation_expression literal_value",
    "pair": "pair array_element_initializer keyed_element",
    "spread": "spread_element hash_splat_argument splat_argument variadic_unpacking",
    "compare": "binary_expression binary",
    "not": "unary_expression unary unary_op_expression",
    "null": "null nil undefined",
    "await": "await_expression",
    "assign": """assignment_expression variable_declarator augmented_assignment_expression
        short_var_declaration assignment_statement var_spec assignment operator_assignment
        property_element public_field_definition field_definition""",
    "function": """function_declaration function_expression arrow_function method_definition
        generator_function_declaration method_declaration func_literal method singleton_method
        lambda do_block block function_definition anonymous_function
        anonymous_function_creation_expression""",
    "class": "class_declaration class abstract_class_declaration type_spec trait_declaration",
    "type": "type_annotation type_arguments type_parameters",
}  # fmt: skip
_KIND_OF: dict[str, Kind] = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_TRANSPARENT = word_set("""
    parenthesized_expression non_null_expression as_expression satisfies_expression expression_list
    literal_element argument parenthesized_statements reference_modifier hash_key
    computed_property_name
""")
_PIECES = word_set("""
    string_fragment string_content nowdoc_string heredoc_content raw_string_literal_content
    interpreted_string_literal_content
""")
_SILENT = frozenset({"text", "heredoc_start", "heredoc_end"})
# What holds no query is not even entered.
_SKIPPED = word_set("""
    comment php_tag uninterpreted import_statement import_declaration jsx_text
    namespace_use_declaration namespace_definition package_clause union_type predefined_type
    primitive_type interface_declaration type_alias_declaration regex
""")
# Statements that hold a single expression, and nothing that a rule asks for.
_WRAPPERS = word_set("""
    expression_statement return_statement statement_block compound_statement body_statement
    statement_list block_body lexical_declaration variable_declaration echo_statement
    export_statement jsx_expression then else simple_parameter required_parameter
    array_element_initializer_ block_argument var_declaration
""")


def parse(text: str, language: str, hits: Hits | None = None) -> Program:
    """The tree of a file; never raises, whatever the text.

    With `hits`, functions and long objects that hold none of them are left empty.
    """
    data = text.encode(errors="replace")
    tree = _parser(language).parse(data)
    starts = line_starts(data)
    root = _Builder(data, starts, language, hits).build(tree.root_node)
    return Program(root, data, starts, adopt(root))


@functools.cache
def _parser(language: str) -> Parser:
    return Parser(Language(_GRAMMARS[language]()))


class _Builder:
    """Turns one tree of tree-sitter into ours, from the leaves up and without recursion."""

    def __init__(
        self, data: bytes, starts: list[int], language: str, hits: Hits | None = None
    ) -> None:
        self.data = data
        self.starts = starts
        self.language = language
        self.hits = hits
        self.until = 0  # the end of the outermost function that holds a strong hit
        self.join = "." if language == "php" else "+"

    def build(self, root: Leaf) -> Node:
        """The tree for the file."""
        cursor = root.walk()
        levels: list[Fields] = [[]]
        open_: list[tuple[Leaf, str]] = []  # the nodes whose children are being read
        while True:
            leaf = cursor.node
            assert leaf is not None
            type_ = leaf.type
            named = leaf.is_named
            if named and not self._is_idle(leaf, type_) and cursor.goto_first_child():
                open_.append((leaf, type_))
                levels.append([])
                continue
            fields: Fields = []
            while True:
                if type_ not in _SKIPPED:
                    field = cursor.field_name or ""
                    if named or field == "operator":
                        levels[-1].append((field, self._node(leaf, type_, named, fields)))
                if cursor.goto_next_sibling():
                    break
                if not cursor.goto_parent():
                    return Node("other", 0, len(self.data), "", [node for _, node in levels[-1]])
                (leaf, type_), fields, named = open_.pop(), levels.pop(), True

    def _is_idle(self, leaf: Leaf, type_: str) -> bool:
        """Whether what stands inside of `leaf` need not be read."""
        hits = self.hits
        if type_ in _SKIPPED:
            return True
        if hits is None:
            return False
        if type_ in FUNCTIONS:
            start, end = leaf.start_byte, leaf.end_byte
            if hits.has_strong(start, end):
                self.until = max(self.until, end)
                return False
            # Within a function that goes by an owner, others may hold the query itself.
            return start >= self.until or not hits.has_any(start, end)
        return (
            type_ in BULKY
            and leaf.end_byte - leaf.start_byte > BULK
            and not hits.has_any(leaf.start_byte, leaf.end_byte)
        )

    def _node(self, leaf: Leaf, type_: str, named: bool, fields: Fields) -> Node:
        kind = _KIND_OF.get(type_, "other")
        start, end = leaf.start_byte, leaf.end_byte
        if kind == "name":
            return self._name(start, end, type_)
        if fields:
            if kind == "other" and len(fields) == 1 and type_ in _WRAPPERS:
                return fields[0][1]
            if type_ in _TRANSPARENT:
                return _unwrapped(type_, start, end, fields)
        node = Node(kind, start, end, type_, [node for _, node in fields])
        if type_ in _SILENT or (type_ == "block" and self.language == "go"):
            node.kind = "other"
        elif kind == "text":
            self._text(node, type_)
        elif kind == "other":
            if not named:
                node.name = self._source(start, end)
        else:
            _SHAPES.get(kind, _as_is)(node, fields, dict(fields))
            if kind == "compare":
                return self._joined(node)
        return node

    def _name(self, start: int, end: int, type_: str) -> Node:
        name = self._source(start, end).lstrip("$@")
        at = (start, end)
        if type_ == "shorthand_property_identifier":
            parts = [Node("name", start, end, name, at=at) for _ in range(2)]
            return Node("pair", start, end, name, parts, at)
        return Node("name", start, end, name, at=at)

    def _source(self, start: int, end: int) -> str:
        return self.data[start:end].decode(errors="replace")

    def _line(self, position: int) -> int:
        return bisect_right(self.starts, position)

    def _text(self, node: Node, type_: str) -> None:
        """Collect the value of a literal from its pieces; what is no piece is put in."""
        builder = TextBuilder()
        inner: list[Node] = []
        if type_ in ("simple_symbol", "hash_key_symbol"):
            builder.raw(self._source(node.start, node.end).strip(":"), self._line(node.start))
        for part in node.parts:
            if part.builder is not None and type_ in ("chained_string", "heredoc", "nowdoc"):
                builder.append(part.builder)
                inner.extend(part.parts)
                continue
            source, line = self._source(part.start, part.end), self._line(part.start)
            if part.name in _PIECES and part.kind == "other":
                builder.raw(source, line)
            elif part.name == "escape_sequence" and part.kind == "other":
                builder.decoded(decode_escape(source), line)
            elif part.name not in _SILENT:
                if self.data[part.start - 1 : part.start] == b"{" and self.language == "php":
                    source = "{" + source + "}"
                builder.hole(" ".join(source.split()), line)
                inner.append(part)
        node.builder, node.parts = builder, inner

    def _joined(self, node: Node) -> Node:
        """Texts that are strung together are one text with what stands between put in."""
        if node.name != self.join or len(node.parts) != 2:
            return node
        left, right = node.parts
        if left.builder is None and right.builder is None:
            return node
        if left.builder is None:
            # What comes first is no SQL that we can read; the text behind it may be some.
            return Node("other", node.start, node.end, "sum", node.parts)
        if right.builder is not None:
            left.builder.append(right.builder)
            left.parts.extend(right.parts)
        else:
            source = " ".join(self._source(right.start, right.end).split())
            left.builder.hole("{" + source + "}", self._line(right.start))
            left.parts.append(right)
        left.end, left.name = node.end, "sum"
        return left


def _unwrapped(type_: str, start: int, end: int, fields: Fields) -> Node:
    """What stands in brackets and the like; a named argument of PHP is a pair."""
    inner = fields[-1][1] if type_ == "argument" else fields[0][1]
    if type_ == "argument" and len(fields) == 2:
        key = fields[0][1]
        return Node("pair", start, end, key.name, [key, inner], key.at)
    if type_ == "expression_list" and len(fields) > 1:
        return Node("other", start, end, type_, [node for _, node in fields])
    inner.start, inner.end = start, end
    return inner


def _as_is(node: Node, _fields: Fields, _by_field: dict[str, Node]) -> None:
    node.name = ""


def _member(node: Node, fields: Fields, by_field: dict[str, Node]) -> None:
    """`a.b`, `a->b`, `A::b`; an index is the call of a nameless function, `a[b]`."""
    object_ = next((by_field[f] for f in ("object", "operand", "scope") if f in by_field), None)
    property_ = next((by_field[f] for f in ("property", "field", "name") if f in by_field), None)
    rest = [part for _, part in fields if part.name not in (".", "?.")]
    if node.name in ("subscript_expression", "element_reference") and rest:
        node.kind, node.parts, node.name = "call", rest, "[]"
        return
    property_ = property_ or (rest[-1] if rest else None)
    object_ = object_ or (rest[0] if len(rest) > 1 else None)
    node.name, node.at = (property_.name, property_.at) if property_ else ("", node.at)
    if node.parts and object_ is None:
        node.kind = "name"
    node.parts = [object_] if object_ is not None else []


def _call(node: Node, fields: Fields, by_field: dict[str, Node]) -> None:
    callee = next(
        (by_field[f] for f in ("function", "constructor", "method", "name", "type")
         if f in by_field), None,
    )  # fmt: skip
    object_ = by_field.get("receiver") or by_field.get("object") or by_field.get("scope")
    passed: list[Node] = []
    for field, part in fields:
        if part is callee or part is object_ or field in ("operator", "type_arguments"):
            continue
        if callee is None:
            callee = part  # PHP's `new X(...)`
        elif part.name in ("arguments", "argument_list") and part.kind == "other":
            passed.extend(part.parts)
        elif part.kind != "type" and part.name != "optional_chain":
            passed.append(part)
    is_new = node.name in ("new_expression", "object_creation_expression")
    if node.name == "call" and object_ is not None and not any(f == "arguments" for f, _ in fields):
        is_member = not any(part.kind == "function" for part in passed)
    else:
        is_member = False
    if node.name == "composite_literal" and callee is not None:
        _composite(node, callee, passed)
        return
    if callee is None:
        callee = Node("name", node.start, node.start, "call")
    if object_ is not None:
        callee = Node("member", object_.start, callee.end, callee.name, [object_], callee.at)
    node.name, node.at = ("new " if is_new else "") + callee.name, callee.at
    node.parts = [callee, *passed]
    if is_member:  # Ruby's `a.b` is a call or an attribute
        node.kind, node.parts = "member", callee.parts


def _composite(node: Node, type_: Node, passed: list[Node]) -> None:
    """Go's `Project{OwnerID: id}` is a call of the type, a map's an object, a slice's a list."""
    inner = passed[0].parts if passed else []
    if type_.name == "map_type":
        node.kind, node.name, node.parts = "object", "", inner
    elif type_.kind == "name":
        name = type_.name.rpartition(".")[2]
        node.name, node.at = "new " + name, (type_.end - len(name.encode()), type_.end)
        node.parts = [Node("name", type_.start, type_.end, name, at=node.at), *inner]
    else:
        element = next((part for part in type_.walk() if part.kind == "name"), None)
        callee = Node("name", type_.start, type_.end, element.name.rpartition(".")[2]
                      if element else "")  # fmt: skip
        built = [
            Node("call", part.start, part.end, "new " + callee.name, [callee, *part.parts])
            if part.kind == "list" else part for part in inner
        ]  # fmt: skip
        node.kind, node.name, node.parts = "list", callee.name, built


def _list(node: Node, _fields: Fields, _by_field: dict[str, Node]) -> None:
    node.name = ""
    if any(part.kind == "pair" for part in node.parts):
        node.kind = "object"  # PHP's arrays are both


def _pair(node: Node, fields: Fields, by_field: dict[str, Node]) -> None:
    if len(node.parts) == 1 and "key" not in by_field:  # an element of a list of PHP
        inner = node.parts[0]
        node.kind, node.name, node.parts = inner.kind, inner.name, inner.parts
        node.at, node.builder = inner.at, inner.builder
        return
    key = by_field.get("key", node.parts[0])
    node.name, node.at = key.value or (key.name if key.kind in ("name", "member") else ""), key.at
    if key.kind == "text":
        node.at = (key.start, key.end)
    if len(node.parts) == 1:  # Ruby's `owner_id:`
        node.parts.append(Node("name", key.end, key.end, node.name))


def _compare(node: Node, fields: Fields, _by_field: dict[str, Node]) -> None:
    sign = next((part.name for field, part in fields if field == "operator"), "")
    node.parts = [part for field, part in fields if field != "operator"]
    node.name = sign


def _not(node: Node, fields: Fields, _by_field: dict[str, Node]) -> None:
    sign = next((part.name for field, part in fields if field == "operator"), "")
    inner = [part for field, part in fields if field != "operator"]
    node.parts, node.name = inner, sign
    if sign in ("&", "*", "-", "+") and inner:
        _become(node, inner[0])
    elif sign not in ("!", "not"):
        node.kind = "other"


def _become(node: Node, inner: Node) -> None:
    node.kind, node.name, node.parts = inner.kind, inner.name, inner.parts
    node.at, node.builder = inner.at, inner.builder


def _assign(node: Node, fields: Fields, by_field: dict[str, Node]) -> None:
    left = next((by_field[f] for f in ("left", "name", "property") if f in by_field), None)
    right = next((by_field[f] for f in ("right", "value", "default_value") if f in by_field), None)
    sign = by_field.get("operator")
    rest = [part for _, part in fields if part not in (left, right, sign)]
    node.name = sign.name if sign is not None else "="
    blank = Node("other", node.end, node.end)
    node.parts = [left or blank, right or blank, *rest]


def _function(node: Node, fields: Fields, by_field: dict[str, Node]) -> None:
    name = by_field.get("name")
    node.name, node.at = (name.name, name.at) if name is not None else ("", node.at)


def _class(node: Node, fields: Fields, by_field: dict[str, Node]) -> None:
    _function(node, fields, by_field)
    node.at = (node.at[0], by_field["body"].start if "body" in by_field else node.end)


_SHAPES = {
    "member": _member, "call": _call, "list": _list, "pair": _pair, "compare": _compare,
    "not": _not, "assign": _assign, "function": _function, "class": _class,
}  # fmt: skip
