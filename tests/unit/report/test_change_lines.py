"""The footprint as a plan is read: grouped by object, one line for each change, what is off in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from runbook.report.change_lines import ALL_ELSE, block, change_lines, counted_by
from runbook.script.footprint import FootprintLine
from tests.support import report_factory as factory
from tests.support.report_page import page_of

EVERYONE = ("gate", "sqlite", "duckdb", "pandas")

LINES = [
    "+ table organizations (1,871 rows, 1 index)",
    "+ index idx_organizations_owner on organizations",
    "+ table organization_memberships (1,871 rows)",
    "~ projects.organization_id (5,000 rows)",
    "~ projects.updated_at (5,000 rows)",
    "+ index idx_projects_org on projects",
    "+ rows in runbook_ledger (1 row)",
]


def texts(footprint: tuple[FootprintLine, ...]) -> list[str]:
    return [line.text for line in change_lines(footprint)]


def counting(line: FootprintLine, **counts: int) -> FootprintLine:
    return dataclasses.replace(line, counts={**line.counts, **counts})


@pytest.mark.parametrize("witnesses", [(), EVERYONE])
def test_one_line_for_each_change_of_an_object(witnesses: tuple[str, ...]) -> None:
    footprint = factory.footprint(*witnesses)
    assert texts(footprint) == LINES
    assert texts(tuple(reversed(footprint)))[0] == LINES[-1]
    counted = [line for line in change_lines(footprint) if line.as_predicted]
    assert len(counted) == (5 if witnesses else 0)
    assert counted_by(footprint) == tuple({"gate": "gate", "sqlite": "SQLite", "duckdb": "DuckDB"}
        .get(who, who) for who in witnesses)  # fmt: skip


def test_a_number_that_is_off_stands_in_the_line() -> None:
    *lines, _ = factory.footprint(*EVERYONE)
    lines[5] = counting(lines[5], duckdb=4_999)
    line = next(c for c in change_lines(lines) if c.what == "projects.organization_id")
    assert line.as_predicted is False
    assert line.text == (
        "~ projects.organization_id "
        "(5,000 predicted, gate 5,000, SQLite 5,000, DuckDB 4,999, pandas 5,000)"
    )
    lines[5] = dataclasses.replace(lines[5], counts=dict.fromkeys(EVERYONE, 4_999))
    line = next(c for c in change_lines(lines) if c.what == "projects.organization_id")
    assert line.as_predicted is False  # all agree, and all of them otherwise than predicted
    assert "5,000 predicted, gate 4,999" in line.text


def test_what_no_rule_foresees_is_said_to_be_so() -> None:
    lines = [
        FootprintLine("notes", "dropped", "", "", None, allowed=False),
        FootprintLine("log", "added", "", "rows written by the application's triggers", None),
        FootprintLine("projects", "created", "organization_id", "a new column", None),
        FootprintLine("log", "added", "", "", None, counts={"sqlite": 3, "duckdb": 4}),
        FootprintLine("a\x1bb", "changed", "c", "", 1),
    ]
    assert texts(tuple(lines)) == [
        "- table notes (not allowed)",
        "+ rows in log (number not predicted)",
        "+ rows in log (not predicted, SQLite 3, DuckDB 4)",
        "+ projects.organization_id",
        "~ a\\x1bb.c (1 row)",
    ]


def test_a_block_for_the_terminal() -> None:
    assert block("What will change:", factory.footprint()) == [
        "What will change:",
        *(f"  {line}" for line in LINES),
        f"  {ALL_ELSE}",
    ]
    assert block("What will change:", ()) == []


def test_the_report_has_the_same_lines(tmp_path: Path) -> None:
    text = page_of(factory.passed(tmp_path / "passed")).text
    for line in LINES:
        assert line in text
    assert "rows as counted by gate, SQLite, DuckDB and pandas" in text
    text = page_of(factory.disagreeing(tmp_path / "disagreeing")).text
    assert "not as predicted" in text
    assert "pandas 4,999" in text
