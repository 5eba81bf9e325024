"""docs/architecture.md names what is there, and every package is in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
NAMED = set(re.findall(r"`((?:runbook|sql|notebooks|tests|docs)/[\w./]*)`", PAGE))
PACKAGES = sorted(p.parent for p in (ROOT / "runbook").glob("*/__init__.py"))


def missing(page: str) -> list[str]:
    named = re.findall(r"`((?:runbook|sql|notebooks|tests|docs)/[\w./]*)`", page)
    return [path for path in named if not (ROOT / path).exists()]


def test_every_path_that_it_names_exists() -> None:
    assert len(NAMED) > 40
    assert missing(PAGE) == []


def test_a_path_that_is_gone_is_noticed() -> None:
    assert missing("see `runbook/reversal.py`") == ["runbook/reversal.py"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_every_package_is_named_and_explained(package: Path) -> None:
    assert f"{package.relative_to(ROOT)}/" in NAMED
    sentence = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    assert sentence.splitlines()[0].endswith(".")


def test_every_loose_module_is_named() -> None:
    loose = {str(p.relative_to(ROOT)) for p in (ROOT / "runbook").glob("[a-z]*.py")}
    assert loose - NAMED == set()
