"""What the runbook brings along: found, copied, and missed without blaming anything else."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest
from click.testing import CliRunner

from runbook import resources, templates
from runbook.cli import main
from runbook.errors import InstallationError
from runbook.resources import resource_folder, tools_folder
from tests.support.paths import ROOT


def test_the_notebooks_are_copied_and_never_overwritten(tmp_path: Path) -> None:
    target = str(tmp_path / "new" / "copies")
    first = CliRunner().invoke(main, ["notebooks", target])
    assert first.exit_code == 0, first.output
    copies = sorted(Path(target).iterdir())
    originals = sorted(resource_folder("notebooks").glob("*.ipynb"))
    assert [(p.name, p.read_bytes()) for p in copies] == [
        (p.name, p.read_bytes()) for p in originals
    ]
    copies[0].unlink()
    copies[1].write_text("changed")
    again = CliRunner().invoke(main, ["notebooks", target])
    assert again.exit_code == 2
    assert again.output.count("\n") == 1
    assert f"'{copies[1]}' exists already" in again.output
    assert not copies[0].exists()
    assert copies[1].read_text() == "changed"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(main, ["notebooks", str(tmp_path / "file" / "copies")])
    assert result.exit_code == 2
    assert "cannot be copied to" in result.output


def test_missing_sql_is_not_blamed_on_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "FOLDER", tmp_path / "sql")
    result = CliRunner().invoke(main, ["sample", str(tmp_path / "s.db")])
    assert result.exit_code == 2
    assert result.output == (
        "The file 'sql/sample/01_tables.sql' of the runbook is missing: install the runbook again.\n"
    )
    assert not (tmp_path / "s.db").exists()


def test_a_folder_that_nobody_installed() -> None:
    with pytest.raises(InstallationError, match="'songs' of the runbook is missing"):
        resource_folder("songs")


def test_tools_are_fetched_into_the_clone_or_the_cache_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not among installed packages, which the user may not be allowed to write to."""
    assert tools_folder() == ROOT / ".tools"
    monkeypatch.setattr(resources, "__file__", str(tmp_path / "site-packages/runbook/resources.py"))
    assert tools_folder() == platformdirs.user_cache_path("runbook", appauthor=False)
