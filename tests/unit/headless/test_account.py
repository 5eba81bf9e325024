"""Accounts without a home, and temporary folders with long paths."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path

import pytest

from runbook.errors import BadInput
from runbook.headless.account import provided
from runbook.stages.open_run import account


@pytest.fixture
def no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account without an entry and without any of the usual variables."""

    def missing(number: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", missing)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_entry")
def test_an_account_without_a_name_has_its_number() -> None:
    assert account() == f"uid {os.getuid()}"


@pytest.mark.usefixtures("no_entry")
def test_a_home_for_jupyter_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IPYTHONDIR", raising=False)
    monkeypatch.setenv("JUPYTER_DATA_DIR", "/of/the/operator")
    with provided():
        folder = Path(os.environ["IPYTHONDIR"])
        assert folder.is_dir()
        assert os.environ["JUPYTER_DATA_DIR"] == "/of/the/operator"
        assert "HOME" not in os.environ
    assert "IPYTHONDIR" not in os.environ
    assert not folder.exists()


def test_a_home_that_can_be_used_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    before = dict(os.environ)
    with provided():
        assert dict(os.environ) == before


def test_a_temporary_folder_with_a_long_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 112)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with provided():
        assert len(tempfile.gettempdir()) < 60
    assert tempfile.gettempdir() == str(long)
    monkeypatch.setattr(os, "access", lambda *_: False)  # as if no other folder could be written
    with pytest.raises(BadInput, match="too long for sockets; set TMPDIR"), provided():
        pass
