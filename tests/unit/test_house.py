"""The rules of the house (docs/architecture.md): short modules and functions, names of the field."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "runbook"
SUPPORT = ROOT / "tests" / "support"

MODULE_LINES = 400
FUNCTION_LINES = 50
PARAMETERS = 5

LONG = "# Long because "
MANY = "# Many parameters because "
"""A comment directly above a function, or in its first lines, that gives the reason."""

BANNED = frozenset(
    [
        "look",
        "say",
        "tell",
        "told",
        "seen",
        "made",
        "given",
        "found",
        "find",
        "find_file",
        "telling",
        "opening",
        "evidence",
        "facts",
        "executed",
        "since",
        "coded",
        "equal",
        "beside",
        "looking",
        "applying",
    ]
)
"""Words that name nothing: a name says what a thing is, or what a function does."""


def broken_rules(source: str) -> Iterator[str]:
    """What a module breaks, each with its line."""
    lines = source.splitlines()
    if len(lines) > MODULE_LINES:
        yield f"1: the module has {len(lines)} lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Nonlocal):
            yield f"{node.lineno}: nonlocal {', '.join(node.names)}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _function(node, lines)
    yield from banned_names(source)


def banned_names(source: str) -> Iterator[str]:
    """The names in a module that name nothing, each with its line."""
    for node in ast.walk(ast.parse(source)):
        for name in _names(node):
            if _bare(name) in BANNED:
                yield f"{getattr(node, 'lineno', 1)}: the name {name}"


def _bare(name: str) -> str:
    return name.strip("_").casefold()


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> Iterator[str]:
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    if length > FUNCTION_LINES and not _reason(node, lines, LONG):
        yield f"{node.lineno}: {node.name} has {length} lines"
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    count = sum(arg.arg not in ("self", "cls") for arg in every)
    if count > PARAMETERS and not _reason(node, lines, MANY):
        yield f"{node.lineno}: {node.name} has {count} parameters"


def _reason(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str], form: str) -> bool:
    """Whether a comment gives the reason: above the function, or before its first statement."""
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
    above = first
    while above and lines[above - 1].lstrip().startswith("#"):
        above -= 1
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    inside = body[0].lineno - 1 if body else node.end_lineno
    return any(re.match(rf"\s*{form}\w", line) for line in lines[above:inside])


def _names(node: ast.AST) -> list[str]:
    """The names that a node gives to functions, classes, parameters and variables."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        # The protocol of files has a method `tell`.
        arguments = getattr(node, "args", None)
        of_file = arguments is not None and [a.arg for a in arguments.args] == ["self"]
        return [] if node.name == "tell" and of_file else [node.name]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return [node.attr]
    if isinstance(node, ast.alias | ast.ExceptHandler):
        name = node.asname if isinstance(node, ast.alias) else node.name
        return [name] if name else []
    if isinstance(node, ast.MatchAs | ast.MatchStar):
        return [node.name] if node.name else []
    return []


def one_sentence(docstring: str | None) -> bool:
    """Whether a package is explained in one sentence on one line."""
    return bool(docstring and re.fullmatch(r"[^.\n]+(\.[^\s][^.\n]*)*\.", docstring.strip()))


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_a_module_keeps_the_rules(path: Path) -> None:
    place = path.relative_to(ROOT)
    broken = [f"{place}:{rule}" for rule in broken_rules(path.read_text(encoding="utf-8"))]
    # A noun or a verb, never a participle.
    if _bare(path.stem) in BANNED or _bare(path.stem).endswith("ed"):
        broken.append(f"{place}: the module's name")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    "path", sorted(SUPPORT.rglob("*.py")), ids=lambda p: str(p.relative_to(SUPPORT))
)
def test_a_helper_of_the_tests_keeps_the_names(path: Path) -> None:
    place = path.relative_to(ROOT)
    broken = [f"{place}:{rule}" for rule in banned_names(path.read_text(encoding="utf-8"))]
    if path.name == "schemas.py":  # the published JSON has a field of that name
        broken = [rule for rule in broken if not rule.endswith(": the name executed")]
    if _bare(path.stem) in BANNED:
        broken.append(f"{place}: the module's name")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda p: str(p.parent.relative_to(ROOT))
)
def test_a_package_is_explained_in_one_sentence(path: Path) -> None:
    assert one_sentence(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))


def body(lines: int) -> str:
    return "    pass\n" * lines


@pytest.mark.parametrize(
    ("source", "broken"),
    [
        ("x = 1\n" * 401, "1: the module has 401 lines"),
        ("x = 1\n" * 400, ""),
        ("def f():\n" + body(50), "1: f has 51 lines"),
        ("def f():\n" + body(49), ""),
        ("async def f():\n" + body(50), "1: f has 51 lines"),
        ("class C:\n    def f(self):\n" + "        pass\n" * 50, "2: f has 51 lines"),
        (f"{LONG}it is one table.\ndef f():\n" + body(50), ""),
        (f"{LONG}it is one table.\n@d\ndef f():\n" + body(50), ""),
        (f'def f():\n    """Text."""\n    {LONG}it is one.\n' + body(50), ""),
        (f"{LONG}\ndef f():\n" + body(50), "2: f has 51 lines"),
        (f"{LONG}it is one.\n\ndef f():\n" + body(50), "3: f has 51 lines"),
        ("def f():\n" + body(50) + f"    {LONG}it is one.\n", "1: f has 51 lines"),
        ("def f(a, b, c, d, e, g): ...", "1: f has 6 parameters"),
        ("def f(a, /, b, *, c, d, e, g): ...", "1: f has 6 parameters"),
        ("def f(self, a, b, c, d, e, *args, **rest): ...", ""),
        (f"{MANY}click wants them.\ndef f(a, b, c, d, e, g): ...", ""),
        ("def f():\n    x = 1\n    def g():\n        nonlocal x\n", "4: nonlocal x"),
        ("def look(): ...", "1: the name look"),
        ("class _Seen: ...", "1: the name _Seen"),
        ("def f(say): ...", "1: the name say"),
        ("def f(*, tell=None): ...", "1: the name tell"),
        ("def f(*told): ...", "1: the name told"),
        ("f = lambda given: 1", "1: the name given"),
        ("found = 1", "1: the name found"),
        ("def _find(): ...", "1: the name _find"),
        ("find_file = 1", "1: the name find_file"),
        ("for made in (): ...", "1: the name made"),
        ("with f() as opening: ...", "1: the name opening"),
        ("class C:\n    since: str", "2: the name since"),
        ("self.evidence = 1", "1: the name evidence"),
        ("import x as facts", "1: the name facts"),
        ("try: ...\nexcept E as executed: ...", "2: the name executed"),
        ("if (coded := 1): ...", "1: the name coded"),
        ("[equal for equal in ()]", "1: the name equal"),
        ("match x:\n    case beside: ...", "2: the name beside"),
        ("applying, x = 1, 2", "1: the name applying"),
        ("x = y.found\nlookup = madeleine = f(say=1)", ""),
    ],
)
def test_each_rule_fails_when_it_is_broken(source: str, broken: str) -> None:
    assert "\n".join(broken_rules(source)) == broken


@pytest.mark.parametrize(
    ("docstring", "one"),
    [
        ("What is to move: `plan.toml`, read once.", True),
        ("One sentence.\n", True),
        (None, False),
        ("", False),
        ("No full stop", False),
        ("One sentence. And another.", False),
        ("A line.\n\nA paragraph.", False),
    ],
)
def test_two_sentences_are_not_one(docstring: str | None, one: bool) -> None:
    assert one_sentence(docstring) is one
