"""Reads Python with its own parser, as `syntax.Node`s."""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_right

from runbook.scan.literal import HOLE, TextBuilder
from runbook.scan.relevance import Hits
from runbook.scan.syntax import Node, Program, adopt, line_starts

_FORMAT_FIELD = re.compile(r"\{[^{}\n]*\}")
_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.Is: "==", ast.In: "in", ast.NotEq: "!=", ast.IsNot: "!=",
}  # fmt: skip
_PLACES = (
    ast.expr, ast.stmt, ast.keyword, ast.comprehension, ast.withitem, ast.arguments,
    ast.match_case, ast.ExceptHandler,
)  # fmt: skip
Built = dict[ast.AST, Node]


def parse(text: str, hits: Hits | None = None) -> Program | None:
    """The tree of a file, or None for what this version of Python cannot read.

    With `hits`, functions that hold none of them are left empty.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # doubtful escapes in the application are not our matter
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    data = text.encode(errors="replace")
    starts = line_starts(data)
    root = _Builder(data, starts, hits).build(tree)
    return Program(root, data, starts, adopt(root))


class _Builder:
    """Turns Python's tree into ours, from the leaves up and without recursion."""

    def __init__(self, data: bytes, starts: list[int], hits: Hits | None) -> None:
        self.data = data
        self.starts = starts
        self.hits = hits
        self.until = 0  # the end of the outermost function that holds a strong hit

    def build(self, tree: ast.Module) -> Node:
        """The tree for the file."""
        built: Built = {}
        pending: list[tuple[ast.AST, list[ast.AST] | None]] = [(tree, None)]
        while pending:
            node, children = pending.pop()
            if children is not None:
                built[node] = self._node(node, built, [built[child] for child in children])
                continue
            children = [] if self._is_idle(node) else _children(node)
            pending.append((node, children))
            pending.extend([(child, None) for child in reversed(children)])
        return built[tree]

    def _is_idle(self, node: ast.AST) -> bool:
        """Whether a function need not be read."""
        if self.hits is None or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        start, end = self._span(node)
        start = min([start, *(self._span(decorator)[0] for decorator in node.decorator_list)])
        if self.hits.has_strong(start, end):
            self.until = max(self.until, end)
            return False
        return start >= self.until or not self.hits.has_any(start, end)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        line, end_line = getattr(node, "lineno", None), getattr(node, "end_lineno", None)
        if line is None or end_line is None:
            return 0, 0
        start = self.starts[line - 1] + node.col_offset  # type: ignore[attr-defined]
        return start, self.starts[end_line - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def _node(self, node: ast.AST, built: Built, parts: list[Node]) -> Node:
        start, end = self._span(node)
        match node:
            case ast.Name():
                return Node("name", start, end, node.id, at=(start, end))
            case ast.Attribute():
                at = (end - len(node.attr.encode()), end)
                return Node("member", start, end, node.attr, [built[node.value]], at)
            case ast.Constant(value=None):
                return Node("null", start, end)
            case ast.Call():
                return self._call(node, start, end, parts)
            case ast.Subscript():
                return Node("call", start, end, "[]", parts)
            case ast.keyword():
                return self._pair(node, built)
            case ast.Dict():
                pairs = [
                    Node("pair", built[k].start, built[v].end, built[k].value or "",
                         [built[k], built[v]], (built[k].start, built[k].end))
                    if k is not None
                    else Node("spread", built[v].start, built[v].end, "", [built[v]])
                    for k, v in zip(node.keys, node.values, strict=True)
                ]  # fmt: skip
                return Node("object", start, end, "", pairs)
            case ast.List() | ast.Tuple() | ast.Set():
                return Node("list", start, end, "", parts)
            case ast.Starred():
                return Node("spread", start, end, "", parts)
            case ast.Compare(ops=[operator], left=left, comparators=[right]):
                sign = _SIGNS.get(type(operator), "?")
                return Node("compare", start, end, sign, [built[left], built[right]])
            case ast.UnaryOp(op=ast.Not() | ast.Invert()):
                return Node("not", start, end, "", parts)
            case ast.Await():
                return Node("await", start, end, "", parts)
            case ast.Assign(targets=[target], value=value):
                return Node("assign", start, end, "=", [built[target], built[value]])
            case ast.AnnAssign(target=target, value=value) if value is not None:
                return Node("assign", start, end, "=", [built[target], built[value]])
            case ast.AugAssign(target=target, value=value):
                return Node("assign", start, end, "+=", [built[target], built[value]])
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                return Node("function", start, end, getattr(node, "name", ""), parts)
            case ast.ClassDef():
                body = self._span(node.body[0])[0]
                return Node("class", start, end, node.name, parts, (start, body))
            case ast.Expr(value=ast.Constant()):
                return Node("other", start, end)  # a docstring, or a comment in a string's clothes
        return self._text(node, built, parts)

    def _call(self, node: ast.Call, start: int, end: int, parts: list[Node]) -> Node:
        callee = parts[0]
        if callee.name == "format" and isinstance(node.func, ast.Attribute) and (
            callee.parts[0].value is not None
        ):  # fmt: skip
            builder, line = TextBuilder(), node.lineno
            value = callee.parts[0].value
            pieces = _FORMAT_FIELD.sub(lambda f: HOLE + f.group() + HOLE, value).split(HOLE)
            for index, piece in enumerate(pieces):
                if index % 2:
                    builder.hole(piece, line)
                else:
                    builder.decoded(piece, line)
            return Node("text", start, end, "format", parts[1:], builder=builder)
        order = sorted(parts[1:], key=lambda part: part.start)
        return Node("call", start, end, callee.name, [callee, *order], callee.at)

    def _pair(self, node: ast.keyword, built: Built) -> Node:
        start, end = self._span(node)
        value = built[node.value]
        if node.arg is None:
            return Node("spread", start, end, "", [value])
        at = (start, start + len(node.arg.encode()))
        return Node("pair", start, end, node.arg, [Node("name", *at, node.arg, at=at), value], at)

    def _text(self, node: ast.AST, built: Built, parts: list[Node]) -> Node:
        start, end = self._span(node)
        pieces: list[str | Node] = []
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            pieces = [node.value]
        elif isinstance(node, ast.JoinedStr):
            for value in node.values:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    pieces.append(value.value)
                elif isinstance(value, ast.FormattedValue):
                    pieces.append(built[value.value])
            parts = [piece for piece in pieces if isinstance(piece, Node)]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._sum(start, end, built[node.left], built[node.right])
        else:
            return Node("other", start, end, type(node).__name__, parts)
        inner = [part for part in parts if part.kind != "text" or part.parts]
        return Node("text", start, end, "", inner, builder=self._builder(start, end, pieces))

    def _builder(self, start: int, end: int, pieces: list[str | Node]) -> TextBuilder:
        builder = TextBuilder()
        source = self.data[start:end]
        line = bisect_right(self.starts, start)
        newlines = sum(piece.count("\n") for piece in pieces if isinstance(piece, str))
        lines = source.count(b"\n")
        # A value that breaks as often as its source is one written over several lines.
        if re.match(rb"\w*(\"\"\"|''')\\\n", source):
            line, lines = line + 1, lines - 1
        for piece in pieces:
            if isinstance(piece, Node):
                builder.hole(self._source(piece), line)
            elif newlines == lines:
                builder.raw(piece, line)
                line += piece.count("\n")
            else:
                builder.decoded(piece, line)
        return builder

    def _source(self, node: Node) -> str:
        source = self.data[node.start : node.end].decode(errors="replace")
        return "{" + " ".join(source.split()) + "}"

    def _sum(self, start: int, end: int, left: Node, right: Node) -> Node:
        if left.builder is None:
            # What comes first is no SQL that we can read; the text behind it may be some.
            return Node("other", start, end, "sum", [left, right])
        if right.builder is not None:
            left.builder.append(right.builder)
            left.parts.extend(right.parts)
        else:
            left.builder.hole(self._source(right), bisect_right(self.starts, right.start))
            left.parts.append(right)
        left.end, left.name = end, "sum"
        return left


def _children(node: ast.AST) -> list[ast.AST]:
    """The children that can be places of source; contexts and operators are none."""
    hits: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            hits += [child for child in value if isinstance(child, _PLACES)]
        elif isinstance(value, _PLACES):
            hits.append(value)
    return hits
