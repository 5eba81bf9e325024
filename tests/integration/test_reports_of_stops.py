"""Wherever a run ends, it leaves a report for people and programs, and the terminal names it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runbook.errors import Blocked
from runbook.headless.run_stages import Options, run_stages
from runbook.run.folder import Run
from runbook.run.records import RehearseRecord
from runbook.wording import duration
from tests.support.databases import execute
from tests.support.runs import begin
from tests.support.windows import Direct

PLAN = (
    "    + table organizations (180 rows, 2 indexes)",
    "    + index idx_organizations_owner on organizations",
    "    ~ projects.organization_id (1,000 rows)",
    "    + index idx_projects_org on projects",
)


class Interrupted(Direct):
    """A person presses Ctrl-C when a stage begins."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self.stage = stage

    def __call__(self, run: Run, stage: str, parameters: dict[str, object]) -> None:
        if stage == self.stage:
            raise KeyboardInterrupt
        super().__call__(run, stage, parameters)


def check_report(run: Run, lines: list[str]) -> str:
    for name in ("report.html", "audit.json", "junit.xml"):
        assert (run.folder / name).stat().st_size > 0
    (line,) = (line for line in lines if line.startswith("  report"))
    assert str(run.folder / "report.html") in line
    return line


def test_blocked(sample: Path, tmp_path: Path) -> None:
    execute(sample, "INSERT INTO projects (id, name, owner_id) VALUES ('x', 'x', 'missing')")
    run, lines = begin(sample, tmp_path / "run"), []  # type: tuple[Run, list[str]]
    with pytest.raises(Blocked):
        run_stages(run, Options(yes=True, echo=lines.append), Direct())
    assert "1 hazard must be removed first" in check_report(run, lines)
    assert "missing" in (run.folder / "report.html").read_text()
    at = lines.index("  block      Rows whose owner does not exist (projects.owner_id: 1)")
    assert lines[at + 1].startswith("             They name a user who is not there")
    assert re.match(r"             Remedy: .*SELECT \* FROM \"projects\"", lines[at + 2])


@pytest.mark.parametrize("until", ["preflight", "rehearse", "snapshot"])
def test_ended_where_it_was_to_end(until: str, sample: Path, tmp_path: Path) -> None:
    run, lines = begin(sample, tmp_path / "run"), []  # type: tuple[Run, list[str]]
    run_stages(run, Options(until=until, echo=lines.append), Direct(rehearse=until == "rehearse"))
    assert "Not migrated yet" in check_report(run, lines)
    headings = [line for line in lines if line.startswith(f"  What will change in {sample}")]
    assert len(headings) == (until != "preflight")
    assert [line for line in lines if line in PLAN] == list(PLAN if until != "preflight" else ())


@pytest.mark.parametrize("stage", ["preflight", "rehearse", "verify"])
def test_interrupted(stage: str, sample: Path, tmp_path: Path) -> None:
    run, lines = begin(sample, tmp_path / "run"), []  # type: tuple[Run, list[str]]
    with pytest.raises(KeyboardInterrupt):
        run_stages(run, Options(yes=True, echo=lines.append), Interrupted(stage))
    check_report(run, lines)


def test_what_will_change_is_printed_before_the_name_is_typed_and_what_did_afterwards(
    sample: Path, tmp_path: Path
) -> None:
    run, lines = begin(sample, tmp_path / "run"), []  # type: tuple[Run, list[str]]
    printed: list[list[str]] = []

    def ask(question: str) -> str:
        printed.append(list(lines))
        return run.info.identity.name

    run_stages(run, Options(ask=ask, echo=lines.append), Direct())
    (before,) = printed
    tried = run.result("rehearse", RehearseRecord)
    assert f"  What will change in {sample}:" in before
    assert [line for line in before if line in PLAN] == list(PLAN)
    assert before[-3:] == [
        "    Everything else stays identical, or nothing is committed.",
        f"    Writes are blocked for about {duration(tried.locked_seconds)}, as rehearsed.",
        "    Preflight has no warnings, and 3 notes.",
    ]
    after = lines[len(before) :]
    at = after.index("  What changed in sample.db, as counted by gate, SQLite, DuckDB and pandas:")
    assert [line for line in after[at:] if line in PLAN] == list(PLAN)
    assert after[-4] == "What comes next:"
    for line, words in zip(after[-3:], ("monitor", "archive", "rollback"), strict=True):
        assert line.endswith(f"runbook {words} --run-dir {run.folder}")
    lines.clear()
    run_stages(run, Options(ask=ask, echo=lines.append), Direct())  # done already, and said once
    assert not [line for line in lines if line in PLAN]
