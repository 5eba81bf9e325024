"""For each library: uses that a scan must find, and look-alikes that it must pass over."""

import re
from pathlib import Path

import pytest

from runbook.scan import scan

CASES = Path(__file__).parent / "cases"
FILES = sorted(CASES.iterdir())
DOCS = Path(__file__).parents[3] / "docs" / "scan.md"


def sections(path: Path) -> dict[str, list[int]]:
    """The lines of the two sections; what stands before them is the application's schema."""
    found: dict[str, list[int]] = {"uses": [], "look-alikes": []}
    current = None
    for number, line in enumerate(path.read_text().split("\n"), 1):
        heading = re.fullmatch(r"(?://|#|--) (uses|look-alikes)", line)
        if heading:
            current = heading[1]
        elif current and line.strip() and line != "?>":
            found[current].append(number)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_uses_are_found_and_look_alikes_are_not(path):
    lines = path.read_text().split("\n")
    cases = sections(path)
    found = {finding.line for finding in scan(path).findings}
    missed = [lines[number - 1] for number in cases["uses"] if number not in found]
    false = [lines[number - 1] for number in sorted(found - set(cases["uses"]))]
    assert (missed, false) == ([], [])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_there_are_ten_cases_of_each_class(path):
    assert all(len(numbers) >= 10 for numbers in sections(path).values())


def test_the_documentation_has_these_counts():
    rows = dict(re.findall(r"^\| ([\w.# ]+?) \| (\d+ \| \d+) \|$", DOCS.read_text(), re.MULTILINE))
    counts = {}
    for path in FILES:
        cases = sections(path)
        counts[path.stem] = f"{len(cases['uses'])} | {len(cases['look-alikes'])}"
    assert {name.lower(): count for name, count in rows.items()} == counts
