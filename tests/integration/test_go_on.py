"""The last cell of each notebook, the question before the database is changed, and who works."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook import notebook as nb
from runbook.cli import main
from runbook.errors import BadInput, NotAllowedNow, NotConfirmed, RunFolderError
from runbook.notebook import entry, stages
from runbook.report.write import write_report
from runbook.run.folder import Run
from runbook.run.records import MigrateRecord
from runbook.stages import preflight, rollback
from runbook.stages.open_run import open_run
from tests.support.databases import dump
from tests.support.prepared import Prepared
from tests.support.runs import agreed, begin, until_migrated, until_snapshot


@pytest.fixture
def run(prepared: Prepared) -> Run:
    """A run up to its snapshot."""

    def prepare(folder: Path) -> Run:
        from runbook.sample.make import make_sample

        make_sample(folder / "sample.db", users=5, projects=9)
        return until_snapshot(begin(folder / "sample.db", folder / "run"))

    return prepared.take("a run of sample.db up to its snapshot", prepare)


def answers(monkeypatch: pytest.MonkeyPatch, text: str | BaseException) -> list[str]:
    """A person is there, who answers so; the lines that stood before the question."""
    lines: list[str] = []

    def answer(question: str) -> str:
        lines.append(question)
        if isinstance(text, BaseException):
            raise text
        return text

    monkeypatch.setattr(stages, "has_person", lambda: True)
    monkeypatch.setattr(stages, "echo", lines.append)
    monkeypatch.setattr("builtins.input", answer)
    return lines


def test_a_stage_that_was_never_begun_is_said_to_be_so(sample: Path, tmp_path: Path) -> None:
    run = begin(sample, tmp_path / "run")
    for stage in ("preflight", "verify", "monitor"):
        with pytest.raises(
            NotAllowedNow, match=rf"^The stage {stage} was never begun in .*from the"
        ):
            nb.go_on(run, stage)


def test_after_a_rollback_no_notebook_leads_on(run: Run) -> None:
    until_migrated(run)
    rollback.rollback(run, agreed(run))
    for stage in ("preflight", "snapshot", "migrate"):
        text = nb.go_on(run, stage).data
        assert "The migration was taken back. Write the report again: [06_report]" in text
        assert "Next" not in text
    assert "taken back. Write" not in nb.go_on(run, "rollback").data


def test_the_name_is_asked_for_whatever_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebooks once came with the sample's name, and took a wrong one for not given."""
    assert run.info.identity.name == "sample.db"
    lines = answers(monkeypatch, "sample.db ")
    before = dump(Path(run.info.database))
    with pytest.raises(NotConfirmed, match=r'"app\.db" was typed'):
        nb.migrate(run, confirm="app.db")
    assert lines == []
    assert dump(Path(run.info.database)) == before
    assert nb.migrate(run).committed
    hint, question = lines
    assert "interrupt the kernel" in hint
    assert "Type its name" in question


@pytest.mark.parametrize("way_out", [KeyboardInterrupt(), EOFError()])
def test_an_interrupted_question_leaves_everything_as_it_was(
    way_out: BaseException, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(Path(run.info.database))
    files = sorted(p.name for p in run.folder.rglob("*"))
    answers(monkeypatch, way_out)
    with pytest.raises((KeyboardInterrupt, NotConfirmed)):
        nb.migrate(run)
    assert dump(Path(run.info.database)) == before
    assert sorted(p.name for p in run.folder.rglob("*")) == files
    answers(monkeypatch, "sample.db")
    assert nb.migrate(run).committed


def test_without_a_person_an_empty_name_is_refused(run: Run) -> None:
    with pytest.raises(NotConfirmed, match="no terminal to ask on"):
        nb.migrate(run)


@pytest.mark.parametrize("value", [24, 24.0, "24", True, None, "soon"])
def test_a_time_to_watch_without_a_unit_is_a_sentence(run: Run, value: object) -> None:
    with pytest.raises(BadInput, match=r"duration|must be a string"):
        nb.monitor(run, watch_for=value)  # type: ignore[arg-type]


def test_who_does_a_stage_for_what_is_recorded(run: Run, tmp_path: Path) -> None:
    """A second person goes on with a run: neither name nor ticket is ignored."""
    first = run.info.operator
    second = open_run(run_dir=str(run.folder), operator="Bob", ticket="OPS-2")
    until_migrated(second)
    record = second.record("migrate")
    assert record is not None
    assert (record.operator, record.ticket, record.way) == ("Bob", "OPS-2", "")
    other = run.record("snapshot")
    assert other is not None
    assert (other.operator, other.ticket) == (first, "")
    assert Run.open(run.folder).info.operator == first  # who began it stays so
    write_report(run.folder)
    timeline = json.loads((run.folder / "audit.json").read_text())["timeline"]
    executed = {stage["name"]: stage["executed"] for stage in timeline}
    assert executed["migrate"] == "not as a notebook, by Bob, ticket OPS-2"
    assert executed["snapshot"] == "not as a notebook"
    assert "by Bob, ticket OPS-2" in (run.folder / "report.html").read_text()
    table = nb.tables.run(second).set_index("what")["value"]
    assert table["operator"] == f"Bob (begun by {first})"
    assert table["ticket"] == "OPS-2"


def test_whoever_agrees_is_who_is_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "sample.db")
    bob = open_run(run_dir=str(run.folder), operator="Bob")
    nb.migrate(bob)
    confirmation = bob.result("migrate", MigrateRecord).confirmation
    assert confirmation is not None
    assert confirmation.by == "Bob"


def test_the_next_notebooks_go_on_with_the_latest_run(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entry, "_BEGUN", {})
    with pytest.raises(RunFolderError, match=r"\(in runs\); begin one with 01_preflight"):
        nb.resume()
    shown: list[object] = []
    monkeypatch.setattr(entry, "show", shown.append)
    run = nb.begin("sample.db", operator="Ann")
    preflight.preflight(run)
    resumed = nb.resume(operator="Bob")
    assert resumed.folder.resolve() == run.folder.resolve()
    about = shown[0].set_index("what")["value"]  # type: ignore[attr-defined]
    assert about["run folder"] == f"runs/{run.folder.name}"
    assert about["chosen as"] == "the only run in runs; run_dir names another"
    assert about["database"] == "sample.db"
    assert about["plan"] == "the specification's schema"
    assert about["operator"] == "Bob (begun by Ann)"
    assert about["state"].endswith("Allowed now: rehearse, snapshot, report.")
    named = nb.resume(str(run.folder))
    assert named.session.operator == "Ann"
    assert "chosen as" not in set(shown[1]["what"])  # type: ignore[index]


def test_a_run_of_the_command_is_gone_on_with_in_the_notebooks(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And `--operator` of a call on an existing run reaches the record of its stages."""
    from runbook.headless import run_stages
    from tests.support.direct_cli import direct

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_stages, "notebooks", direct)
    call = ["run", "--database", "sample.db", "--until", "preflight", "--operator", "Ann"]
    assert CliRunner().invoke(main, call).exit_code == 0
    run = nb.resume()
    more = ["run", "--run-dir", str(run.folder), "--until", "snapshot", "--operator", "Bob"]
    assert CliRunner().invoke(main, [*more, "--ticket", "T-2"]).exit_code == 0
    by = {}
    for stage in ("preflight", "snapshot"):
        record = run.record(stage)
        assert record is not None
        by[stage] = (record.operator, record.ticket)
    assert by == {"preflight": ("Ann", ""), "snapshot": ("Bob", "T-2")}
    with contextlib.chdir(tmp_path / "runs"), pytest.raises(RunFolderError):
        nb.resume()
