"""The published JSON Schemas are those of the code, and every field in them is described."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.files import write_sealed
from runbook.report.write import write_report
from tests.support import report_factory, schemas
from tests.support.outputs import PROBLEMS
from tests.support.report_factory import passed


@pytest.mark.parametrize("name", ["audit-1", "run-1", "stage-1", "status-1"])
def test_the_published_schema_is_that_of_the_code(name: str) -> None:
    """python -m tests.support.schemas writes it anew."""
    schema = schemas.schemas()[name]
    jsonschema.Draft7Validator.check_schema(schema)
    assert schemas.path_of(name).read_text(encoding="utf-8") == schemas.rendered(schema)


def test_nothing_is_described_that_is_not_there() -> None:
    assert schemas.unused_fields() == set()


def test_a_field_without_a_description_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass(frozen=True)
    class RunJson(schemas.RunJson):
        brand_new: int = 0

    monkeypatch.setitem(schemas.AuditJson.__annotations__, "run", RunJson)
    with pytest.raises(schemas.Undocumented, match=r"RunJson\.brand_new"):
        schemas.schemas()


def test_an_output_that_does_not_follow_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = passed(tmp_path / "run")
    monkeypatch.setattr("runbook.report.audit_json._header", lambda header: {"surprise": 1})
    write_report(run)
    assert any("audit-1: " in problem for problem in PROBLEMS)
    PROBLEMS.clear()


def test_what_status_prints_follows_its_schema(tmp_path: Path) -> None:
    run = passed(tmp_path / "run")
    printed = CliRunner().invoke(main, ["status", "--run-dir", str(run), "--json"])
    assert list(schemas.problems_of("status-1", json.loads(printed.output))) == []
    assert json.loads(printed.output)["outcome"]["verdict"] == "pass"


@pytest.mark.parametrize("make", [passed, report_factory.blocked, report_factory.rolled_back])
def test_the_records_that_tests_make_are_those_of_a_run(make: object, tmp_path: Path) -> None:
    from tests.support.outputs import check_folder

    run = make(tmp_path / "run")  # type: ignore[operator]
    write_report(run)
    check_folder(run)
    data = json.loads((run / "run.json").read_text())
    data.pop("sha256")
    write_sealed(run / "run.json", {**data, "surprise": 1})
    with pytest.raises(AssertionError, match=r"run\.json: run-1"):
        check_folder(run)
