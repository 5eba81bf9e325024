"""Personal data stays out of all three views unless it is asked for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from runbook.files import read_sealed, write_sealed
from runbook.plan.plan import Command, Health, Maintenance, Plan, Window
from runbook.report import masking
from runbook.report.masking import EMAIL_MASK, mask_emails, mask_finding, mask_value
from runbook.report.write import write_report
from runbook.run.findings import Sample
from runbook.run.json_form import to_json
from tests.support.report_factory import DRIFT, LOST, NO_EMAIL, RunFolder, migrated

NAMES = ("Grace Hopper", "grace.hopper@example.org", "alan@example.org", "eve@example.org")


def personal(folder: Path) -> Path:
    """A refused run with names and e-mails in findings, messages, keys and hazards."""
    run = RunFolder(folder)
    run.preflight(dataclasses.replace(NO_EMAIL, samples=("u-7 (eve@example.org)",)))
    run.snapshot()
    keyed = dataclasses.replace(
        DRIFT,
        message=DRIFT.message + " (grace.hopper@example.org)",
        samples=(*DRIFT.samples, Sample("email='eve@example.org'", "plan", "'a'", "'b'")),
    )
    record = dataclasses.replace(migrated(), committed=False, findings=(keyed, LOST), ledger=None)
    run.stage(
        "migrate", record, status="failed", error=("NotProven", f"Failed: {keyed.message}", 1)
    )
    return folder


def views(folder: Path, *, show_values: bool) -> dict[str, str]:
    write_report(folder, show_values=show_values)
    return {
        name: (folder / name).read_text(encoding="utf-8")
        for name in ("report.html", "audit.json", "junit.xml")
    }


def test_masked_by_default(tmp_path: Path) -> None:
    folder = personal(tmp_path / "run")
    for name, text in views(folder, show_values=False).items():
        for value in NAMES:
            assert value not in text, name
        assert EMAIL_MASK in text, name
        # What helps to find the row, and who acted, is no secret.
        assert "u-00017" in text, name
    page = (folder / "report.html").read_text()
    assert "Ada Lovelace" in page
    assert "(text, 24 characters)" in page
    assert "hits=3" in page


def test_shown_to_those_who_ask(tmp_path: Path) -> None:
    folder = personal(tmp_path / "run")
    for name, text in views(folder, show_values=True).items():
        for value in NAMES:
            assert value in text, name
    assert json.loads((folder / "audit.json").read_text())["run"]["values_shown"] is True
    assert "because whoever made this report asked for it" in (folder / "report.html").read_text()


def test_without_the_mask_the_first_test_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "_mask_text", str)
    assert "eve@example.org" in views(personal(tmp_path / "run"), show_values=False)["report.html"]


@pytest.mark.parametrize("show_values", [False, True])
def test_secrets_of_the_plan_are_never_shown(show_values: bool, tmp_path: Path) -> None:
    """Commands and addresses of the maintenance window, and options of the run."""
    folder = personal(tmp_path / "run")
    info = read_sealed(folder / "run.json")
    window = Window(
        maintenance_on=Command(("curl", "-H", "Authorization: Bearer s3cr3t")),
        deploy=Command(shell="deploy --token s3cr3t", timeout=7),
        maintenance=Maintenance("https://app.example/?key=s3cr3t", text="s3cr3t"),
        health=Health("https://me:s3cr3t@app.example/"),
    )
    info["plan"] = to_json(dataclasses.replace(Plan(), window=window))
    info["options"] = {"token": "s3cr3t"}
    write_sealed(folder / "run.json", info)
    for name, text in views(folder, show_values=show_values).items():
        assert "s3cr3t" not in text, name
    shown = json.loads((folder / "audit.json").read_text())["provenance"]["plan"]["window"]
    assert shown["deploy"]["timeout"] == 7
    assert shown["smoke"] is None


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("'Grace'", "••• (text, 5 characters)"),
        ("'O''Hara'", "••• (text, 6 characters)"),
        ("x'00ff'", "••• (blob, 2 bytes)"),
        ("'long'... (4000 characters)", "••• (text, 4,000 characters)"),
        ("42", "42"),
        ("-1.5e3", "-1.5e3"),
        ("NULL", "NULL"),
        ("Grace", "••• (5 characters)"),
    ],
)
def test_values(value: str, masked: str) -> None:
    assert mask_value(value) == masked


def test_columns_of_the_migration_stay_readable() -> None:
    sample = Sample("id='p-1'", "organization_id", "NULL", "'org-7'")
    finding = dataclasses.replace(DRIFT, table="projects", samples=(sample,))
    assert mask_finding(finding, Plan()).samples == (sample,)
    other = dataclasses.replace(finding, samples=(dataclasses.replace(sample, column="note"),))
    assert mask_finding(other, Plan()).samples[0].after == "••• (text, 5 characters)"


def test_two_different_values_of_one_length_do_not_look_equal() -> None:
    finding = dataclasses.replace(DRIFT, samples=(Sample("id=1", "name", "'Ann'", "'Bob'"),))
    sample = mask_finding(finding, None).samples[0]
    assert sample.before != sample.after


def test_e_mails_in_any_text() -> None:
    assert mask_emails("<ann@example.org>, 'bob@x'") == f"<{EMAIL_MASK}>, '{EMAIL_MASK}'"
    assert mask_emails("Nothing at all @ noon") == "Nothing at all @ noon"
