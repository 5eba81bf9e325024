"""The style sheet and the pages speak of the same classes, so that a renamed one shows."""

from __future__ import annotations

import re

import pytest

from runbook.report.environment import environment, styles
from tests.support.paths import ROOT

REPORT = ROOT / "runbook" / "report"
STYLE = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted(REPORT.glob("template/*.css"))
)
PAGES = "\n".join(
    path.read_text(encoding="utf-8")
    for path in (*REPORT.glob("*.py"), *REPORT.glob("template/*.j2"))
)


def unused(style: str) -> set[str]:
    classes = set(re.findall(r"\.(-?[a-z][a-z0-9-]*)(?=[^{}]*\{)", style))
    # These are put together by the template: of an outcome, a width, the level of a hazard.
    classes = {c for c in classes if not re.fullmatch(r"is-.*|.*-only|block|warn|note", c)}
    return {name for name in classes if not re.search(rf"(?<![\w.-]){name}(?![\w-])", PAGES)}


def test_every_class_of_the_style_sheet_is_used() -> None:
    assert unused(STYLE) == set()


def test_a_class_that_nothing_has_is_noticed() -> None:
    assert unused(".no-such-class { color: red }") == {"no-such-class"}


@pytest.mark.parametrize("sheet", ["report.css", "charts.css"])
def test_every_property_that_a_sheet_asks_for_comes_with_it(sheet: str) -> None:
    style = styles(sheet)
    asked = set(re.findall(r"var\((--[a-z0-9-]+)", style))
    assert asked
    assert asked <= set(re.findall(r"(--[a-z0-9-]+):", style))
    assert "/*" not in style


def test_what_is_escaped_for_the_inside_of_an_element_stays_inside() -> None:
    page = environment().from_string("<pre>{{ text|content }}</pre>").render(text="<b>&'\"</pre>")
    assert page == "<pre>&lt;b&gt;&amp;'\"&lt;/pre&gt;</pre>"
