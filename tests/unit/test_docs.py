"""The documentation says what is true: every command, setting and link."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from runbook.cli import main
from runbook.plan.plan import Plan
from runbook.run.folder import STAGES
from tests.support.paths import ROOT

PAGES = {p: p.read_text() for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
EVERYTHING = "\n".join(PAGES.values())


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_documented(command: str) -> None:
    assert f"runbook {command}" in EVERYTHING


@pytest.mark.parametrize(
    "option",
    sorted({o for c in main.commands.values() for p in c.params for o in p.opts if "--" in o}),
)
def test_every_option_is_explained(option: str) -> None:
    helped = [p for c in main.commands.values() for p in c.params if option in p.opts]
    assert all(getattr(p, "help", None) for p in helped)


def settings() -> set[str]:
    found = set()
    for section in dataclasses.fields(Plan):
        default = getattr(Plan(), section.name)
        first = default[0] if isinstance(default, tuple) else default
        if dataclasses.is_dataclass(first):
            found |= {f.metadata.get("key", f.name) for f in dataclasses.fields(first)}
    return found


@pytest.mark.parametrize("setting", sorted(settings()))
def test_every_setting_of_the_plan_is_documented(setting: str) -> None:
    assert f"`{setting}`" in EVERYTHING


def test_links_lead_somewhere() -> None:
    for page, text in PAGES.items():
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_stage_has_its_notebook() -> None:
    names = {p.stem[3:] for p in (ROOT / "notebooks").glob("*.ipynb")}
    assert names - {"fleet"} == {*STAGES, "explore"}  # a fleet is no stage


def test_the_changelog_is_dated() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \d+\.\d+\.\d+ \(20\d\d-\d\d-\d\d\)$", changelog, re.MULTILINE)


def test_the_code_does_not_know_the_machine_it_was_written_on() -> None:
    for path in (*ROOT.glob("runbook/**/*.py"), *ROOT.glob("sql/**/*.sql")):
        assert str(Path(ROOT).parent) + "/" not in path.read_text(), path
