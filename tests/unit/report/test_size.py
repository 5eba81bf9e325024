"""A report stays small whatever the database holds, and says what it leaves out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runbook.report import bounds
from runbook.report import html as html_module
from runbook.report.html import MOST_BYTES
from runbook.report.view_model import read_view
from runbook.report.write import write_report
from runbook.run.findings import Finding, Hazard, Sample, TableDigest, words_sample
from runbook.script.footprint import FootprintLine
from runbook.sqlite.fields import Field
from tests.support.report_factory import RunFolder, digest, migrated, verified
from tests.support.report_page import Page

MANY = 400


def huge(folder: Path, value: str = "<&\"'>" * 400) -> Path:
    """A failed run with hundreds of tables, findings and hazards, each full of long values."""
    run = RunFolder(folder)
    samples = (words_sample(value),) * 10
    run.preflight(
        *(
            Hazard(f"code_{n}", "warn", value, f"table_{n}", 10**6, samples, value, value)
            for n in range(MANY)
        )
    )
    run.rehearse()
    tables = [f"table_{n} {value}" for n in range(MANY)]
    run.snapshot()
    findings = tuple(
        Finding(
            "gate",
            table,
            value,
            "changed",
            5_000_000,
            value,
            tuple(
                Sample(
                    (Field("id", "text", f"{n}{value}", 2_000),),
                    value,
                    (Field(value, "text", value, 2_000),),
                    (Field(value, "text", f"{value}!", 2_001),),
                )
                for n in range(10)
            ),
        )
        for table in tables
    )
    lines = tuple(FootprintLine(t, "changed", value, value, 9, counts={"gate": 9}) for t in tables)
    run.migrate(findings=findings, footprint=lines)
    digests = tuple(TableDigest(t, 10**9, digest(t), digest(t), digest(t)) for t in tables)
    rows = dict.fromkeys(tables, 10**9)
    run.verify(verdict="fail", digests=digests, rows_before=rows, rows_after=rows)
    for number in range(30):
        (folder / "sql" / f"big_{number}.sql").write_text("SELECT '<&>';\n" * 20_000)
    return folder


@pytest.fixture(scope="module")
def huge_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a run; reports written into it are replaced by the next."""
    return huge(tmp_path_factory.mktemp("huge") / "run")


def test_under_a_megabyte_and_nothing_left_out_silently(huge_run: Path) -> None:
    record = write_report(huge_run)
    assert 100_000 < record.bytes < MOST_BYTES
    page = Page((huge_run / "report.html").read_text())
    findings = page.source.count('<article class="finding">')
    hazards = page.source.count('<article class="hazard')
    for left in (
        f"{MANY - findings} more problems",
        f"{MANY - hazards} more hazards",
        " more rows, not shown here; audit.json shows up to 10.",
        " and 999,99",
        "more tables",
        "more lines",
        "more files",
        "more characters",
    ):
        assert left in page.text, left
    assert "(2,000 characters)" in page.text


def test_the_files_for_machines_are_bounded_and_count_what_they_leave_out(
    huge_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = huge_run
    monkeypatch.setattr(bounds, "MOST", MANY - 7)
    monkeypatch.setattr(bounds, "SAMPLES", 500_000)
    write_report(folder)
    text = (folder / "audit.json").read_text()
    audit = json.loads(text)
    assert audit["left_out"] == {"findings": 7, "hazards": 7}
    for what in ("findings", "hazards"):
        assert len(audit[what]) == MANY - 7
        assert all(len(f["samples"]) + f["samples_left_out"] == 10 for f in audit[what])
        assert audit[what][0]["samples_left_out"] == 0
        assert audit[what][-1]["samples_left_out"] == 10
    assert len(text) < 10_000_000
    suites = ElementTree.parse(folder / "junit.xml").getroot()
    assert (folder / "junit.xml").stat().st_size < 20_000_000  # escaped, `<` is four characters
    names = [case.get("name") for case in suites.iter("testcase")]
    assert "7 more findings" in names
    assert "and 10 more, left out" in "".join(suites.itertext())
    # Without the bounds, the same run has more than three times as much to tell.
    monkeypatch.setattr(bounds, "SAMPLES", 10**9)
    monkeypatch.setattr(bounds, "CHARACTERS", 10**9)
    write_report(folder)
    assert (folder / "audit.json").stat().st_size > 3 * len(text)


def test_the_bound_is_what_keeps_it_small(huge_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_module, "_LIMITS", html_module._LIMITS[:1])
    assert len(html_module.html(read_view(huge_run))) > MOST_BYTES


@pytest.mark.long
def test_the_widest_characters(tmp_path: Path) -> None:
    """Four bytes to a character, in every place."""
    assert write_report(huge(tmp_path / "run", "\U0001f600" * 500)).bytes < MOST_BYTES


def test_a_usual_report_shows_everything(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.preflight()
    run.rehearse()
    run.snapshot()
    run.migrate(**{f.name: getattr(migrated(), f.name) for f in dataclasses.fields(migrated())})
    run.verify(digests=verified().digests)
    page = Page(html_module.html(read_view(run.folder)).decode())
    assert "not shown here" not in page.text
    assert len(page.source) < 120_000
