"""The archive of a real run, through the commands that an operator types."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import bagit
import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.run.folder import Run
from runbook.sample.make import make_sample
from tests.support.runs import begin, to_the_end


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("archived")
    make_sample(folder / "app.db", users=10, projects=30)
    return to_the_end(begin(folder / "app.db", folder / "run"))


@pytest.fixture(scope="module")
def archive(run: Run) -> Path:
    sealed = CliRunner().invoke(main, ["archive", "--run-dir", str(run.folder)])
    assert sealed.exit_code == 0, sealed.output
    return run.folder.with_suffix(".zip")


@pytest.fixture
def bag(archive: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(archive) as container:
        container.extractall(tmp_path)
    return tmp_path / "run"


def check(path: Path) -> tuple[int, str]:
    ended = CliRunner().invoke(main, ["check", str(path)])
    assert ended.exception is None or isinstance(ended.exception, SystemExit)
    return ended.exit_code, ended.output


def check_as_typed(path: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "runbook", "check", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert not ended.stderr
    return ended.returncode, ended.stdout


def flip(path: Path, at: int, mask: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ mask]))


def test_it_says_when_the_run_was_created(run: Run, archive: Path, bag: Path) -> None:
    assert bagit.Bag(str(bag)).info["Run-Created"] == run.info.created_at
    with zipfile.ZipFile(archive) as container:
        (time,) = {member.date_time for member in container.infolist()}
    assert "-".join(f"{part:02d}" for part in time[:3]) == run.info.created_at[:10]


LACKING = {
    "nothing": (lambda folder: None, ()),
    "its backup": (
        lambda folder: (folder / "backup" / "backup.db").unlink(),
        ("backup/backup.db is missing",),
    ),
    "a byte of its backup": (
        lambda folder: flip(folder / "backup" / "backup.db", 100, 1),
        ("backup/backup.db is not the file that was made",),
    ),
    "two records": (
        lambda folder: [p.unlink() for p in (folder / "stages").glob("0[45]_*.json")],
        ("stages/04_migrate.json is missing", "stages/05_verify.json is missing"),
    ),
    "the end of a record": (
        lambda folder: os.truncate(folder / "stages" / "03_snapshot.json", 50),
        ("stages/03_snapshot.json cannot be read",),
    ),
    "what it was about": (
        lambda folder: (folder / "run.json").write_text("[]"),
        ("run.json cannot be read",),
    ),
    "its audit": (
        lambda folder: (folder / "audit.json").write_bytes(b"{"),
        ("audit.json cannot be read",),
    ),
}


@pytest.mark.parametrize("options", [[], ["--without-bulky"]], ids=["whole", "without bulky"])
@pytest.mark.parametrize("lacks", LACKING)
def test_a_run_that_lacks_something_is_sealed_as_incomplete(
    run: Run, tmp_path: Path, lacks: str, options: list[str]
) -> None:
    """What is left is kept, and neither the terminal nor the archive calls it whole."""
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    damage, problems = LACKING[lacks]
    damage(folder)
    sealed = CliRunner().invoke(main, ["archive", "--run-dir", str(folder), *options])
    assert sealed.exit_code == 0, sealed.output
    lines = [f"The run is incomplete: {problem};" for problem in problems]
    assert [line in sealed.stderr for line in lines] == [True] * len(lines)
    assert sealed.stderr.count("incomplete") == len(lines)
    with zipfile.ZipFile(folder.with_suffix(".zip")) as container:
        info = container.read("run/bag-info.txt").decode()
    said = [line for line in info.splitlines() if line.startswith("Incomplete: ")]
    assert said == [f"Incomplete: {problem}" for problem in problems]
    assert check(folder.with_suffix(".zip"))[0] == 0


def test_200_single_bytes_flipped_in_the_unpacked_archive_are_each_found(bag: Path) -> None:
    """Over all its files: the run's own, and the manifests that watch over them."""
    rng = random.Random(6)
    files = sorted(p for p in bag.rglob("*") if p.is_file() and p.stat().st_size)
    assert {"backup.db", "report.html", "run.json", "manifest-sha256.txt"} <= {
        p.name for p in files
    }
    assert check(bag)[0] == 0
    ways: list[Callable[[Path], tuple[int, str]]] = [check] * 197 + [check_as_typed] * 3
    chosen = files + rng.choices(files, k=len(ways) - len(files))
    for path, way in zip(chosen, rng.sample(ways, len(ways)), strict=True):
        at, mask = rng.randrange(path.stat().st_size), rng.randrange(1, 256)
        flip(path, at, mask)
        exit_code, said = way(bag)
        assert exit_code == 1, f"byte {at} of {path} ^ {mask}"
        name = path.relative_to(bag).as_posix()
        if name.startswith("data/"):
            assert f"altered  {name}" in said
        flip(path, at, mask)
    assert check(bag)[0] == 0, "all bytes were put back"


def test_single_bytes_flipped_in_the_sealed_file_are_each_found(
    archive: Path, tmp_path: Path
) -> None:
    """Two in each member's bytes, so that none is left out, and many anywhere."""
    raw = archive.read_bytes()
    rng = random.Random(66)
    places: list[int] = []
    with zipfile.ZipFile(archive) as container:
        for member in container.infolist():
            end = member.header_offset + 30 + len(member.filename) + member.compress_size
            places += [rng.randrange(member.header_offset, end) for _ in range(2)]
    places += [rng.randrange(len(raw)) for _ in range(100)]
    target = tmp_path / "flipped.zip"
    target.write_bytes(raw)
    for at in places:
        mask = rng.randrange(1, 256)
        flip(target, at, mask)
        assert check(target)[0] == 1, f"byte {at} ^ {mask}"
        flip(target, at, mask)
    assert check(target)[0] == 0
    flip(target, places[0], 1)
    assert check_as_typed(target)[0] == 1
