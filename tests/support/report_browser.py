"""A report in real Chromium, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.paths import ROOT

SCREENS = ROOT / "build" / "screens"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
WIDTHS = {1280: 900, 390: 844}


@contextmanager
def opened(browser: Browser, report: Path, *, width: int = 1280, **options: Any) -> Iterator[Page]:
    """The report in a fresh window without network, JavaScript allowed unless told otherwise."""
    viewport = {"width": width, "height": WIDTHS[width]}
    context = browser.new_context(viewport=viewport, offline=True, **options)
    try:
        page = context.new_page()
        page.goto(report.as_uri())
        yield page
    finally:
        context.close()


def axe(page: Page) -> list[str]:
    """The faults that axe finds, with every folded part unfolded."""
    package = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.add_script_tag(path=Path(package.__path__[0]) / "axe.min.js")
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in result["violations"]
        for node in fault["nodes"]
    ]
