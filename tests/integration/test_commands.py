"""The commands as a new user tries them: what they say, what they refuse, what they leave."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runbook.cli import main
from runbook.headless import run_stages
from runbook.report.checklist import checklist
from runbook.report.contents import read_contents
from runbook.run.folder import Run
from runbook.run.records import RollbackRecord
from runbook.script.migration import Script
from runbook.window.store import read_ticks
from tests.support.databases import execute
from tests.support.direct_cli import direct
from tests.support.runs import begin, until_migrated


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


# -- render -----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["sqlite", "d1"])
def test_what_render_assumed_is_said_in_the_file_and_beside_it(target: str) -> None:
    printed = typed("render", "--target", target)
    for text in (printed.stdout.splitlines()[0], printed.stderr):
        assert (
            'Assumed, because no database was read: "users"."id" is TEXT; text is UTF-8; ' in text
        )
        assert '"projects"."updated_at" is written as YYYY-MM-DD HH:MM:SS' in text
    assert "--database" in printed.stderr


def test_with_a_database_render_assumes_nothing(sample: Path) -> None:
    printed = typed("render", "--database", sample)
    assert printed.stderr == ""
    assert "Assumed" not in printed.stdout


def test_files_for_wrangler_say_it_each(tmp_path: Path) -> None:
    assert typed("render", "--target", "d1", "--out", tmp_path / "m").exit_code == 0
    files = [p for p in (tmp_path / "m").rglob("*") if p.is_file()]
    assert len(files) == 3
    for path in files:
        assert path.read_text().startswith("-- Assumed, because no database was read"), path


def test_a_name_cannot_leave_the_comment_that_it_stands_in(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[users]\ntable = "u\\nDROP TABLE x;"\nkey = "id"\n')
    printed = typed("render", "--plan", plan)
    assert printed.stdout.splitlines()[0].startswith("-- Assumed")
    assert "\nDROP TABLE x;" not in printed.stdout.partition("BEGIN IMMEDIATE")[0]


def test_what_cannot_be_assumed_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[triggers]\npolicy = "suspend"\n')
    printed = typed("render", "--plan", plan)
    assert printed.exit_code == 2
    assert printed.stdout == ""
    assert "--database" in printed.stderr


# -- run and maintenance ----------------------------------------------------------------------


def test_a_wrong_stage_is_refused_before_a_folder_is_made(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (["--run-dir", tmp_path / "run"], []):
        refused = typed("run", "--database", sample, *folder, "--until", "reherse")
        assert refused.exit_code == 2
        assert '(did you mean "rehearse"?)' in refused.output
    assert {p.name for p in tmp_path.iterdir()} == {"sample.db"}


@pytest.mark.parametrize("mode", ["on", "off"])
def test_without_configuration_maintenance_is_bad_usage(
    sample: Path, tmp_path: Path, mode: str
) -> None:
    run = begin(sample, tmp_path / "run")
    refused = typed("maintenance", mode, "--run-dir", run.folder)
    assert refused.exit_code == 2
    line = "2" if mode == "on" else "7"
    assert f"tick {line} --run-dir {run.folder} --by tester" in refused.output
    assert not (run.folder / "window").exists()


def test_a_second_tick_adds(sample: Path, tmp_path: Path) -> None:
    run = begin(sample, tmp_path / "run")
    for by, note in (("Ann", "shut"), ("Ben", "really"), ("Ann", "still")):
        assert (
            typed("tick", "2", "--run-dir", run.folder, "--by", by, "--note", note).exit_code == 0
        )
    assert [(t.by, t.note) for t in read_ticks(run.folder)] == [
        ("Ann", "shut"),
        ("Ben", "really"),
        ("Ann", "still"),
    ]
    details = checklist(read_contents(run.folder))[1].details
    assert [d.partition(", ")[0] for d in details] == [
        "Not configured; ticked by Ann",
        "Not configured; ticked by Ben",
        "Not configured; ticked by Ann",
    ]


# -- help -------------------------------------------------------------------------------------


def test_help_shows_defaults_choices_and_completion() -> None:
    assert "[default: 24h]" in typed("monitor", "--help").output
    run = typed("run", "--help").output
    assert "preflight|rehearse|snapshot|migrate|verify|report" in run
    assert "[stop|rollback]" in run
    assert '""' not in run
    for shell in ("bash", "zsh", "fish"):
        assert f"_RUNBOOK_COMPLETE={shell}_source runbook" in typed("--help").output


def test_the_line_for_completion_works(monkeypatch: pytest.MonkeyPatch) -> None:
    completed = CliRunner().invoke(
        main,
        prog_name="runbook",
        env={
            "_RUNBOOK_COMPLETE": "bash_complete",
            "COMP_WORDS": "runbook rol",
            "COMP_CWORD": "1",
        },
    )
    assert completed.output.strip() == "plain,rollback"


# -- the way back -----------------------------------------------------------------------------


def test_who_takes_it_back_and_why_is_recorded(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_stages, "notebooks", direct)
    run = until_migrated(begin(sample, tmp_path / "run"))
    words = ["rollback", "--run-dir", run.folder, "--yes", "--operator", "Ben"]
    ended = typed(*words, "--reason", "the new code is slow")
    assert ended.exit_code == 0, ended.output
    confirmation = Run.open(run.folder).result("rollback", RollbackRecord).confirmation
    assert confirmation is not None
    assert (confirmation.by, confirmation.reason) == ("Ben", "the new code is slow")
    audit = json.loads((run.folder / "audit.json").read_text())
    assert audit["rollback"]["confirmation"]["reason"] == "the new code is slow"
    text = (run.folder / "sql" / "rollback.sql").read_text()
    assert "It cannot run by itself" in text
    assert "sqlite3 -bail" not in text
    assert "sqlite3 -bail" in (run.folder / "sql" / "migrate.sql").read_text()


def test_at_a_terminal_the_reason_is_asked_for(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_stages, "notebooks", direct)
    run = until_migrated(begin(sample, tmp_path / "run"))
    questions = []

    def ask(text: str) -> str:
        questions.append(text)
        return "sample.db" if "Type its name" in text else "it was a mistake"

    monkeypatch.setattr("runbook.cli.stages.asker", lambda: ask)
    assert typed("rollback", "--run-dir", run.folder).exit_code == 0
    assert questions[0] == "Why is it taken back? "
    confirmation = Run.open(run.folder).result("rollback", RollbackRecord).confirmation
    assert confirmation is not None
    assert (confirmation.by, confirmation.reason) == ("tester", "it was a mistake")


def test_a_script_that_needs_a_backup_does_not_say_that_it_runs_alone() -> None:
    assert "sqlite3 -bail" in Script("m", "r", "c", ()).text
    assert "sqlite3 -bail" not in Script("m", "r", "c", (), alone=False).text


def test_a_remedy_of_several_statements_can_be_copied_and_is_not_in_the_sentence(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_stages, "notebooks", direct)
    execute(sample, "ALTER TABLE projects ADD COLUMN organization_id TEXT")
    ended = typed("run", "--database", sample, "--run-dir", tmp_path / "run", "--yes")
    assert ended.exit_code == 1
    script = '\nBEGIN IMMEDIATE;\nALTER TABLE "projects" DROP COLUMN organization_id;\nCOMMIT;\n'
    assert f"Remedy:{script}" in ended.stdout
    sentence = ended.stderr.strip()
    assert "\n" not in sentence
    assert sentence.endswith("; its remedy stands beside it, and in the report.")
    sqlite3.connect(sample).executescript(script).close()
    assert typed("run", "--run-dir", tmp_path / "run", "--yes").exit_code == 0
