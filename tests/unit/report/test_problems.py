"""Findings of several witnesses that tell of the same problem are shown as one."""

from __future__ import annotations

import dataclasses

import pytest

from runbook.report.contents import Contents, read_contents
from runbook.report.html import html
from runbook.report.problems import problem_sentence, problems
from runbook.report.view_model import view_of
from runbook.run.findings import Finding, InvariantResult, TableDigest, Witness
from tests.support import report_factory as factory
from tests.support.report_page import Page


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """A run that passed, into whose verification findings are planted."""
    return read_contents(factory.passed(tmp_path_factory.mktemp("run") / "run"))


def planted(contents: Contents, *findings: Finding, **counts: int) -> Contents:
    """The contents with these findings of the verification, and counts of the assigned rows."""
    assert contents.verify is not None
    lines = tuple(
        dataclasses.replace(line, counts={**line.counts, **counts})
        if line.column == "organization_id" and line.change == "changed"
        else line
        for line in contents.verify.footprint
    )
    verify = dataclasses.replace(
        contents.verify, verdict="fail", findings=findings, footprint=lines
    )
    return dataclasses.replace(contents, verify=verify)


def changed(witness: Witness, column: str = "name", table: str = "projects") -> Finding:
    message = f'"{column}" was changed in 1 row of "{table}"'
    return Finding(witness, table, column, "changed", 1, message, drift=True)


def test_a_change_that_three_witnesses_saw_is_one_problem(contents: Contents) -> None:
    digest = Finding("duckdb", "projects", "", "digest differs", 0, "the digest differs")
    (problem,) = problems(
        planted(contents, changed("sqlite"), changed("duckdb"), changed("pandas"), digest)
    )
    assert problem.counts == {"sqlite": 1, "duckdb": 1, "pandas": 1}
    assert (problem.table, problem.column, problem.findings) == ("projects", "name", 4)
    assert "take a new snapshot" not in problem.advice  # it is too late for that
    assert "something else has written" in problem.advice


def test_before_the_commit_the_advice_is_a_new_snapshot(contents: Contents) -> None:
    assert contents.migrate is not None
    migrate = dataclasses.replace(
        contents.migrate, committed=False, findings=(changed("gate"),), proof="before commit"
    )
    refused = dataclasses.replace(contents, migrate=migrate, verify=None)
    (problem,) = problems(refused)
    assert "take a new snapshot" in problem.advice


def test_columns_and_tables_stay_apart(contents: Contents) -> None:
    found = problems(
        planted(
            contents,
            changed("sqlite"),
            changed("sqlite", "status"),
            changed("sqlite", "name", "tasks"),
        )
    )
    assert [(p.table, p.column) for p in found] == [
        ("projects", "name"),
        ("projects", "status"),
        ("tasks", "name"),
    ]


def test_a_witness_that_only_counted_is_among_those_who_saw_it(contents: Contents) -> None:
    wrong = Finding("sqlite", "projects", "organization_id", "wrong value", 2, "two are wrong")
    torn = Finding("sqlite", "projects", "organization_id", "written since the commit", 2, "counts")
    right = factory.PROJECTS
    (problem,) = problems(
        planted(contents, torn, wrong, gate=right, sqlite=right - 2, duckdb=right - 2, pandas=right)
    )
    assert problem.what == "two are wrong"
    assert problem.counts == {"sqlite": 2, "duckdb": 2}


def test_an_invariant_follows_from_the_row_that_breaks_it(contents: Contents) -> None:
    result = InvariantResult("resources_without_organization", "None is without", "", {"sqlite": 2})
    broken = planted(
        contents,
        Finding("sqlite", "", "", "invariant resources_without_organization", 2, "violated"),
        Finding("pandas", "projects", "organization_id", "wrong value", 2, "two are wrong"),
    )
    assert broken.verify is not None
    verify = dataclasses.replace(broken.verify, invariants=(result,))
    (problem,) = problems(dataclasses.replace(broken, verify=verify))
    assert problem.consequences == ("None is without",)


def test_an_invariant_that_nothing_explains_is_a_problem_of_its_own(contents: Contents) -> None:
    alone = Finding("sqlite", "", "", "invariant resources_without_organization", 2, "violated")
    first, second = problems(planted(contents, changed("sqlite", "name", "tasks"), alone))
    assert first.what == "violated"
    assert second.table == "tasks"


def test_the_tables_of_a_search_index_are_one_problem_and_come_last(contents: Contents) -> None:
    parts = [f"search_{part}" for part in ("data", "idx", "content", "docsize", "config")]
    digests = tuple(TableDigest(name, 1, "a", "a") for name in (*parts, "projects", "my_data"))
    assert contents.snapshot is not None
    snapshot = dataclasses.replace(contents.snapshot, digests=digests)
    indexed = dataclasses.replace(contents, snapshot=snapshot)
    found = problems(
        planted(
            indexed,
            changed("sqlite", "block", "search_data"),
            changed("sqlite", "c1", "search_content"),
            changed("sqlite", "x", "my_data"),
            changed("sqlite"),
        )
    )
    assert [p.table for p in found] == ["projects", "my_data", "search"]
    assert "2 tables of its own" in found[-1].what


def test_every_finding_is_told_by_some_problem(contents: Contents) -> None:
    """Whatever kind of finding there will be, none is dropped."""
    kinds = (
        *("changed", "wrong value", "added", "removed", "missing", "witnesses disagree"),
        *("written since the commit", "digest differs", "broken reference", "view changed"),
        *("not compared", "trigger order", "a kind that is not known yet"),
    )
    for kind in kinds:
        lone = Finding("sqlite", "t", "", kind, 1, f"a message of {kind}")
        (problem,) = problems(planted(contents, lone))
        assert problem.what == lone.message, kind


def test_the_sentence_counts_problems_and_not_findings(contents: Contents) -> None:
    found = problems(planted(contents, changed("sqlite"), changed("duckdb"), changed("pandas")))
    assert problem_sentence(found) == '"name" was changed in 1 row of "projects".'
    assert problem_sentence(()) == ""
    assert problem_sentence(found * 2).endswith("one more problem is below.")
    assert problem_sentence(found * 3).endswith("2 more problems are below.")


def test_the_page_says_who_counted_the_rows(contents: Contents) -> None:
    page = Page(html(view_of(planted(contents, changed("sqlite"), changed("duckdb")))).decode())
    assert "Rows counted by SQLite 1, DuckDB 1, in projects.name" in page.text


@pytest.mark.parametrize(("rows", "kept"), [(1, "1 row that"), (2_000, "2,000 rows that")])
def test_the_page_counts_what_triggers_added(contents: Contents, rows: int, kept: str) -> None:
    assert contents.rehearse is not None
    rehearse = dataclasses.replace(contents.rehearse, kept_writes={"log": rows})
    page = Page(html(view_of(dataclasses.replace(contents, rehearse=rehearse))).decode())
    assert f"It kept {kept} triggers had added to log , as the plan says." in page.text
