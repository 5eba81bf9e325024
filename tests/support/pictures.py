"""The pictures in `docs/images/`: four notebooks as they come, and two reports; `make notebooks`.

Without Chromium there are none, and that is said.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.support.paths import ROOT

IMAGES = ROOT / "docs" / "images"
SHOWN = {
    "01_preflight": "Hazards",
    "05_verify": "What changed",
    "07_monitor": "What was observed",
    "09_explore": "How large organizations are",
}
"""Each notebook with the heading from which on it is shown."""

REPORTS = {"pass": "report", "rolled back": "report_rolled_back"}
"""The situations of which the report's first screen is shown, each with its picture's name."""

_SIZE = {"width": 1100, "height": 900}


def main() -> None:
    """Writes every picture anew."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("There is no Chromium, so the pictures in docs/images stay as they are.")
        return
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(viewport=_SIZE, offline=True)
        for name, heading in SHOWN.items():
            page = context.new_page()
            page.goto(_as_page(name, Path(scratch)).as_uri())
            place = page.locator("h2", has_text=heading).first
            place.evaluate("heading => heading.scrollIntoView()")
            page.screenshot(path=IMAGES / f"{name}.png")
            page.close()
        for name, report in _reports(Path(scratch)).items():
            page = context.new_page()
            page.goto(report.as_uri())
            page.screenshot(path=IMAGES / f"{REPORTS[name]}.png")
            page.close()
        browser.close()


def _as_page(name: str, folder: Path) -> Path:
    """A notebook with its outputs as a page, as JupyterLab shows it."""
    from nbconvert import HTMLExporter

    text, _ = HTMLExporter(template_name="lab").from_filename(
        str(ROOT / "notebooks" / f"{name}.ipynb")
    )
    path = folder / f"{name}.html"
    path.write_text(text, encoding="utf-8")
    return path


def _reports(folder: Path) -> dict[str, Path]:
    from runbook.stages import report
    from tests.support.situations import SITUATIONS

    pages = {}
    for name in REPORTS:
        run = SITUATIONS[name](folder / name)
        report.report(run)
        pages[name] = run.folder / "report.html"
    return pages


if __name__ == "__main__":
    main()
