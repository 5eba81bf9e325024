"""The fleet's seal: what it stands for, and whom it names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.errors import RunFolderError
from runbook.files import write_sealed
from runbook.fleet.seal import Leaf, check_fleet, merkle_root, write_seal

LEAVES = [Leaf(f"t{n}.db", f"runs/{n}", f"{n:064x}") for n in range(7)]


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A fleet folder with three runs and their seal."""
    leaves = []
    for number in range(3):
        run = tmp_path / "runs" / str(number)
        (run / "stages").mkdir(parents=True)
        (run / "audit.json").write_text(json.dumps({"verdict": "pass", "number": number}))
        write_sealed(run / "stages" / "04_migrate.json", {"order": number})
        from runbook.files import sha256

        leaves.append(Leaf(f"t{number}.db", f"runs/{number}", sha256(run / "audit.json")))
    write_seal(tmp_path, leaves)
    (tmp_path / "fleet.db").touch()
    return tmp_path


@pytest.mark.parametrize("count", range(8))
def test_every_leaf_and_its_place_count(count: int) -> None:
    leaves = LEAVES[:count]
    root = merkle_root(leaves)
    for at in range(count):
        for other in (
            Leaf("other.db", leaves[at].run, leaves[at].digest),
            Leaf(leaves[at].name, "runs/other", leaves[at].digest),
            Leaf(leaves[at].name, leaves[at].run, "f" * 64),
        ):
            assert merkle_root([*leaves[:at], other, *leaves[at + 1 :]]) != root
        assert merkle_root([*leaves[:at], *leaves[at + 1 :]]) != root
    assert merkle_root(leaves) == root
    if count > 1:
        assert merkle_root([*leaves[1:], leaves[0]]) != root
        assert merkle_root([*leaves, leaves[-1]]) != root


def test_the_tenant_whose_record_was_altered_is_named(fleet: Path) -> None:
    assert check_fleet(fleet).ok
    (fleet / "runs/1/audit.json").write_text('{"verdict": "pass"}')
    assert check_fleet(fleet).problems == ("t1.db: runs/1/audit.json was altered",)
    (fleet / "runs/1/audit.json").unlink()
    assert check_fleet(fleet).problems == ("t1.db: runs/1/audit.json is missing",)


def test_a_stage_record_is_checked_as_well(fleet: Path) -> None:
    path = fleet / "runs/2/stages/04_migrate.json"
    path.write_text(path.read_text().replace('"order": 2', '"order": 3'))
    assert check_fleet(fleet).problems == ("t2.db: runs/2/stages/04_migrate.json was altered",)


def test_records_that_changed_places_are_named(fleet: Path) -> None:
    first, second = fleet / "runs/0/audit.json", fleet / "runs/1/audit.json"
    shutil.move(first, fleet / "kept")
    shutil.move(second, first)
    shutil.move(fleet / "kept", second)
    assert len(check_fleet(fleet).problems) == 2


def test_an_altered_seal_is_refused(fleet: Path) -> None:
    path = fleet / "seal.json"
    text = path.read_text()
    path.write_text(text.replace("t1.db", "t9.db"))
    with pytest.raises(RunFolderError, match="checksum"):
        check_fleet(fleet)
    data = json.loads(text)
    data.pop("sha256")
    data["runs"][1][2] = "0" * 64
    write_sealed(path, data)  # by somebody who knows how
    with pytest.raises(RunFolderError, match="its root is not the one of its digests"):
        check_fleet(fleet)


def test_the_root_that_was_kept_elsewhere_shows_a_seal_made_anew(fleet: Path) -> None:
    root = check_fleet(fleet).root
    (fleet / "runs/1/audit.json").write_text('{"verdict": "pass"}')
    from runbook.files import sha256

    leaves = [
        Leaf(f"t{n}.db", f"runs/{n}", sha256(fleet / f"runs/{n}/audit.json")) for n in range(3)
    ]
    write_seal(fleet, leaves)
    assert check_fleet(fleet).ok
    assert "the seal is another one" in check_fleet(fleet, root).problems[0]
    ended = CliRunner().invoke(main, ["check", str(fleet), "--root", root])
    assert ended.exit_code == 1
    assert "the seal is another one" in ended.output
    assert CliRunner().invoke(main, ["check", str(fleet)]).exit_code == 0
