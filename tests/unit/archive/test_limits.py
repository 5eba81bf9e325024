"""Archives made to fill the memory are refused in a sentence; any input takes at most 200 MB."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.archive import limits
from runbook.archive import seal as seal_module
from runbook.archive.check import check
from runbook.archive.seal import seal
from runbook.errors import RunFolderError
from tests.support.paths import ROOT

MEGABYTES = 200

CHECK = r"""
import re, sys
from pathlib import Path
from runbook.archive.check import as_text, check
result = check(Path(sys.argv[1]))
# Not ru_maxrss, in which a fork of this large process counts, too.
print(int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
print(as_text(result, most=5))
"""


def info(name: str, *, compress: bool = True) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system = 3
    made.external_attr = 0o100600 << 16
    made.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    return made


def packed_zeros(megabytes: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (
        b"".join(compressor.compress(bytes(1 << 20)) for _ in range(megabytes)) + compressor.flush()
    )


def add_packed(
    new: zipfile.ZipFile, name: str, packed: bytes, megabytes: int, crc: int = 0
) -> None:
    """A member whose content is packed already; what says so is the list at the archive's end."""
    each = info(name, compress=False)
    new.writestr(each, packed)
    each.compress_type = zipfile.ZIP_DEFLATED
    each.file_size = megabytes << 20
    each.CRC = crc


def large_tags(path: Path) -> None:
    """Two megabytes that unpack to two gigabytes of tag files."""
    packed, crc = packed_zeros(8), zlib.crc32(bytes(8 << 20))
    with zipfile.ZipFile(path, "w") as new:
        for number in range(240):
            add_packed(new, f"run/tag{number}.txt", packed, 8, crc)


def hostile_manifests(path: Path) -> None:
    """Manifests as large as they may be, of nothing but line ends, and of very many lines."""
    with zipfile.ZipFile(path, "w") as new:
        new.writestr(info("run/bagit.txt"), b"\n" * (8 << 20))
        new.writestr(info("run/bag-info.txt"), b"a: b\n" * (8 << 17))
        lines = b"".join(b"%064x  data/%x\n" % (n, n) for n in range(100_000))
        new.writestr(info("run/manifest-sha256.txt"), lines[: 8 << 20])
        new.writestr(info("run/tagmanifest-sha256.txt"), b"\n" * (8 << 20))


def many_files(path: Path) -> None:
    """More files than any run has."""
    with zipfile.ZipFile(path, "w") as new:
        for number in range(limits.MOST_FILES + 1):
            new.writestr(info(f"run/data/{number}", compress=False), b"")


def just_fewer_files(path: Path) -> None:
    """As many files as there may be, with long names, and none in a manifest."""
    with zipfile.ZipFile(path, "w") as new:
        for number in range(limits.MOST_FILES):
            new.writestr(info(f"run/data/{'x' * 180}{number}", compress=False), b"")


def long_list(path: Path) -> None:
    """A list of files in which comments make up forty megabytes."""
    with zipfile.ZipFile(path, "w") as new:
        for number in range(640):
            each = info(f"run/data/{number}", compress=False)
            each.comment = b"x" * 65_000
            new.writestr(each, b"")


def bomb(path: Path) -> None:
    """A member that unpacks to a thousand times its size, more than a gigabyte."""
    with zipfile.ZipFile(path, "w") as new:
        add_packed(new, "run/data/bomb", packed_zeros(1200), 1200)


def deep(path: Path) -> None:
    """Names of thousands of folders, and longer ones than any system has."""
    with zipfile.ZipFile(path, "w") as new:
        for number in range(30):
            new.writestr(info(f"run/data/{'a/' * 30_000}{number}"), b"")
        new.writestr(info(f"run/data/{'b' * 60_000}"), b"")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (large_tags, "NOT as it was sealed"),
        (hostile_manifests, "NOT as it was sealed"),
        (many_files, "refused  hostile.zip (it lists more than 50,000 files)"),
        (just_fewer_files, "NOT as it was sealed, 5 problems"),
        (long_list, "refused  hostile.zip (its list of files has more than 16 MB)"),
        (bomb, "refused  hostile.zip (it would unpack to more than 250 times its size)"),
        (deep, "its name has more than 1,000 bytes"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_no_archive_takes_more_memory(
    make: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile.zip"
    make(hostile)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", CHECK, str(hostile)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    used, text = ended.stdout.split("\n", 1)
    assert says in text
    assert int(used) < MEGABYTES, f"{used} MB for {make.__doc__}"


def test_a_folder_of_too_many_or_too_deep_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbook.archive.members.MOST_FILES", 5)
    folder = tmp_path / "run"
    folder.mkdir()
    for number in range(6):
        (folder / f"bag{number}").touch()
    (folder / "bagit.txt").touch()
    (problem,) = check(folder).problems
    assert (problem.what, problem.detail) == ("refused", "it has more than 5 files")
    monkeypatch.undo()
    (folder / "/".join("d" * 40)).mkdir(parents=True)
    assert any("in more than 32 folders" in p.detail for p in check(folder).problems)


def test_sealing_refuses_what_could_not_be_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    for number in range(12):
        (folder / str(number)).touch()
    monkeypatch.setattr(seal_module, "MOST_FILES", 20)
    with pytest.raises(RunFolderError, match="more files than an archive may have"):
        seal(folder)


def test_an_almost_empty_database_is_stored_so_that_its_archive_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    (folder / "backup").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "backup" / "app.db").write_bytes(bytes(20 << 20))
    monkeypatch.setattr(limits, "_LARGE", 1 << 20)
    sealed = seal(folder)
    assert check(sealed.path).ok
    assert sealed.bytes > 20 << 20
