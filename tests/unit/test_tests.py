"""What the tests promise about themselves, and the list of packages in pyproject.toml."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TESTS = sorted((ROOT / "tests").rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The names of the modules that a file imports, `from package import module` as one name too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_test_is_imported() -> None:
    """Helpers stand in tests/support, so that a test can move without breaking another."""
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in TESTS
        for name in imports(path)
        if name.startswith("tests.")
        and any(part.startswith("test_") or part == "conftest" for part in name.split("."))
    }
    assert wrong == set()


@pytest.mark.parametrize("folder", ["unit", "support"])
def test_units_import_no_larger_tests(folder: str) -> None:
    larger = {"integration", "faults", "browser", "d1", "benchmarks"}
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
