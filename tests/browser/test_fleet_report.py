"""The report of a fleet in real Chromium: readable in both colour schemes, nothing beyond its edge.

The fleet is a real one with a hostile name and a refused database.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.errors import Refused
from runbook.fleet.shares import Share
from tests.support.databases import execute
from tests.support.fleets import BLOCKED, make_tenants, migrate_fleet
from tests.support.report_browser import CHROMIUM, SCREENS, WIDTHS, axe, opened

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("report"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fleet")
    _, second, third = make_tenants(folder / "tenants", 3)
    execute(second, BLOCKED)
    third.rename(third.with_name("<b>bold<" + "long" * 40 + ".db"))
    with pytest.raises(Refused):
        migrate_fleet(folder / "tenants", folder / "fleet", most_failures=Share(1))
    return folder / "fleet" / "report.html"


def band(page: Page) -> str:
    """The colour behind the verdict; axe says nothing of white letters on white paper."""
    return page.evaluate("getComputedStyle(document.querySelector('.verdict')).backgroundColor")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_is_readable(width: int, scheme: str, browser: Browser, report: Path) -> None:
    with opened(browser, report, width=width, color_scheme=scheme, bypass_csp=True) as page:
        SCREENS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENS / f"fleet-{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert band(page) == {"light": "rgb(179, 38, 30)", "dark": "rgb(255, 143, 133)"}[scheme]
        assert axe(page) == []


def test_a_colour_without_its_palette_is_noticed(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(report.read_text().replace("--band:", "--gone:"))
    with opened(browser, path, bypass_csp=True) as page:
        assert band(page) == "rgba(0, 0, 0, 0)"
