"""The report in real Chromium, with the network cut: safe, accessible, and fit to be printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.report.write import write_report
from tests.support import report_factory as factory
from tests.support.brief import brief
from tests.support.report_browser import CHROMIUM, SCREENS, WIDTHS, axe, opened

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("report"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is neither chromium nor google-chrome"),
]

RUNS: dict[str, Callable[[Path], Path]] = {
    **factory.RUNS,
    "hostile": lambda folder: factory.refused_by_gate(folder, factory.hostile),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of every kind of run."""
    folder = tmp_path_factory.mktemp("runs")
    for name, make in RUNS.items():
        write_report(make(folder / name))
    return {name: folder / name / "report.html" for name in RUNS}


@pytest.mark.parametrize("name", RUNS)
def test_no_request_no_error_no_script(
    name: str, browser: Browser, reports: dict[str, Path]
) -> None:
    requests: list[str] = []
    said: list[str] = []
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.goto(reports[name].as_uri())
    page.wait_for_load_state("networkidle")
    text = page.locator("body").inner_text()
    assert page.locator("script").count() == 0
    context.close()
    assert requests == [reports[name].as_uri()]
    assert said == []
    if name == "hostile":
        assert "<script>alert(1)</script>" in text
        assert "OPS-1742 <script>" in text


def test_the_policy_stops_what_escaping_would_miss(
    browser: Browser, reports: dict[str, Path], tmp_path: Path
) -> None:
    """A page with a script and a picture smuggled in neither runs it nor asks for it."""
    page = reports["passed"].read_text()
    planted = (
        '<img src="https://example.org/x.png"><script>document.title = "owned"</script></main>'
    )
    path = tmp_path / "report.html"
    path.write_text(page.replace("</main>", planted))
    said: list[str] = []
    context = browser.new_context(offline=True)
    tab = context.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(path.as_uri())
    title = tab.title()
    context.close()
    assert title.startswith("PASS")
    assert sum("Content Security Policy" in text for text in said) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
# What real runs leave goes through the same in test_situations.py.
@pytest.mark.parametrize(
    "name", brief(["passed", "refused", "blocked"], lambda name: name == "refused")
)
def test_axe_finds_no_serious_fault(
    name: str, width: int, scheme: str, browser: Browser, reports: dict[str, Path]
) -> None:
    with opened(browser, reports[name], width=width, color_scheme=scheme, bypass_csp=True) as page:
        assert axe(page) == []


def test_axe_does_find_faults(browser: Browser, reports: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(reports["passed"].read_text().replace("--soft: #585e66", "--soft: #c5c9ce"))
    with opened(browser, path, bypass_csp=True) as page:
        assert any(fault.startswith("color-contrast") for fault in axe(page))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RUNS)
def test_nothing_sticks_out(
    name: str, width: int, browser: Browser, reports: dict[str, Path]
) -> None:
    with opened(browser, reports[name], width=width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cut = page.evaluate(
            "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
            ".map(e => e.getAttribute('aria-label'))"
        )
        if width == 1280 and name != "hostile":
            assert cut == [], "a table is cut off on a wide screen"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["refused", "blocked", "interrupted", "disagreeing"])
def test_what_is_wrong_is_seen_without_scrolling(
    name: str, width: int, browser: Browser, reports: dict[str, Path]
) -> None:
    with opened(browser, reports[name], width=width) as page:
        for text in ("What is wrong", "State of the database"):
            box = page.locator(".state > div", has_text=text).first.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= WIDTHS[width], text


@pytest.mark.parametrize("name", RUNS)
def test_without_javascript(name: str, browser: Browser, reports: dict[str, Path]) -> None:
    with opened(browser, reports[name]) as page:
        expected = page.locator("body").inner_text()
    with opened(browser, reports[name], java_script_enabled=False) as page:
        assert page.locator("body").inner_text() == expected
        page.locator("summary").first.click()
        assert page.locator("details").first.get_attribute("open") is not None


def test_with_the_keyboard_alone(browser: Browser, reports: dict[str, Path]) -> None:
    focused = "document.activeElement"
    with opened(browser, reports["refused"]) as page:
        page.keyboard.press("Tab")
        assert page.evaluate(f"{focused}.textContent") == "Skip to the report"
        box = page.locator(".skip").bounding_box()
        assert box is not None
        assert box["y"] > -0.5, "the focused link is not on the screen"
        page.keyboard.press("Enter")
        page.wait_for_function(f"{focused}.id === 'content'")
        reached: list[str] = []
        for _ in range(60):
            page.keyboard.press("Tab")
            tag = page.evaluate(f"{focused}.tagName")
            if tag == "BODY":
                break
            reached.append(tag)
            if tag == "SUMMARY" and reached.count("SUMMARY") == 1:
                page.keyboard.press("Enter")
                assert page.evaluate(f"{focused}.parentElement.open") is True
        assert reached.count("SUMMARY") == page.locator("summary").count()
        # Everything that scrolls sideways can be scrolled with the arrow keys.
        assert reached.count("DIV") >= page.locator(".scroll:visible").count() - 1


@pytest.mark.parametrize("name", ["passed", "refused"])
def test_pictures_and_print(name: str, browser: Browser, reports: dict[str, Path]) -> None:
    """Writes what a person should look at to `build/screens/`."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            with opened(browser, reports[name], width=width, color_scheme=scheme) as page:
                path = SCREENS / f"report-{name}-{width}-{scheme}.png"
                page.screenshot(path=path, full_page=True)
                assert path.stat().st_size > 20_000
    with opened(browser, reports[name]) as page:
        pdf = page.pdf(path=SCREENS / f"report-{name}.pdf", format="A4", print_background=True)
        assert pdf.startswith(b"%PDF")
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible()
        assert page.locator(".verdict .word").is_visible()
        page.set_viewport_size({"width": 680, "height": 1000})  # the width of A4 inside margins
        assert page.evaluate("document.documentElement.scrollWidth") <= 680
