"""Values that attack the reader of a report are text in it, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import jinja2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook.report import environment as template_environment
from runbook.report.write import write_report
from runbook.wording import visible
from tests.support import report_factory as factory
from tests.support.report_page import Page, page_of

RUNS: dict[str, Callable[[Path, factory.Rename], Path]] = {
    "passed": factory.passed,
    "refused": factory.refused_by_gate,
    "blocked": factory.blocked,
    "rolled_back": factory.rolled_back,
    "disagreeing": factory.disagreeing,
}
SHOWN = "<script>alert(1)</script>\"'&<b onclick=x>\\x00\\u202e\\ud800]]>--"
"""The hostile end of every text as a reader is to see it: the invisible parts spelled out."""


def attacks(page: Page) -> list[str]:
    """Everything in the page that could run, load or lead somewhere."""
    found = sorted(page.elements & {"script", "b", "iframe", "object", "embed", "form", "base"})
    for tag, name, value in page.attributes:
        if name.startswith("on") or name in ("srcdoc", "action", "formaction", "style"):
            found.append(f"{tag} {name}")
        if name in ("src", "href", "xlink:href") and not value.startswith("#"):
            found.append(f"{tag} {name}={value}")
    return found


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("show_values", [False, True])
def test_hostile_values_are_text(name: str, show_values: bool, tmp_path: Path) -> None:
    folder = RUNS[name](tmp_path / "run", factory.hostile)
    page = page_of(folder, show_values=show_values)
    assert attacks(page) == []
    for text in ("Ada Lovelace", "OPS-1742", "app.db", "projects"):
        assert f"{text} {SHOWN}" in page.text
    assert visible(page.source) == page.source, "a character that nobody sees"


def test_without_escaping_the_test_above_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = jinja2.Environment
    template_environment.environment.cache_clear()
    monkeypatch.setattr(
        jinja2, "Environment", lambda **options: environment(**{**options, "autoescape": False})
    )
    folder = factory.passed(
        tmp_path / "run", lambda text: f"{text}<b onclick=x></b><script></script>"
    )
    try:
        page = page_of(folder)
    finally:
        template_environment.environment.cache_clear()
    assert {"script", "b", "b onclick"} <= set(attacks(page))


@pytest.mark.parametrize("name", RUNS)
def test_hostile_values_in_xml_and_json(name: str, tmp_path: Path) -> None:
    folder = RUNS[name](tmp_path / "run", factory.hostile)
    write_report(folder)
    raw = (folder / "junit.xml").read_text(encoding="utf-8")
    cases = ElementTree.fromstring(raw.encode()).iter("testcase")
    names = [case.get("name", "") for case in cases]
    assert any(SHOWN in n for n in names)
    assert "<script" not in raw
    audit = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    assert audit["run"]["operator"] == f"Ada Lovelace {SHOWN}"
    assert audit["run"]["ticket"] == f"OPS-1742 {SHOWN}"
    # The forms are those of a harmless run, whatever the values are.
    harmless = RUNS[name](tmp_path / "harmless", str)
    write_report(harmless)
    plain = json.loads((harmless / "audit.json").read_text())
    assert plain.keys() == audit.keys()
    assert plain["verdict"] == audit["verdict"]
    assert len(plain["footprint"]) == len(audit["footprint"])


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(st.characters(), min_size=1, max_size=30))
def test_any_text_at_all(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Names of any characters, lone surrogates and control characters included."""
    folder = tmp_path_factory.mktemp("any") / "run"
    factory.refused_by_gate(folder, lambda word: word + text)
    write_report(folder)
    ElementTree.parse(folder / "junit.xml")
    json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert attacks(page) == []
    assert " ".join(f"Ada Lovelace{visible(text)}".split()) in page.text


def test_backticks_do_not_open_the_escaping() -> None:
    spans = template_environment._spans
    assert spans("see `a<b` & c") == "see <code>a&lt;b</code> &amp; c"
    assert spans("one ` <b>") == "one ` &lt;b&gt;"


def test_the_page_forbids_requests_and_scripts(tmp_path: Path) -> None:
    page = page_of(factory.passed(tmp_path / "run"))
    policy = next(v for _, name, v in page.attributes if name == "content" and "default-src" in v)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert "@import" not in page.source
