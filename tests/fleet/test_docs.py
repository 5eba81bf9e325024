"""docs/fleet.md, typed as it stands; and the cells of the notebook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.cli import main
from runbook.cli.fleet import fleet
from runbook.errors import BadInput, NotConfirmed, Refused
from runbook.fleet import cells
from runbook.fleet.records import FAILURES, State
from tests.support.faults.harness import environment
from tests.support.fleets import make_tenants, states
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "fleet.md").read_text()
EVERYTHING = PAGE + (ROOT / "README.md").read_text()


def walk(name: str) -> list[str]:
    """The commands of a walk of the page, in their order."""
    match = re.search(rf"<!-- walk: {name} -->\n```console\n(.*?)```", PAGE, re.DOTALL)
    assert match, name
    return [line.removeprefix("$ ") for line in match[1].splitlines()]


def type_it(commands: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Types commands into one shell, which stops at the first that fails, and leaves nothing."""
    program = f'runbook() {{ "{sys.executable}" -m runbook "$@"; }}\n'
    scripts = Path(sys.executable).parent
    script = "\n".join(["set -e", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", *commands])
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    (folder / "tenants").mkdir()
    return subprocess.run(
        ["bash", "-c", program + script],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**environment(), "PATH": path},
    )


@pytest.mark.slow
@pytest.mark.long
def test_the_walk_on_one_machine(tmp_path: Path) -> None:
    ended = type_it(walk("one machine"), tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert states(tmp_path / "fleets" / "july") == ["after", "taken back", "after", "after"]
    assert "4 runs, as they were sealed" in ended.stdout


@pytest.mark.long
def test_the_walk_on_several(tmp_path: Path) -> None:
    samples = walk("one machine")[:1]
    ended = type_it([*samples, *walk("several machines")], tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert states(tmp_path / "fleets" / "august") == ["after"] * 4


@pytest.mark.slow
def test_the_cells_of_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tenants(tmp_path / "tenants", 2)
    monkeypatch.chdir(tmp_path)
    work = cells.begin("tenants/*.db", fleet_dir="fleets/sample")
    assert list(cells.preflight(work)["state"]) == ["ready", "ready"]
    with pytest.raises(Refused, match="verdict of the fleet is open"):
        cells.go_on(work)
    options = {"canary": 0, "waves": "100%", "max_failures": "0"}
    with pytest.raises(NotConfirmed):
        cells.migrate(work, **options, confirm="another")
    assert list(cells.migrate(work, **options, confirm="sample")["state"]) == ["after", "after"]
    assert "cascades" not in set(cells.show_hazards(work)["hazard"])
    assert "fleets/sample/report.html" in cells.go_on(work).data


def test_a_notebook_without_a_folder_is_refused() -> None:
    with pytest.raises(BadInput, match="fleet_dir"):
        cells.begin("x/*.db")


@pytest.mark.parametrize("command", sorted(fleet.commands))
def test_every_command_of_a_fleet_is_documented(command: str) -> None:
    assert f"fleet {command}" in EVERYTHING
    assert "fleet" in main.commands


@pytest.mark.parametrize(
    "option",
    sorted({o for c in fleet.commands.values() for p in c.params for o in p.opts if "--" in o}),
)
def test_every_option_of_a_fleet_is_explained(option: str) -> None:
    known = [p for c in fleet.commands.values() for p in c.params if option in p.opts]
    assert all(getattr(p, "help", None) for p in known)
    common = {"--plan", "--operator", "--ticket", "--yes"}
    assert option in common or f"`{option}" in PAGE or f"{option} " in PAGE, option


def test_every_state_is_explained() -> None:
    for state in (*State.__args__, *FAILURES):  # type: ignore[attr-defined]
        assert f"| `{state}` |" in PAGE
