"""By which way a kernel's notebook is executed, and which file it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runbook.notebook import display, way


def stand_in(monkeypatch: pytest.MonkeyPatch, *, person: bool = True, **names: Any) -> None:
    """A kernel with these names in it."""
    kernel = SimpleNamespace(_allow_stdin=person)
    shell = SimpleNamespace(kernel=kernel, user_ns={"In": [""], **names})
    for module in (display, way):
        monkeypatch.setattr(module, "shell", lambda: shell)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)


def test_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert way.way() == ""  # no kernel at all
    path = tmp_path / "04_migrate.ipynb"
    path.write_text("{}")
    stand_in(monkeypatch)
    assert (way.way(), way.notebook_file("notebook")) == ("notebook", None)
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert (way.way(), way.notebook_file(way.way())) == ("JupyterLab", path)
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "renamed.ipynb"))
    assert way.notebook_file(way.way()) is None
    stand_in(monkeypatch, __vsc_ipynb_file__=str(path))
    assert (way.way(), way.notebook_file(way.way())) == ("VS Code", path)
    monkeypatch.setattr(way, "driven", True)
    assert way.way() == "headless"


def test_papermill_is_known_by_its_cell_or_by_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    path = tmp_path / "04_migrate.ipynb"
    path.write_text("{}")
    stand_in(monkeypatch, person=False, In=["", "# Parameters\nrun_dir = 'x'"])
    # A kernel that was started from a cell has inherited the name of another notebook.
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert (way.way(), way.notebook_file(way.way())) == ("Papermill", None)
    stand_in(monkeypatch, person=False, In=["# Parameters"], PAPERMILL_INPUT_PATH=str(path))
    assert way.notebook_file(way.way()) == path

    stand_in(monkeypatch, person=False)
    for words, expected in (
        (["python", "/usr/bin/papermill", "a.ipynb", "b.ipynb"], "Papermill"),
        (["python", "/lib/papermill/__main__.py", "a.ipynb"], "Papermill"),
        (["jupyter", "execute", "papermill.ipynb"], "notebook"),
    ):
        parent = SimpleNamespace(cmdline=lambda words=words: words)
        monkeypatch.setattr(psutil, "Process", lambda pid, parent=parent: parent)
        assert way.way() == expected
