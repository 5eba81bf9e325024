"""What the report says first, of runs that ended in every way."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runbook.errors import RunFolderError
from runbook.report.text_view import as_text
from runbook.report.view_model import read_view
from runbook.report.write import write_report
from tests.support.report_factory import (
    DRIFT,
    LOST,
    RUNS,
    RunFolder,
    interrupted,
    passed,
    refused_by_gate,
    verified,
)
from tests.support.report_page import page_of

# What the first screen must say of a run: its word, what is wrong, and the database's state.
FIRST = {
    "passed": ("PASS", "", ""),
    "refused": ("FAIL", "was changed in 2 rows", "everything was rolled back before the commit"),
    "blocked": ("BLOCKED", "3 projects belong to a user", "has written nothing"),
    "interrupted": ("UNKNOWN", "never recorded as finished", "before or wholly after"),
    "rolled_back": ("ROLLED BACK", "taken back on purpose", "5,000 rows restored"),
    "disagreeing": ("FAIL", "witnesses disagree about", "the migration is committed"),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_first_screen_says_what_is_wrong_and_how_the_database_is(
    name: str, tmp_path: Path
) -> None:
    first = page_of(RUNS[name](tmp_path / "run")).first
    word, wrong, state = FIRST[name]
    assert f"organizations {word} " in first
    for fact in ("app.db", "Ada Lovelace", "OPS-1742", "Duration", "Write lock held"):
        assert fact in first
    if name == "passed":
        assert "What is wrong" not in first
        assert first.count(": proven") == 3
        assert "0.20 s" in first
    else:
        # In this order: what is wrong comes before everything that is merely told.
        title = "What happened" if name == "rolled_back" else "What is wrong"
        order = [title, wrong, "State of the database", state, "Ticket"]
        begin = first.index(title)  # the sentence above may say the same
        places = [first.index(text, begin) for text in order]
        assert places == sorted(places)
        assert first.count(": proven") < 3 or name == "rolled_back"


@pytest.mark.parametrize("name", RUNS)
def test_three_views_of_one_result(name: str, tmp_path: Path) -> None:
    folder = RUNS[name](tmp_path / "run")
    record = write_report(folder)
    audit = json.loads((folder / "audit.json").read_text())
    junit = ElementTree.parse(folder / "junit.xml").getroot()
    verdict = "pass" if name == "passed" else "fail"
    assert record.verdict == audit["verdict"] == verdict
    assert (junit.get("failures") == "0") == (verdict == "pass")
    assert audit["outcome"]["word"] in page_of(folder).first
    assert audit["outcome"]["word"] in as_text(read_view(folder))
    assert (folder / "report.html").stat().st_size == record.bytes
    modes = {
        (folder / f).stat().st_mode & 0o077 for f in ("audit.json", "junit.xml", "report.html")
    }
    assert modes == {0}, "others may read the report"


def test_audit_has_the_keys_that_programs_rely_on(tmp_path: Path) -> None:
    folder = passed(tmp_path / "run")
    write_report(folder)
    audit = json.loads((folder / "audit.json").read_text())
    keys = {"verdict", "invariants", "footprint", "findings", "hazards"}
    assert keys | {"checklist", "steps", "versions"} <= set(audit)
    for invariant in audit["invariants"]:
        assert invariant["holds"] is True
        assert invariant["violations"] == {"sqlite": 0, "duckdb": 0, "pandas": 0}
    line = next(line for line in audit["footprint"] if line["column"] == "updated_at")
    expected = {"table": "projects", "change": "changed", "rows": 5000, "allowed": True}
    assert expected.items() <= line.items()
    assert len(audit["checklist"]) == 8


def test_offending_rows_stand_side_by_side(tmp_path: Path) -> None:
    page = page_of(refused_by_gate(tmp_path / "run"), show_values=True)
    assert "id='u-00017' email 'grace@example.org' 'grace.hopper@example.org'" in page.text
    # 31 rows were lost, ten are shown.
    assert "21 more rows, not shown here." in page.text


def test_an_agreement_is_not_taken_on_trust(tmp_path: Path) -> None:
    """A record that says pass while its own counts contradict each other is not believed."""
    run = RunFolder(tmp_path / "run")
    run.preflight()
    run.rehearse()
    run.snapshot()
    run.migrate()
    lines = list(verified().footprint)
    lines[5] = dataclasses.replace(lines[5], counts={**lines[5].counts, "pandas": 1})
    run.verify(footprint=tuple(lines))
    assert verified().verdict == "pass"
    outcome = read_view(run.folder).outcome
    assert outcome.verdict == "fail"
    assert "contradict" in outcome.wrong


def test_a_silent_witness_proves_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.preflight()
    run.snapshot()
    run.migrate()
    record = verified()

    def without(seen: dict[str, int]) -> dict[str, int]:
        return {who: rows for who, rows in seen.items() if who != "duckdb"}

    run.verify(
        footprint=tuple(
            dataclasses.replace(f, counts=without(dict(f.counts))) for f in record.footprint
        ),
        invariants=tuple(
            dataclasses.replace(i, violations=without(dict(i.violations)))
            for i in record.invariants
        ),
    )
    view = read_view(run.folder)
    assert view.outcome.verdict == "fail"
    assert "DuckDB returned no result" in view.proofs[2].sentence


@pytest.mark.parametrize("status", ["started", "proven"])
def test_killed_in_the_middle(status: str, tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "run", status)
    view = read_view(folder)
    assert view.outcome.code == "unknown"
    assert (
        view.outcome.command
        == f"runbook run --database /srv/app/app.db --run-dir {tmp_path / 'run'}"
    )
    assert "runbook_ledger" in page_of(folder).first


@pytest.mark.parametrize(
    ("stage", "code"), [("04_migrate", "unknown"), ("03_snapshot", "not proven")]
)
def test_a_record_that_is_gone_is_not_a_stage_that_never_ran(
    stage: str, code: str, tmp_path: Path
) -> None:
    folder = passed(tmp_path / "run")
    name = stage.partition("_")[2]
    log = [json.dumps({"stage": name, "event": "started"}), '{"stage": "mig', "null", "[]"]
    (folder / "log.jsonl").write_text("\n".join(log))
    assert read_view(folder).outcome.code == "proven"
    (folder / "stages" / f"{stage}.json").unlink()
    view = read_view(folder)
    assert view.outcome.code == code
    assert view.contents.damage == (f"stages/{stage}.json is missing, and the stage was begun",)


def test_without_its_backup_a_run_is_not_called_reversible(tmp_path: Path) -> None:
    folder = passed(tmp_path / "run")
    assert "Reversible" in page_of(folder).first
    with (folder / "backup" / "backup.db").open("ab") as backup:
        backup.write(b"more")
    gone = "backup/backup.db has 1,356,804 bytes, and was made with 1,356,800"
    assert f"Not reversible: {gone}." in page_of(folder).first
    (folder / "backup" / "backup.db").unlink()
    assert "Not reversible: backup/backup.db is missing." in page_of(folder).first
    line = read_view(folder).checklist[0]
    assert line.state == "failed"
    assert line.details[-1].startswith("backup/backup.db is missing: put it back")
    assert read_view(folder).outcome.verdict == "pass"


@pytest.mark.parametrize("stage", ["01_preflight", "03_snapshot", "04_migrate", "05_verify"])
def test_a_damaged_record_is_told_and_never_passes(stage: str, tmp_path: Path) -> None:
    folder = passed(tmp_path / "run")
    assert read_view(folder).outcome.verdict == "pass"
    path = folder / "stages" / f"{stage}.json"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    page = page_of(folder)
    assert read_view(folder).outcome.verdict == "fail"
    assert "Damaged records" in page.text
    assert f"{stage}.json is damaged" in page.text
    assert "State of the database" in page.first
    if stage == "04_migrate":
        assert read_view(folder).outcome.code == "unknown"


@pytest.mark.parametrize("stage", ["03_snapshot", "05_verify"])
def test_a_missing_record_never_passes(stage: str, tmp_path: Path) -> None:
    folder = passed(tmp_path / "run")
    (folder / "stages" / f"{stage}.json").unlink()
    assert read_view(folder).outcome.verdict == "fail"


def test_without_a_run_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_findings_are_counted_everywhere(tmp_path: Path) -> None:
    folder = refused_by_gate(tmp_path / "run")
    write_report(folder)
    audit = json.loads((folder / "audit.json").read_text())
    suite = ElementTree.parse(folder / "junit.xml").find("testsuite[@name='findings']")
    assert [f["rows"] for f in audit["findings"]] == [DRIFT.rows, LOST.rows]
    assert suite is not None
    assert suite.get("failures") == "2"
    assert page_of(folder).source.count('<article class="finding">') == 2


@pytest.mark.parametrize("stage", ["rehearse", "migrate"])
@pytest.mark.parametrize(
    ("kind", "ending", "next_step"),
    [
        ("Interrupted", "was interrupted", "Run again; the run continues where it stopped."),
        ("TargetError", "did not succeed", ""),
    ],
)
def test_an_interruption_is_no_failure(
    stage: str, kind: str, ending: str, next_step: str, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    run.preflight()
    if stage == "migrate":
        run.snapshot()
    run.stage(stage, status="failed", error=(kind, "What it was, in one sentence.", 1))
    run.reporting()
    outcome = read_view(run.folder).outcome
    title = {"rehearse": "rehearsal", "migrate": "migration"}[stage]
    assert outcome.headline == f"Not migrated: the {title} {ending}."
    assert outcome.wrong == "What it was, in one sentence."
    if next_step:
        assert (outcome.code, outcome.next_step) == ("stopped", next_step)
    else:
        assert "cause" in outcome.next_step or "Correct" in outcome.next_step
