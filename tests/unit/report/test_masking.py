"""Personal data stays out of all three views unless it is asked for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from runbook.files import read_sealed, write_sealed
from runbook.plan.plan import (
    Command,
    Health,
    Maintenance,
    Plan,
    Resource,
    Unowned,
    Users,
    Window,
)
from runbook.report import masking
from runbook.report.masking import (
    EMAIL_MASK,
    mask_emails,
    mask_finding,
    mask_hazard,
    mask_observation,
    mask_of,
    mask_plan,
)
from runbook.report.write import write_report
from runbook.run.findings import RenderedSample, Sample, render_sample, sample_line
from runbook.run.json_form import to_json
from runbook.run.window_records import Observation
from tests.support.report_factory import (
    DRIFT,
    LOST,
    NO_EMAIL,
    RunFolder,
    changed,
    field,
    migrated,
)

NAMES = ("Grace Hopper", "grace.hopper@example.org", "alan@example.org", "eve@example.org")


KEYED = Sample(
    (field("email", "eve@example.org"),), "plan", (field("plan", "a"),), (field("plan", "b"),)
)


def personal(folder: Path) -> Path:
    """A refused run with names and e-mails in findings, messages, keys and hazards."""
    run = RunFolder(folder)
    run.preflight(
        dataclasses.replace(
            NO_EMAIL, samples=(Sample((field("id", "u-7"), field("email", "eve@example.org"))),)
        )
    )
    run.snapshot()
    keyed = dataclasses.replace(
        DRIFT,
        message=DRIFT.message + " (grace.hopper@example.org)",
        samples=(*DRIFT.samples, KEYED),
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
    assert "as requested when this report was written" in (folder / "report.html").read_text()


def test_without_the_mask_the_first_test_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "_mask_text", str)
    monkeypatch.setattr(masking.Mask, "sample", lambda _, sample, **options: sample)
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


def shown(sample: Sample, plan: Plan | None = None) -> RenderedSample:
    """The sample as the views show it: masked first, then rendered."""
    return render_sample(mask_of(Plan() if plan is None else plan).sample(sample))


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("Grace", "••• (text, 5 characters)"),
        ("O'Hara", "••• (text, 6 characters)"),
        ("", "••• (text, 0 characters)"),
        (b"\x00\xff", "••• (blob, 2 bytes)"),
        (b"\x00", "••• (blob, 1 byte)"),
        ("x" * 4000, "••• (text, 4,000 characters)"),
        (42, "42"),
        (None, "NULL"),
    ],
)
def test_values(value: str | int | bytes | None, masked: str) -> None:
    assert shown(changed("1", "note", value, None)).before == masked


def test_columns_of_the_migration_stay_readable() -> None:
    sample = changed("p-1", "organization_id", None, "org-7")
    finding = dataclasses.replace(DRIFT, table="projects", samples=(sample,))
    assert mask_finding(finding, Plan()).samples == (sample,)
    assert shown(changed("p-1", "note", None, "org-7")).after == "••• (text, 5 characters)"


def test_invariants_select_keys_whatever_they_call_them() -> None:
    row = (field("owner", "u-1"), field("organization_owner", "eve@example.org"))
    violated = dataclasses.replace(DRIFT, samples=(Sample((), before=row),))
    hidden = "••• (text, 15 characters)"
    for change, owner in (("invariant x", "'u-1'"), ("changed", "••• (text, 3 characters)")):
        (sample,) = mask_finding(dataclasses.replace(violated, change=change), Plan()).samples
        assert render_sample(sample).before == f"owner={owner}, organization_owner={hidden}"


def test_two_different_values_of_one_length_do_not_look_equal() -> None:
    sample = shown(changed("1", "name", "Ann", "Bob"))
    assert sample.before == "••• (text, 3 characters)"
    assert sample.after == "••• (text, 3 characters; other content)"


HOSTILE = (
    '"grace hopper"@example.org',
    "grace@[1.2.3.4]",
    "grace hopper",
    "a='b', name='Grace', hits=3",
    "x'6a'... (9 characters)",
    "Grace', email='none",
    "Grace\nid=1, note=NULL",
    "••• (text, 5 characters)",
    "NULL",
    "42",
)


@pytest.mark.parametrize("value", HOSTILE)
def test_no_value_confuses_the_mask(value: str) -> None:
    """Quotes, commas, equal signs and line breaks in a value are its content and nothing else."""
    hidden = f"••• (text, {len(value)} characters)"
    row = (field("id", 7), field("email", value), field("note", value), field("hits", 3))
    sample = shown(Sample((field("id", 7),), before=row))
    assert sample.key == "id=7"
    assert sample.before == f"id=7, email={hidden}, note={hidden}, hits=3"
    assert shown(changed("7", "email", value, None)).before == hidden


@pytest.mark.parametrize("value", HOSTILE)
def test_what_does_not_look_like_an_e_mail_is_hidden_in_the_column_of_e_mails(value: str) -> None:
    """In a key as well, whichever table it is in; and where an e-mail is the users' key."""
    hidden = f"••• (text, {len(value)} characters)"
    assert shown(Sample((field("email", value),))).key == f"email={hidden}"
    plan = dataclasses.replace(
        Plan(), users=Users("people", "mail", "mail"), resources=(Resource("notes", "by"),)
    )
    row = (field("by", value), field("organization_id", f"org-{value}"), field("row", value))
    for each in shown(Sample(row, before=row), plan).before, shown(Sample(row), plan).key:
        assert each == (
            f"by={hidden}, organization_id=••• (text, {len(value) + 4} characters), row={hidden}"
        )
    assert shown(Sample((field("email", 5),))).key == "email=••• (integer)"


@pytest.mark.parametrize(
    "value", ["eve@example.org", '"e v e"@x.org', "eve@[1.2.3.4]", b"eve@example.org", "org-a@b"]
)
def test_an_address_is_hidden_even_in_a_key(value: str | bytes) -> None:
    for column in ("id", "organization_id", "owner_id"):
        sample = shown(Sample((field(column, value),), column, (field(column, value),)))
        assert "eve" not in f"{sample.key}{sample.before}".lower()
        assert b"eve".hex() not in f"{sample.key}{sample.before}"
        assert "•••" in sample.key
    assert shown(Sample((field("id", b"\x40\xff"),))).key == "id=x'40ff'"


def test_samples_of_hazards_and_of_the_monitoring_are_masked() -> None:
    sample = Sample((field("email", "grace"),), before=(field("users", 2), field("name", "Grace")))
    hazard = dataclasses.replace(NO_EMAIL, samples=(sample,), accepted_by="ada@example.org")
    masked = mask_hazard(hazard, Plan())
    line = "email=••• (text, 5 characters): users=2, name=••• (text, 5 characters)"
    assert [sample_line(s) for s in masked.samples] == [line]
    assert masked.accepted_by == "ada@example.org"
    look = Observation(at="2026-11-22T17:17:00", seconds=0.1, samples=(sample,))
    assert [sample_line(s) for s in mask_observation(look, Plan()).samples] == [line]


def test_e_mails_in_any_text() -> None:
    assert mask_emails("<ann@example.org>, 'bob@x'") == f"<{EMAIL_MASK}>, '{EMAIL_MASK}'"
    assert mask_emails("Nothing at all @ noon") == "Nothing at all @ noon"
    assert (
        mask_emails('to "e v e"@x.org and eve@[1.2.3.4].') == f"to {EMAIL_MASK} and {EMAIL_MASK}."
    )


@pytest.mark.parametrize(("adopter", "shown"), [("u-7", "u-7"), ("Grace Hopper", "•••")])
def test_the_adopter_is_shown_as_a_key_alone(adopter: str, shown: str) -> None:
    plan = dataclasses.replace(Plan(), unowned=Unowned("adopt", adopter))
    assert mask_plan(plan).unowned.adopter == shown
