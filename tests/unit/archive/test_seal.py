"""Sealing a run folder: what is in the archive, and that nothing else is touched."""

import fcntl
import hashlib
import json
import shutil
import stat
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import bagit
import pytest

from runbook.archive import seal as archive_module
from runbook.archive.bag import SEAL_BYTES
from runbook.archive.seal import as_text, check, seal
from runbook.errors import BadInput, RunFolderError
from tests.support.noise import noise


def make_run(folder: Path) -> Path:
    """A run folder with the kinds of files that a run leaves."""
    contents = {
        "run.json": json.dumps({"created_at": "2026-03-04T05:06:07+00:00"}).encode(),
        "audit.json": b'{"verdict": "pass"}',
        "report.html": b"<h1>pass</h1>" * 500,
        "stages/04_migrate.json": b"{}",
        "sql/001 create.sql": b"CREATE TABLE organizations (id TEXT PRIMARY KEY);\n",
        "backup/app.db": b"SQLite format 3\0" + bytes(20_000) + noise(3_000),
        "snapshots/before/users.parquet": b"PAR1" + noise(2_000) + b"PAR1",
        "snapshots/before/Größe.parquet": b"PAR1PAR1",
        "empty.log": b"",
        "run.lock": b"123",
        "stages/05_verify.json.tmp": b"half",
    }
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


SEALED = 9  # of the files above: without the lock and the temporary file


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return make_run(tmp_path / "2026-03-04 app")


def unpack(archive: Path, into: Path) -> Path:
    """Unpack with the ordinary tool where there is one; the folder of the bag."""
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-q", archive, "-d", into], check=True)
    else:
        with zipfile.ZipFile(archive) as z:
            z.extractall(into)
    (bag,) = into.iterdir()
    return bag


def everything(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that can be seen of a folder: contents, modes, times, link counts."""
    seen: dict[str, tuple[object, ...]] = {}
    for path in [folder, *folder.rglob("*")]:
        s = path.stat()
        content = path.read_bytes() if path.is_file() else b""
        seen[str(path)] = (s.st_mode, s.st_mtime_ns, s.st_ctime_ns, s.st_nlink, content)
    return seen


def test_a_sealed_run_checks_and_its_folder_is_untouched(run_dir: Path) -> None:
    before = everything(run_dir)
    sealed = seal(run_dir)
    assert everything(run_dir) == before
    assert sealed.path == run_dir.with_name("2026-03-04 app.zip")
    assert sealed.sha256 == hashlib.sha256(sealed.path.read_bytes()).hexdigest()
    assert (sealed.bytes, sealed.files) == (sealed.path.stat().st_size, SEALED)
    assert sealed.signature is None
    result = check(sealed.path)
    assert (result.ok, result.problems, result.signature) == (True, (), "none")
    assert sorted(p.name for p in run_dir.parent.iterdir()) == [run_dir.name, sealed.path.name]


def test_the_unpacked_bag_satisfies_the_ordinary_tools(run_dir: Path, tmp_path: Path) -> None:
    bag = unpack(seal(run_dir).path, tmp_path / "unpacked")
    assert bag.name == run_dir.name
    assert bagit.Bag(str(bag)).validate()
    assert check(bag).ok
    if not shutil.which("sha256sum"):
        pytest.skip("sha256sum is not installed")
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        done = subprocess.run(
            ["sha256sum", "--strict", "-c", manifest], cwd=bag, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
    (bag / "data/report.html").write_bytes(b"<h1>fail</h1>")
    done = subprocess.run(
        ["sha256sum", "-c", "manifest-sha256.txt"], cwd=bag, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"data/report.html: FAILED" in done.stdout
    assert not bagit.Bag(str(bag)).is_valid()


def test_what_is_unpacked_is_what_was_sealed(run_dir: Path, tmp_path: Path) -> None:
    data = unpack(seal(run_dir).path, tmp_path / "unpacked") / "data"
    names = {str(p.relative_to(data)) for p in data.rglob("*") if p.is_file()}
    assert len(names) == SEALED
    assert not [n for n in names if n.endswith((".lock", ".tmp"))]
    for name in names:
        assert (data / name).read_bytes() == (run_dir / name).read_bytes()


def test_the_bag_says_what_it_is(run_dir: Path, tmp_path: Path) -> None:
    info = bagit.Bag(str(unpack(seal(run_dir).path, tmp_path / "unpacked"))).info
    assert info["External-Identifier"] == run_dir.name
    assert info["Verdict"] == "pass"
    assert info["Run-Created"] == "2026-03-04T05:06:07+00:00"
    assert info["Bag-Software-Agent"].startswith("runbook ")


@pytest.mark.parametrize(
    ("run", "audit", "verdict"),
    [
        ("{}", None, "unknown"),
        ("not json", "not json", "unknown"),
        ('{"created_at": 5}', '{"verdict": "fail"}', "fail"),
        ('{"created_at": "1066-10-14T09:00:00"}', '{"verdict": "pass\\nVerdict: x"}', "unknown"),
        ('{"created_at": "9999-12-31T23:59:59-12:00"}', "[]", "unknown"),
        ('{"created_at": "2026-01-01\\nVerdict: pass"}', None, "unknown"),
    ],
)
def test_damaged_records_are_kept_as_evidence(
    tmp_path: Path, run: str, audit: str | None, verdict: str
) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "run.json").write_text(run)
    if audit is not None:
        (folder / "audit.json").write_text(audit)
    sealed = seal(folder)
    assert check(sealed.path).ok
    assert bagit.Bag(str(unpack(sealed.path, tmp_path / "u"))).info["Verdict"] == verdict


def test_without_the_bulky_folders_their_digests_remain(run_dir: Path, tmp_path: Path) -> None:
    sealed = seal(run_dir, bulky=False)
    assert check(sealed.path).ok
    bag = unpack(sealed.path, tmp_path / "unpacked")
    assert not (bag / "data/backup").exists()
    assert not (bag / "data/snapshots").exists()
    listing = bag / "left-out-sha256.txt"
    text = listing.read_text("utf-8")
    backup = (run_dir / "backup/app.db").read_bytes()
    entry = f"# {len(backup)} bytes\n{hashlib.sha256(backup).hexdigest()}  backup/app.db\n"
    assert entry in text
    assert text.count("snapshots/before/") == 2
    assert bagit.Bag(str(bag)).validate()
    if not shutil.which("sha256sum"):
        pytest.skip("sha256sum is not installed")
    command = ["sha256sum", "--strict", "-c", listing]
    assert subprocess.run(command, cwd=run_dir, capture_output=True, check=False).returncode == 0
    (run_dir / "backup/app.db").write_bytes(backup[:-1] + bytes([backup[-1] ^ 1]))
    assert subprocess.run(command, cwd=run_dir, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("created", ["2026-03-04T05:06:07", "2026-03-04T05:06:07+01:00"])
def test_the_same_folder_gives_the_same_bytes(
    run_dir: Path, tmp_path: Path, created: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_dir / "run.json").write_text(json.dumps({"created_at": created}))
    one = seal(run_dir, tmp_path / "one.zip")
    elsewhere = tmp_path / "elsewhere" / run_dir.name
    shutil.copytree(run_dir, elsewhere, copy_function=shutil.copyfile)  # other times and modes
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "XYZ-9")
            time.tzset()
            two = seal(elsewhere, tmp_path / "two.zip")
    finally:
        time.tzset()
    assert one.sha256 == two.sha256
    (elsewhere / "empty.log").write_bytes(b"x")
    assert seal(elsewhere, tmp_path / "three.zip").sha256 != one.sha256


def test_only_the_owner_may_read_it(run_dir: Path) -> None:
    sealed = seal(run_dir)
    assert stat.S_IMODE(sealed.path.stat().st_mode) == 0o600
    with zipfile.ZipFile(sealed.path) as z:
        modes = {m.filename: stat.S_IMODE(m.external_attr >> 16) for m in z.infolist()}
    assert modes.pop(f"{run_dir.name}/") == 0o700
    assert set(modes.values()) == {0o600}


def test_what_is_compressed_already_is_only_stored(run_dir: Path) -> None:
    with zipfile.ZipFile(seal(run_dir).path) as z:
        kinds = {m.filename.split("/data/")[-1]: m.compress_type for m in z.infolist()}
    assert kinds["snapshots/before/users.parquet"] == zipfile.ZIP_STORED
    assert kinds["backup/app.db"] == zipfile.ZIP_DEFLATED


def test_the_seal_can_be_checked_by_hand(run_dir: Path) -> None:
    whole = seal(run_dir).path.read_bytes()
    digest = hashlib.sha256(whole[:-SEAL_BYTES]).hexdigest()
    assert whole[-SEAL_BYTES:].decode().endswith(f": {digest}\n")
    guide = Path(__file__).parents[3] / "docs" / "archive.md"
    assert f"head -c -{SEAL_BYTES} " in guide.read_text("utf-8")


def test_nothing_is_overwritten(run_dir: Path, tmp_path: Path) -> None:
    sealed = seal(run_dir)
    before = sealed.path.read_bytes()
    with pytest.raises(BadInput, match="already exists"):
        seal(run_dir)
    assert sealed.path.read_bytes() == before
    dangling = tmp_path / "dangling.zip"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="already exists"):
        seal(run_dir, dangling)
    assert not (tmp_path / "nowhere").exists()


def test_an_archive_that_appears_meanwhile_is_not_overwritten(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.zip"
    honest = archive_module.check

    def slow(path: Path) -> object:
        out.write_bytes(b"somebody else's")
        return honest(path)

    monkeypatch.setattr(archive_module, "check", slow)
    with pytest.raises(BadInput, match="already exists"):
        seal(run_dir, out)
    assert out.read_bytes() == b"somebody else's"
    assert not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*"))


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="does not exist"):
        seal(tmp_path / "none")
    (tmp_path / "plain").mkdir()
    with pytest.raises(RunFolderError, match=r"no run\.json"):
        seal(tmp_path / "plain")
    assert [p.name for p in tmp_path.iterdir()] == ["plain"]


def test_an_unusable_output_is_refused(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        seal(run_dir, tmp_path / "no such folder" / "a.zip")
    with pytest.raises(BadInput, match="in the run folder itself"):
        seal(run_dir, run_dir / "stages" / "a.zip")


HOLD = """
import fcntl, sys
f = open(sys.argv[1])
fcntl.flock(f, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_in_use_is_refused(run_dir: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, run_dir / "run.lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunFolderError, match="in use"):
            seal(run_dir)
        assert not run_dir.with_name(f"{run_dir.name}.zip").exists()
        other.communicate(b"")
    assert seal(run_dir).files == SEALED


def test_no_run_can_begin_while_it_is_sealed(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = archive_module.check
    refused = []

    def meanwhile(path: Path) -> object:
        with (run_dir / "run.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                refused.append(True)
        return honest(path)

    monkeypatch.setattr(archive_module, "check", meanwhile)
    seal(run_dir)
    assert refused == [True]


@pytest.mark.parametrize("change", ["grow", "add", "remove", "replace"])
def test_a_folder_that_changes_meanwhile_is_refused(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    honest = archive_module._write_seal

    def meanwhile(file: object) -> str:
        log = run_dir / "empty.log"
        if change == "grow":
            log.write_bytes(b"a line\n")
        elif change == "add":
            (run_dir / "new.txt").touch()
        elif change == "remove":
            log.unlink()
        else:
            (run_dir / "other").touch()
            (run_dir / "other").rename(log)
        return honest(file)  # type: ignore[arg-type]

    monkeypatch.setattr(archive_module, "_write_seal", meanwhile)
    with pytest.raises(RunFolderError, match="changed while"):
        seal(run_dir)
    assert [p.name for p in run_dir.parent.iterdir()] == [run_dir.name]


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "a%0Ab", "a\u2028b", "a ", "\udcff", "x\x85y"])
def test_names_that_readers_would_take_for_others_are_refused(run_dir: Path, name: str) -> None:
    (run_dir / name).touch()
    with pytest.raises(RunFolderError, match="rename that file"):
        seal(run_dir)


@pytest.mark.parametrize("name", ["*star", "~root", "a  b", "#1", "50%", "Ü", "-rf", "x:y", "'q\""])
def test_unusual_names_are_kept(run_dir: Path, tmp_path: Path, name: str) -> None:
    (run_dir / name).write_bytes(b"here")
    sealed = seal(run_dir)
    assert check(sealed.path).ok
    with zipfile.ZipFile(sealed.path) as z:
        z.extractall(tmp_path / "u")
    bag = tmp_path / "u" / run_dir.name
    assert (bag / "data" / name).read_bytes() == b"here"
    assert check(bag).ok
    assert bagit.Bag(str(bag)).validate()


def test_links_are_refused(run_dir: Path) -> None:
    (run_dir / "link").symlink_to("/etc/hostname")
    with pytest.raises(RunFolderError, match="link"):
        seal(run_dir)
    (run_dir / "link").unlink()
    (run_dir / "folder").symlink_to("/etc")
    with pytest.raises(RunFolderError, match="link"):
        seal(run_dir)


def test_a_full_disk_leaves_nothing_behind(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, name: str, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive_module._Writer, "add_bytes", full)
    with pytest.raises(BadInput, match="No space left on device"):
        seal(run_dir)
    assert [p.name for p in run_dir.parent.iterdir()] == [run_dir.name]


def test_an_archive_that_does_not_check_is_not_published(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = archive_module._write_seal

    def bad_disk(file: object) -> str:
        digest = honest(file)  # type: ignore[arg-type]
        file.seek(200)  # type: ignore[attr-defined]
        file.write(b"\0")  # type: ignore[attr-defined]
        return digest

    monkeypatch.setattr(archive_module, "_write_seal", bad_disk)
    with pytest.raises(Exception, match="does not check"):
        seal(run_dir)
    assert [p.name for p in run_dir.parent.iterdir()] == [run_dir.name]


def test_memory_stays_bounded(run_dir: Path) -> None:
    """64 MB that compress extremely well, and 32 MB that do not: a few MB of memory."""
    with (run_dir / "backup/app.db").open("wb") as f:
        f.truncate(64 << 20)
    (run_dir / "snapshots/big.parquet").write_bytes(noise(1 << 20) * 32)
    seal(run_dir, run_dir.with_name("warm.zip"))  # imports do not count
    tracemalloc.start()
    try:
        sealed = seal(run_dir)
        result = check(sealed.path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.ok, as_text(result)
    assert peak < 16 << 20
