"""String values of Python, found by Python's own parser."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

from runbook.scan.lexing import HOLE, Text, TextBuilder

_FORMAT_FIELD = re.compile(r"\{[^{}\n]*\}")


def parse(source: str) -> ast.Module | None:
    """The syntax tree, or None for what this version of Python cannot read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # doubtful escapes in the application are not our matter
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def texts(tree: ast.Module, source: str) -> Iterator[Text]:
    """Each string that the program uses as a value, concatenations joined; no docstrings."""
    lines = source.split("\n")
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring, or a comment in a string's clothes
        if isinstance(node, ast.expr) and (pieces := _pieces(node)) is not None:
            yield _text(node, pieces, lines)
            # Strings may hide in what is put in: f"{query('SELECT ...')}".
            pending.extend(p for p in pieces if isinstance(p, ast.expr) and hasattr(p, "lineno"))
            continue
        pending.extend(ast.iter_child_nodes(node))


def _pieces(node: ast.expr) -> list[str | ast.expr] | None:
    """The parts of a string expression, expressions where something is put in; else None."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return [piece for value in node.values if (piece := _f_string_piece(value)) is not None]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _sum(node)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "format"
        and isinstance(node.func.value, ast.Constant)
        and isinstance(node.func.value.value, str)
    ):
        fields = _FORMAT_FIELD.sub(lambda field: HOLE + field.group() + HOLE, node.func.value.value)
        parts = fields.split(HOLE)
        return [ast.Constant(part) if index % 2 else part for index, part in enumerate(parts)]
    return None


def _f_string_piece(node: ast.expr) -> str | ast.expr | None:
    if isinstance(node, ast.FormattedValue):
        return node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _sum(node: ast.BinOp) -> list[str | ast.expr] | None:
    # A long sum leans to the left, so walk down there without recursion.
    operands: list[ast.expr] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
        operands.append(left.right)
        left = left.left
    operands.append(left)
    pieces: list[str | ast.expr] = []
    strings = 0
    for operand in reversed(operands):
        if isinstance(operand, ast.Constant | ast.JoinedStr) and (inner := _pieces(operand)):
            pieces.extend(inner)
            strings += 1
        else:
            pieces.append(operand)
    return pieces if strings else None


def _text(node: ast.expr, pieces: list[str | ast.expr], lines: list[str]) -> Text:
    builder = TextBuilder()
    newlines = sum(piece.count("\n") for piece in pieces if isinstance(piece, str))
    end = node.end_lineno or node.lineno
    first = lines[node.lineno - 1].rstrip()
    line = node.lineno
    # A value that breaks as often as its source is one written over several lines.
    follows = newlines == end - node.lineno
    if first.endswith(('"""\\', "'''\\")):
        line, follows = line + 1, newlines == end - node.lineno - 1
    for piece in pieces:
        if not isinstance(piece, str):
            builder.hole(_source(piece), line)
        elif follows:
            builder.raw(piece, line)
            line += piece.count("\n")
        else:
            builder.decoded(piece, line)
    return builder.done()


def _source(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value  # a field of str.format, braces and all
    try:
        return "{" + ast.unparse(node) + "}"
    except (RecursionError, ValueError):
        return "{...}"
