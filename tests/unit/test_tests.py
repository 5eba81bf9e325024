"""What the tests promise about themselves, and the list of packages in pyproject.toml."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TESTS = sorted((ROOT / "tests").rglob("*.py"))


@functools.cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports(path: Path) -> Iterator[str]:
    """The names of the modules that a file imports, `from package import module` as one name too."""
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


_TEST = r"(?:test_\w+|conftest)\b"
NAMED = re.compile(rf"\btests(?:\.\w+)*\.{_TEST}|\bfrom\s+tests[\w.]*\s+import\b[^\n]*\b{_TEST}")
"""A test named as a module, in a string too: another process may run it."""


def test_no_test_is_imported() -> None:
    """Helpers stand in tests/support, so that a test can move without breaking another."""
    imported = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in TESTS
        for name in imports(path)
        if name.startswith("tests.")
        and any(part.startswith("test_") or part == "conftest" for part in name.split("."))
    }
    named = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in TESTS
        if path != Path(__file__)  # it holds the examples below
        for match in NAMED.finditer(path.read_text(encoding="utf-8"))
    }
    assert imported | named == set()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("CODE = 'from tests.integration.test_kept_answers import outcome'", True),
        ("CODE = 'import tests.unit.test_x'", True),
        ("CODE = 'from tests.d1 import conftest'", True),
        ("CODE = 'from tests.unit import words, test_x'", True),
        ("import_module('tests.d1.conftest')", True),
        ("from tests.support.fleets import outcome_of", False),
        ("command = ['pytest', 'tests/d1/test_without_node.py']", False),
        ("from tests import support  # conftests", False),
    ],
)
def test_an_import_of_a_test_is_recognised(text: str, named: bool) -> None:
    assert bool(NAMED.search(text)) is named


@pytest.mark.parametrize("folder", ["unit", "support"])
def test_units_import_no_larger_tests(folder: str) -> None:
    larger = {"integration", "faults", "fleet", "browser", "d1", "benchmarks"}
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "tests" / folder).rglob("*.py")
        for name in imports(path)
        if name.startswith("tests.") and name.split(".")[1] in larger
    }
    assert wrong == set()


def test_nothing_is_left_to_chance() -> None:
    """Random bytes come from a seed: what fails once fails again."""
    chance = re.compile(
        r"os\.urandom|secrets\.token_bytes|uuid\.uuid4|SystemRandom|Random\(\)|\brandom\.(random|rand\w+|choice|sample|shuffle|uniform)\("
    )
    allowed = {"support/faults/harness.py", "unit/test_tests.py"}  # the first prints its seed
    wrong = {
        str(path.relative_to(ROOT / "tests"))
        for path in TESTS
        if chance.search(path.read_text(encoding="utf-8"))
    }
    assert wrong - allowed == set()


def test_every_package_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["setuptools"]["packages"]
    inside = {p.parent for p in (ROOT / "runbook").rglob("*.py")}
    wanted = {".".join(p.relative_to(ROOT).parts) for p in inside}
    assert sorted(listed) == sorted(wanted | {"runbook.notebooks", "runbook.sql"})


def cannot_fail(path: Path) -> Iterator[int]:
    """The lines of assertions that hold whatever the product does, of the obvious kinds."""
    for node in _nodes(path):
        if not isinstance(node, ast.Assert):
            continue
        test = node.test
        if isinstance(test, ast.Constant | ast.Tuple | ast.JoinedStr | ast.Lambda):
            yield node.lineno  # a tuple: the parentheses hold the message as well
        elif isinstance(test, ast.Compare):
            sides = [test.left, *test.comparators]
            pairs = list(zip(sides, test.ops, sides[1:], strict=False))
            if all(isinstance(side, ast.Constant) for side in sides) or any(
                _is_trivial(*pair) for pair in pairs
            ):
                yield node.lineno


def _is_trivial(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> bool:
    """Whether something is compared with itself, or with a lower bound of zero.

    Two equal calls are left out: that both answer the same can be what is tested.
    """
    calls = any(isinstance(node, ast.Call) for node in ast.walk(left))
    if ast.dump(left) == ast.dump(right) and not calls:
        return True
    if isinstance(operator, ast.LtE):
        left, right, operator = right, left, ast.GtE()
    return isinstance(operator, ast.GtE) and isinstance(right, ast.Constant) and right.value == 0


def test_every_assertion_can_fail() -> None:
    wrong = {f"{path.relative_to(ROOT)}:{line}" for path in TESTS for line in cannot_fail(path)}
    assert wrong == set()


@pytest.mark.parametrize(
    ("statement", "trivial"),
    [
        ("assert True", True),
        ("assert 'text'", True),
        ("assert (x == 1, 'message')", True),
        ("assert f'{x}'", True),
        ("assert 1 == 1", True),
        ("assert x.y == x.y", True),
        ("assert len(x) >= 0", True),
        ("assert 0 <= x < 5", True),
        ("assert f(x) == f(x)", False),
        ("assert x > 0", False),
        ("assert x", False),
    ],
)
def test_assertions_that_cannot_fail_are_recognised(
    statement: str, trivial: bool, tmp_path: Path
) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(statement)
    assert list(cannot_fail(path)) == [1] * trivial
