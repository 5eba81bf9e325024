"""What the operator may get wrong: one clear sentence, the right exit code, an untouched file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runbook.cli import main
from runbook.errors import RunFolderError
from tests.support.databases import execute


def runbook(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def fingerprint(path: Path) -> tuple[str, int]:
    return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns


def says_one_sentence(result: Result, exit_code: int, words: str) -> None:
    assert result.exit_code == exit_code, result.output
    message = result.output.strip()
    assert words in message
    assert message.endswith((".", "?"))
    assert "Traceback" not in message
    assert len(message.splitlines()) <= 2


def truncated(sample: Path) -> Path:
    sample.write_bytes(sample.read_bytes()[:-5000])
    return sample


def encrypted(sample: Path) -> Path:
    # What an encrypted database looks like from outside: noise from the first byte on.
    sample.write_bytes(bytes(b ^ 0x5A ^ (i % 251) for i, b in enumerate(sample.read_bytes())))
    return sample


def empty(sample: Path) -> Path:
    sample.write_bytes(b"")
    return sample


def text(sample: Path) -> Path:
    sample.write_text("These are minutes of a meeting, not a database.\n" * 40)
    return sample


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(truncated, "truncated"), (encrypted, "not a"), (empty, "empty"), (text, "not a")],
)
def test_files_that_are_no_database(
    sample: Path, tmp_path: Path, spoil: Callable[[Path], Path], words: str
) -> None:
    path = spoil(sample)
    before = fingerprint(path)
    result = runbook("run", "--database", path, "--run-dir", tmp_path / "run", "--yes")
    says_one_sentence(result, 2, words)
    assert fingerprint(path) == before
    assert not (tmp_path / "run").exists()


def test_places_where_no_database_is(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    says_one_sentence(runbook("run", "--database", tmp_path / "no.db"), 2, "no.db")
    says_one_sentence(runbook("run", "--database", tmp_path, "--run-dir", run_dir), 2, "folder")
    says_one_sentence(runbook("run", "--run-dir", run_dir), 2, "--database")
    says_one_sentence(runbook("status", "--run-dir", run_dir), 2, "run folder")


def test_plans_that_cannot_be_meant(sample: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("[resource]\ntable = 'x'\n")
    before = fingerprint(sample)
    result = runbook("run", "--database", sample, "--plan", plan, "--run-dir", tmp_path / "run")
    says_one_sentence(result, 2, 'did you mean "resources"')
    assert fingerprint(sample) == before


def test_a_run_folder_of_another_database(sample: Path, tmp_path: Path) -> None:
    from tests.support.runs import begin

    begin(sample, tmp_path / "run")
    other = tmp_path / "other.db"
    execute(other, "CREATE TABLE users (id TEXT PRIMARY KEY)")
    result = runbook("run", "--database", other, "--run-dir", tmp_path / "run", "--yes")
    says_one_sentence(result, 2, "belongs to the database")


def test_a_folder_that_is_no_run_folder(sample: Path, tmp_path: Path) -> None:
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "letter.txt").write_text("dear")
    result = runbook("run", "--database", sample, "--run-dir", occupied, "--yes")
    says_one_sentence(result, 2, "letter.txt")


def test_another_plan_than_the_run_knows(sample: Path, tmp_path: Path) -> None:
    from tests.support.runs import begin

    begin(sample, tmp_path / "run")
    plan = tmp_path / "plan.toml"
    plan.write_text('[organizations]\nfor = "all_users"\n')
    result = runbook("run", "--plan", plan, "--run-dir", tmp_path / "run", "--yes")
    says_one_sentence(result, 2, "another plan")


@pytest.mark.parametrize(("collation", "same"), [("NOCASE", True), ("BINARY", False)])
def test_an_adopter_in_another_case(tmp_path: Path, collation: str, same: bool) -> None:
    """Letters that only name tables and columns do not count; those of a user's key may."""
    from tests.support.runs import begin

    database, plan = tmp_path / "app.db", tmp_path / "plan.toml"
    execute(
        database,
        f"CREATE TABLE users (id TEXT PRIMARY KEY COLLATE {collation}, email TEXT)",
        "CREATE TABLE projects (id INTEGER PRIMARY KEY, owner_id TEXT, updated_at TEXT)",
        "INSERT INTO users VALUES ('Ann', 'ann@example.org')",
        "INSERT INTO users VALUES ('bob', 'bob@example.org')",
    )
    text = '[users]\ntable = "USERS"\nkey = "ID"\n[unowned]\npolicy = "adopt"\nadopter = "ANN"\n'
    text += '[[resources]]\ntable = "projects"\nowner = "owner_id"\n'
    plan.write_text(text)
    run = begin(database, tmp_path / "run", plan)
    assert run.info.plan.unowned.adopter == ("Ann" if same else "ANN")
    begin(database, tmp_path / "run", plan)
    plan.write_text(text.replace("USERS", "Users").replace("owner_id", "Owner_Id"))
    begin(database, tmp_path / "run", plan)
    plan.write_text(text.replace('"ANN"', '"ann"'))
    if same:
        begin(database, tmp_path / "run", plan)
    else:
        with pytest.raises(RunFolderError, match="another plan"):
            begin(database, tmp_path / "run", plan)


def test_an_unknown_stage(sample: Path, tmp_path: Path) -> None:
    result = runbook("run", "--database", sample, "--run-dir", tmp_path / "run", "--until", "verfy")
    assert result.exit_code == 2
    assert "verify" in result.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_places(sample: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    result = runbook("run", "--database", sample, "--run-dir", closed / "run", "--yes")
    says_one_sentence(result, 2, "cannot be written")
    sample.chmod(0o400)
    before = fingerprint(sample)
    result = runbook("run", "--database", sample, "--run-dir", tmp_path / "run", "--yes")
    assert result.exit_code in (1, 2)
    assert fingerprint(sample) == before
