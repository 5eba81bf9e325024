"""What an auditor asks of a report, of seven real runs that ended in seven ways.

The eight questions: what changed, who did it, who agreed, when, on what evidence, can it be undone,
was anything unexpected, was it watched. Every answer stands on the first two screens: in the header,
or in the sections that come before all others.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runbook.report.contents import read_contents
from runbook.report.problems import problems
from tests.support.report_page import Page

pytestmark = pytest.mark.xdist_group("situations")

ANSWERS: dict[str, dict[str, str]] = {
    "pass": {
        "changed": r"120 projects of \d+ users moved to \d+ organizations; nothing else in [\d,]+ rows",
        "agreed": r"Agreed Ada Lovelace typed the name in a terminal, \d+ \w+ 2\d\d\d",
        "evidence": r"Invariants : proven .* Footprint : proven .* Witnesses agree : proven",
        "reversible": r"Reversible, rehearsed once",
        "unexpected": r"Unexpected Notebooks No stage was executed as a notebook\. Checklist The lines 2",
        "watched": r"Watched Not yet monitored",
    },
    "blocked": {
        "changed": r"Nothing was changed",
        "agreed": r"Agreed not asked yet",
        "evidence": r"Rows whose owner does not exist",
        "reversible": r"There is nothing to take back",
        "unexpected": r"Unexpected Nothing\. Looked for: attempts that failed",
        "watched": r"There is nothing to watch yet",
    },
    "refused": {
        "changed": r"Nothing in [\d,]+ rows was changed",
        "agreed": r"Agreed Ada Lovelace typed the name in a terminal",
        "evidence": r"Footprint : failed",
        "reversible": r"There is nothing to take back",
        "unexpected": r"Findings \d+ problems, the worst first, from \d+ findings",
        "watched": r"There is nothing to watch yet",
    },
    "failed": {
        "changed": r"118 projects of \d+ users moved to \d+ organizations; other things changed",
        "agreed": r"Agreed Ada Lovelace typed",
        "evidence": r"Invariants : failed .* Footprint : failed .* Witnesses agree : proven",
        "reversible": r"Reversible, rehearsed once",
        "unexpected": r"Findings 4 problems, the worst first, from \d\d findings",
        "watched": r"Not yet monitored",
    },
    "rolled back": {
        "changed": r"moved to \d+ organizations; .* Taken back on .*: 118 rows restored, 3 later writes",
        "agreed": r"By Ada Lovelace typed the name in a terminal, .* Why the new code lost drafts",
        "evidence": r"Proof Compared with the backup before the commit, row by row",
        "reversible": r"It was taken back",
        "unexpected": r"1 row edited, 1 inserted, 1 deleted inserted id='prj_new_1'",
        "watched": r"Not yet monitored",
    },
    "resumed": {
        "changed": r"120 projects of \d+ users moved",
        "agreed": r"Agreed Ada Lovelace typed",
        "evidence": r"Invariants : proven",
        "reversible": r"Reversible, rehearsed once",
        "unexpected": r"Unexpected Attempt Migration, begun .*, was cut off\. It succeeded",
        "watched": r"Not yet monitored",
    },
    "violated": {
        "changed": r"120 projects of \d+ users moved",
        "agreed": r"Agreed Ada Lovelace typed",
        "evidence": r"proven; monitoring has found a violation since",
        "wrong": r"What is wrong Monitoring, .*: projects: 1 row without organization\.",
        "to do": r"correct these rows; then go on monitoring, or roll back\. runbook monitor --run-dir /",
        "reversible": r"Reversible, rehearsed once",
        "unexpected": r"Unexpected Monitoring 1 observation of 1 observation found a problem",
        "watched": r"Watched Monitored by 1 observation: 1 problem",
    },
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_eight_questions_are_answered(name: str, situations: dict[str, Path]) -> None:
    text = Page(situations[name].read_text(encoding="utf-8")).text
    for question, answer in ANSWERS[name].items():
        assert re.search(answer, text), f"{question}: {text[:3000]}"
    assert "By Ada Lovelace" in text
    run = read_contents(situations[name].parent)
    assert re.search(rf"Ada Lovelace; account {run.account} on \S+, time zone \S+ \(UTC", text)
    assert re.search(r"(Committed|Ended) \d+ \w+ 2\d\d\d, \d\d:\d\d:\d\d UTC", text)


def test_the_planted_problems_and_no_others_are_told(situations: dict[str, Path]) -> None:
    """Two rows without an organization, a name, a membership; the search index follows the name."""
    found = problems(read_contents(situations["failed"].parent))
    assert [(p.table, p.column, p.rows) for p in found] == [
        ("projects", "organization_id", 2),
        ("organization_memberships", "", 1),
        ("projects", "name", 1),
        ("project_search", "", found[-1].rows),
    ]
    assert all({"sqlite", "duckdb", "pandas"} == set(p.counts) for p in found[:3]), found
    assert any("without an organization" in title for title in found[0].consequences)


def test_after_the_commit_a_new_snapshot_is_no_advice(situations: dict[str, Path]) -> None:
    for name in ("failed", "violated", "rolled back", "resumed", "pass"):
        assert "take a new snapshot" not in situations[name].read_text(encoding="utf-8"), name
    assert "take a new snapshot" in situations["refused"].read_text(encoding="utf-8")


def test_every_command_names_the_whole_path(situations: dict[str, Path]) -> None:
    commands = 0
    for page in situations.values():
        text = page.read_text(encoding="utf-8")
        for folder in re.findall(r"--run-dir ([^\s(<][^\s<]*)", text):
            commands += 1
            assert Path(folder) == page.parent.resolve()
    assert commands > 5
