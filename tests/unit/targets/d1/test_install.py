"""Setting up wrangler: what is pinned, and what is said where it cannot be had."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.errors import TargetError
from runbook.targets.d1 import install as d1_setup


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    d1_setup.find_node.cache_clear()
    yield
    d1_setup.find_node.cache_clear()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but what a test puts there, and an empty place for the tool."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(d1_setup.OVERRIDE, raising=False)
    monkeypatch.setattr(d1_setup, "FOLDER", tmp_path / "tools" / "d1")
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_everything_is_pinned_and_no_registry_is_named() -> None:
    lock = json.loads((d1_setup.SOURCES / "package-lock.json").read_text())
    package = json.loads((d1_setup.SOURCES / "package.json").read_text())
    packages = lock["packages"]
    assert packages["node_modules/wrangler"]["version"] == package["dependencies"]["wrangler"]
    for name, entry in packages.items():
        assert "resolved" not in entry, name
        assert not name or entry["integrity"].startswith("sha512-"), name


def test_without_node(programs: Path) -> None:
    with pytest.raises(TargetError, match="no `node` is on the PATH"):
        d1_setup.find_tool()
    with pytest.raises(TargetError, match="no `node` is on the PATH"):
        d1_setup.install()


def test_with_an_old_node(programs: Path) -> None:
    program(programs, "node", "echo v18.20.1")
    with pytest.raises(TargetError, match=r"Node 20\.3 or newer .* is v18\.20\.1"):
        d1_setup.install()


def test_without_npm(programs: Path) -> None:
    program(programs, "node", "echo v22.1.0")
    with pytest.raises(TargetError, match="npm is needed"):
        d1_setup.install()
    with pytest.raises(TargetError, match=r"run `python -m runbook\.targets\.d1\.install`"):
        d1_setup.find_tool()


def test_a_failed_installation_leaves_nothing_and_names_no_address(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(programs, "node", "echo v22.1.0")
    program(programs, "npm", "echo 'npm error https://user:pw@registry.test/x failed' >&2; exit 1")
    assert d1_setup.main([]) == 2
    said = capsys.readouterr().err
    assert "npm could not install wrangler" in said
    assert "pw@" not in said
    assert list(d1_setup.FOLDER.parent.iterdir()) == []


def test_another_wrangler_may_be_named(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "node", "echo v22.1.0")
    package = programs.parent / "node_modules" / "wrangler"
    (package / "bin").mkdir(parents=True)
    (package / "bin" / "wrangler.js").touch()
    (package / "package.json").write_text('{"version": "9.9.9"}')
    link = package.parent / ".bin" / "wrangler"
    link.parent.mkdir()
    link.symlink_to("../wrangler/bin/wrangler.js")  # as npm makes it
    monkeypatch.setenv(d1_setup.OVERRIDE, str(link))
    tool = d1_setup.find_tool()
    assert (tool.version, tool.script) == ("9.9.9", package / "bin" / "wrangler.js")
    monkeypatch.setenv(d1_setup.OVERRIDE, str(programs / "none"))
    with pytest.raises(TargetError, match="There is no wrangler at"):
        d1_setup.find_tool()
