"""Seven real runs that ended in seven ways, as their reports look: at a desk, in a hand, on paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.report_browser import CHROMIUM, SCREENS, WIDTHS, axe, opened
from tests.support.situations import SITUATIONS

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("situations"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is neither chromium nor google-chrome"),
]

CUT = """
[...document.querySelectorAll('.scroll, pre')].filter(part => part.scrollWidth > part.clientWidth + 1)
  .map(part => (part.ariaLabel || part.textContent.slice(0, 40)) + ' ' + part.scrollWidth)
"""
"""What can only be read by scrolling it sideways: tables and commands, with their widths."""

FIRST = {
    "failed": "#findings",
    "refused": "#findings",
    "blocked": "#hazards",
    "rolled back": "#rollback",
}
"""The section that must not lie deeper than the second screen."""


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_report_is_right_at_every_width_and_on_paper(
    name: str, browser: Browser, situations: dict[str, Path]
) -> None:
    """Nothing sticks out, axe finds nothing, and nothing that is folded is lost on paper."""
    for width, scheme in ((1280, "light"), (390, "dark")):
        options = {"color_scheme": scheme, "bypass_csp": True}
        with opened(browser, situations[name], width=width, **options) as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if width == 390:
                assert page.evaluate(CUT) == []
            assert axe(page) == []
    with opened(browser, situations[name]) as page:
        page.emulate_media(media="print")
        folded = page.locator("details pre, details table").all()
        assert folded
        assert all(part.is_visible() for part in folded), "what is folded is lost on paper"


@pytest.mark.parametrize("name", ["pass", "rolled back"])
def test_pictures(name: str, browser: Browser, situations: dict[str, Path]) -> None:
    """Writes what a person should look at to `build/screens/`."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    stem = f"situation-{name.replace(' ', '-')}"
    for width in WIDTHS:
        with opened(browser, situations[name], width=width) as page:
            page.screenshot(path=SCREENS / f"{stem}-{width}.png")
    with opened(browser, situations[name]) as page:
        pdf = page.pdf(path=SCREENS / f"{stem}.pdf", format="A4", print_background=True)
        assert pdf.startswith(b"%PDF")


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_answers_stand_on_two_screens(
    name: str, browser: Browser, situations: dict[str, Path]
) -> None:
    with opened(browser, situations[name]) as page:
        for place in (
            ".summary",
            ".overview",
            ".proofs",
            "#unexpected",
            FIRST.get(name, ".summary"),
        ):
            box = page.locator(place).first.bounding_box()
            assert box is not None, place
            assert box["y"] < 2 * WIDTHS[1280] - 100, place
