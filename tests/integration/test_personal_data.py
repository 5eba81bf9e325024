"""E-mails and names of a real finding stay out of the executed notebooks and the report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runbook.report.write import write_report
from runbook.run.folder import Run
from tests.support.databases import execute
from tests.support.notebooks import NOTEBOOKS, environment
from tests.support.runs import begin, until_migrated, until_snapshot

EMAIL, NAME = "grace.hopper@example.org", "Rear Admiral Hopper"
PLANTED = (
    f"UPDATE users SET email = '{EMAIL}' WHERE rowid = 1",
    f"UPDATE projects SET name = '{NAME}' WHERE rowid = 2",
    f"INSERT INTO users (id, email) VALUES ('{EMAIL}', 'x{EMAIL}')",
    "UPDATE users SET email = '\"konrad zuse\"@example.org' WHERE rowid = 3",
    "UPDATE users SET email = 'zuse@[1.2.3.4]' WHERE rowid = 4",
    "UPDATE users SET email = 'Emmy Noether' WHERE rowid = 5",
    "UPDATE projects SET name = 'a=1, b=''x'', Lovelace=''' || char(10) || 'Byron' WHERE rowid = 4",
)
FRAGMENTS = ("konrad", "zuse", "1.2.3.4", "Noether", "Lovelace", "Byron")

pytestmark = pytest.mark.slow


def executed(run: Run, notebook: str, **parameters: str) -> str:
    """The notebook as Papermill leaves it, which must have stopped with an error."""
    out = run.folder.with_suffix(".ipynb")
    command = [sys.executable, "-m", "papermill", "-k", "python3", "--no-progress-bar"]
    command += [str(NOTEBOOKS / f"{notebook}.ipynb"), str(out)]
    for name, value in {"run_dir": str(run.folder), **parameters}.items():
        command += ["-p", name, value]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    return out.read_text()


def hidden(run: Run, name: str, notebook: str) -> None:
    """Neither the notebook nor one of the three reports shows what was planted."""
    write_report(run.folder)
    reports = ("report.html", "audit.json", "junit.xml")
    shown = {name: notebook} | {n: (run.folder / n).read_text() for n in reports}
    for where, text in shown.items():
        assert "(text, " in text, f"{where} does not show that there were values"
        assert EMAIL not in text, where
        assert NAME not in text, where
        assert not [part for part in FRAGMENTS if part in text], where


@pytest.mark.parametrize("show_values", [False, True])
def test_a_finding_of_the_proof(sample: Path, tmp_path: Path, show_values: bool) -> None:
    run = until_snapshot(begin(sample, tmp_path / "run"))
    execute(sample, *PLANTED)
    notebook = executed(run, "04_migrate", confirm="sample.db", show_values=str(show_values))
    assert "The proof failed" in notebook
    if show_values:
        assert not [part for part in (EMAIL, NAME, *FRAGMENTS) if part not in notebook]
    else:
        hidden(run, "04_migrate.ipynb", notebook)


def test_a_finding_of_the_verification(sample: Path, tmp_path: Path) -> None:
    run = until_migrated(begin(sample, tmp_path / "run"))
    execute(sample, *PLANTED)
    hidden(run, "05_verify.ipynb", executed(run, "05_verify"))
    opened = executed(run, "05_verify", show_values="True")
    assert EMAIL in opened
    assert NAME in opened
