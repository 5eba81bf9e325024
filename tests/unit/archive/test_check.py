"""Whatever is done to an archive or an unpacked bag is found, and said."""

import hashlib
import json
import os
import random
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.archive import bag as bag_format
from runbook.archive.seal import CheckResult, Problem, as_text, check, seal
from runbook.errors import BadInput
from tests.support.noise import noise


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed") / "run-1"
    (folder / "backup").mkdir(parents=True)
    (folder / "snapshots").mkdir()
    (folder / "run.json").write_text(json.dumps({"created_at": "2026-03-04T05:06:07Z"}))
    (folder / "audit.json").write_text('{"verdict": "pass"}')
    (folder / "report.html").write_text("<h1>pass</h1>" * 100)
    (folder / "backup" / "app.db").write_bytes(bytes(4_000) + noise(1_000))
    (folder / "snapshots" / "users.parquet").write_bytes(noise(1_000))
    return seal(folder).path


@pytest.fixture
def bag(sealed: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(sealed) as z:
        z.extractall(tmp_path)
    return tmp_path / "run-1"


def found(result: CheckResult) -> set[tuple[str, str]]:
    assert result.ok == (not result.problems)
    return {(p.path, p.what) for p in result.problems}


def flipped(raw: bytes, at: int, mask: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ mask]) + raw[at + 1 :]


def resealed(raw: bytes) -> bytes:
    """As an attacker would: a seal that fits the changed bytes."""
    body = raw[: -bag_format.SEAL_BYTES]
    return body + bag_format.seal_line(hashlib.sha256(body).hexdigest())


# --- the sealed file


def test_the_untouched_archive_is_intact(sealed: Path, tmp_path: Path) -> None:
    assert found(check(sealed)) == set()
    renamed = tmp_path / "another name"
    shutil.copy(sealed, renamed)
    assert found(check(renamed)) == set()


def test_200_flipped_bytes_are_all_found(sealed: Path, tmp_path: Path) -> None:
    raw = sealed.read_bytes()
    rng = random.Random(20260304)
    target = tmp_path / "flipped.zip"
    for _ in range(200):
        at, mask = rng.randrange(len(raw)), rng.randrange(1, 256)
        target.write_bytes(flipped(raw, at, mask))
        result = check(target)
        assert not result.ok, f"byte {at} ^ {mask}"
        assert "NOT as it was sealed" in as_text(result)


def test_every_byte_of_the_container_is_watched(sealed: Path, tmp_path: Path) -> None:
    """Not a sample: the directory, the end record and the seal, byte for byte."""
    raw = sealed.read_bytes()
    with zipfile.ZipFile(sealed) as z:
        start = z.start_dir
    target = tmp_path / "flipped.zip"
    for at in range(start, len(raw)):
        target.write_bytes(flipped(raw, at, 1 << (at % 8)))
        assert not check(target).ok, at


def test_the_flipped_file_is_named(sealed: Path, tmp_path: Path) -> None:
    raw = sealed.read_bytes()
    target = tmp_path / "flipped.zip"
    stored = raw.index(b"run-1/data/snapshots/users.parquet") + 500
    target.write_bytes(flipped(raw, stored, 1))
    name = "data/snapshots/users.parquet"
    assert found(check(target)) == {("flipped.zip", "altered"), (name, "altered")}
    assert f"altered  {name}" in as_text(check(target))


def test_a_changed_time_stamp_alters_the_container_only(sealed: Path, tmp_path: Path) -> None:
    raw = sealed.read_bytes()
    target = tmp_path / "flipped.zip"
    target.write_bytes(flipped(raw, 10, 1))  # the first local header's time: no reader looks
    (problem,) = check(target).problems
    assert (problem.path, problem.what) == ("flipped.zip", "altered")
    assert "contents match" in problem.detail


def test_shortened_and_lengthened_files_are_found(sealed: Path, tmp_path: Path) -> None:
    raw = sealed.read_bytes()
    target = tmp_path / "cut.zip"
    cuts = [*range(0, len(raw), 97), len(raw) - 1]
    for changed in [*(raw[:n] for n in cuts), raw + b"\n", raw + raw, b"\0" + raw]:
        target.write_bytes(changed)
        assert not check(target).ok


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_bytes_give_a_result(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, z: bool
) -> None:
    target = tmp_path_factory.mktemp("any") / "any.zip"
    target.write_bytes(b"PK\x03\x04" * z + raw + b"PK\x05\x06" * z + raw)
    assert not check(target).ok


def test_the_manifests_hold_even_where_the_seal_was_made_anew(sealed: Path, tmp_path: Path) -> None:
    """Flips in file contents, below a seal that fits."""
    raw = sealed.read_bytes()
    target = tmp_path / "resealed.zip"
    start = raw.index(b"run-1/data/snapshots/users.parquet") + 60
    for at in range(start, start + 900, 9):
        target.write_bytes(resealed(flipped(raw, at, 4)))
        assert found(check(target)) == {("data/snapshots/users.parquet", "altered")}


def repacked(
    source: Path, target: Path, change: Callable[[str, bytes], bytes | None], extra: object = None
) -> Path:
    """Write the members anew, changed (None: left out), then the extra ones, and seal again."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            content = change(member.filename.removeprefix("run-1/"), old.read(member))
            if content is not None:
                new.writestr(member, content)
        if callable(extra):
            extra(new)
        new.comment = bag_format.seal_line("0" * 64)
    target.write_bytes(resealed(target.read_bytes()))
    return target


def same(name: str, content: bytes) -> bytes:
    return content


def member(name: str, mode: int = stat.S_IFREG | 0o600) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def test_repacking_unchanged_is_intact(sealed: Path, tmp_path: Path) -> None:
    """So that what follows fails for its own reason."""
    assert found(check(repacked(sealed, tmp_path / "a.zip", same))) == set()


def test_replaced_missing_and_added_members_are_named(sealed: Path, tmp_path: Path) -> None:
    def change(name: str, content: bytes) -> bytes | None:
        if name == "data/report.html":
            return None
        return b'{"verdict": "pass!"}' if name == "data/audit.json" else content

    def extra(new: zipfile.ZipFile) -> None:
        new.writestr(member("run-1/data/new.txt"), b"new")
        new.writestr(member("run-1/new-tag.txt"), b"new")
        new.writestr(member("elsewhere/new.txt"), b"new")

    assert found(check(repacked(sealed, tmp_path / "a.zip", change, extra))) == {
        ("data/report.html", "missing"),
        ("data/audit.json", "altered"),
        ("data/new.txt", "added"),
        ("new-tag.txt", "added"),
        ("elsewhere/new.txt", "added"),
    }


@pytest.mark.parametrize(
    "info",
    [
        member("../evil.txt"),
        member("run-1/data/../../../evil.txt"),
        member("/etc/evil.txt"),
        member("C:/evil.txt"),
        member("run-1/data/..\\evil.txt"),
        member("run-1//data/evil.txt"),
        member("run-1/data/evil\n.txt"),
        member("run-1/data/link", stat.S_IFLNK | 0o777),
        member("run-1/data/pipe", stat.S_IFIFO | 0o600),
    ],
    ids=lambda info: repr(info.filename),
)
def test_unsafe_members_are_refused(
    sealed: Path, tmp_path: Path, info: zipfile.ZipInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    target = repacked(sealed, tmp_path / "a.zip", same, lambda z: z.writestr(info, b"/etc/passwd"))
    assert {what for _, what in found(check(target))} == {"refused"}
    assert {p.name for p in tmp_path.rglob("*")} == {"work", "a.zip"}


def test_two_files_of_one_name_are_refused(sealed: Path, tmp_path: Path) -> None:
    def twice(new: zipfile.ZipFile) -> None:
        with pytest.warns(UserWarning, match="Duplicate"):
            new.writestr(member("run-1/data/audit.json"), b'{"verdict": "pass"}')

    target = repacked(sealed, tmp_path / "a.zip", same, twice)
    assert found(check(target)) == {("data/audit.json", "refused")}


def test_overlapping_members_are_refused(sealed: Path, tmp_path: Path) -> None:
    """One compressed stream, listed many times over: the small file that unpacks to a huge one."""

    def overlap(new: zipfile.ZipFile) -> None:
        new.writestr(member("run-1/data/bomb0"), bytes(100_000))
        for n in range(1, 50):
            again = member(f"run-1/data/bomb{n}")
            first = new.getinfo("run-1/data/bomb0")
            again.header_offset, again.CRC = first.header_offset, first.CRC
            again.compress_size, again.file_size = first.compress_size, first.file_size
            new.filelist.append(again)

    target = repacked(sealed, tmp_path / "a.zip", same, overlap)
    result = check(target)
    assert {what for _, what in found(result)} >= {"refused"}
    assert len([p for p in result.problems if p.what == "refused"]) >= 49


def test_a_swollen_manifest_is_refused_unread(sealed: Path, tmp_path: Path) -> None:
    def swell(name: str, content: bytes) -> bytes:
        return content + b"\n" * (17 << 20) if name == "tagmanifest-sha256.txt" else content

    target = repacked(sealed, tmp_path / "a.zip", swell)
    assert ("run-1/tagmanifest-sha256.txt", "refused") in found(check(target))


def test_an_impossible_size_is_refused(sealed: Path, tmp_path: Path) -> None:
    def lie(new: zipfile.ZipFile) -> None:
        new.writestr(member("run-1/data/bomb"), bytes(1000))
        new.getinfo("run-1/data/bomb").file_size = 1 << 31

    target = repacked(sealed, tmp_path / "a.zip", same, lie)
    assert ("run-1/data/bomb", "refused") in found(check(target))


def test_names_that_bagit_reads_otherwise_are_found(sealed: Path, tmp_path: Path) -> None:
    """`*x` in a manifest is `x` for bagit, and `*x` for others."""

    def change(name: str, content: bytes) -> bytes:
        if name != "tagmanifest-sha256.txt":
            return content
        says = bag_format.parse_manifest(content).digests
        return bag_format.manifest(says | {"*x": hashlib.sha256(b"x").hexdigest()})

    def extra(new: zipfile.ZipFile) -> None:
        new.writestr(member("run-1/*x"), b"x")

    target = repacked(sealed, tmp_path / "a.zip", change, extra)
    assert found(check(target)) == {("a.zip", "damaged")}


def test_without_its_seal_an_archive_is_not_intact(sealed: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    with zipfile.ZipFile(sealed) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            new.writestr(info, old.read(info))
    assert found(check(target)) == {("a.zip", "altered")}


# --- the unpacked bag


def test_the_untouched_bag_is_intact(bag: Path) -> None:
    assert found(check(bag)) == set()
    assert "intact" in as_text(check(bag))


def test_flips_in_every_file_of_the_bag_are_found(bag: Path) -> None:
    rng = random.Random(4)
    files = sorted(p for p in bag.rglob("*") if p.is_file())
    assert len(files) == 10
    for n in range(200):
        path = files[n % len(files)]
        raw = path.read_bytes()
        at, mask = rng.randrange(len(raw)), rng.randrange(1, 256)
        path.write_bytes(flipped(raw, at, mask))
        problems = check(bag).problems
        assert problems, f"{path.name}: byte {at} ^ {mask}"
        if not path.name.startswith("tagmanifest"):  # its lines are about the others
            assert (str(path.relative_to(bag)), "altered") in {(p.path, p.what) for p in problems}
        path.write_bytes(raw)
    assert check(bag).ok


@pytest.mark.parametrize("name", ["manifest-sha256.txt", "tagmanifest-sha256.txt"])
def test_every_byte_of_the_manifests_is_watched(bag: Path, name: str) -> None:
    raw = (bag / name).read_bytes()
    for at in range(len(raw)):
        # a space becomes a tab, a hex digit its capital: readers take them for the same
        for mask in {0x20 ^ 0x09, 0x20, 1 << (at % 8)}:
            (bag / name).write_bytes(flipped(raw, at, mask))
            assert not check(bag).ok, (at, mask)
    for changed in (raw + b"\n", raw.replace(b"\n", b"\r\n"), raw + raw, b"# x\n" + raw, b""):
        (bag / name).write_bytes(changed)
        assert not check(bag).ok


def test_every_deletion_and_addition_is_found(bag: Path) -> None:
    for path in [p for p in bag.rglob("*") if p.is_file()]:
        raw, name = path.read_bytes(), str(path.relative_to(bag))
        path.unlink()
        assert found(check(bag)) == {(name, "missing")}
        path.write_bytes(raw)
    for name in ("data/new.txt", "data/backup/app.db-wal", "new.txt", "manifest-md5.txt"):
        (bag / name).touch()
        assert found(check(bag)) == {(name, "added")}
        (bag / name).unlink()
    assert check(bag).ok


def test_a_renamed_file_is_missing_and_added(bag: Path) -> None:
    (bag / "data/audit.json").rename(bag / "data/Audit.json")
    assert found(check(bag)) == {("data/audit.json", "missing"), ("data/Audit.json", "added")}


def test_links_in_the_bag_are_refused(bag: Path, tmp_path: Path) -> None:
    same_bytes = tmp_path / "same"
    (bag / "data/audit.json").rename(same_bytes)
    (bag / "data/audit.json").symlink_to(same_bytes)
    assert ("data/audit.json", "refused") in found(check(bag))


def test_the_bagit_package_has_a_veto(bag: Path) -> None:
    """Both manifests agree with the files, yet the bag is none: bagit says so."""
    (bag / "bagit.txt").write_bytes(b"BagIt-Version: none\n")
    tags = bag / "tagmanifest-sha256.txt"
    says = bag_format.parse_manifest(tags.read_bytes()).digests
    says["bagit.txt"] = hashlib.sha256((bag / "bagit.txt").read_bytes()).hexdigest()
    tags.write_bytes(bag_format.manifest(says))
    (problem,) = check(bag).problems
    assert problem.what == "damaged"
    assert "bagit" in problem.detail


def test_what_is_no_archive_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        check(tmp_path / "none.zip")
    with pytest.raises(BadInput, match="not an unpacked archive"):
        check(tmp_path)


# --- names and words


@given(st.text(max_size=40))
def test_a_safe_name_stays_where_it_is_put(name: str) -> None:
    if bag_format.why_unsafe(name) is None:
        inside = Path("/bag") / name
        assert Path(os.path.normpath(inside)) == inside
        assert inside.is_relative_to("/bag")
        assert inside != Path("/bag")


NAMES = st.text(max_size=20).filter(lambda n: bag_format.why_unsafe(n) is None)


@given(st.dictionaries(NAMES, st.binary(min_size=32, max_size=32).map(bytes.hex)))
def test_manifests_are_read_as_written(digests: dict[str, str]) -> None:
    parsed = bag_format.parse_manifest(bag_format.manifest(digests))
    assert (parsed.digests, parsed.exact) == (digests, True)


def test_hostile_names_do_not_reach_the_terminal() -> None:
    problem = Problem("data/\x1b[2Jgone\n", "added", "\x07")
    text = as_text(CheckResult(False, (problem,) * 80, "none", "a\x1b.zip"))
    assert all(c.isprintable() or c == "\n" for c in text)
    assert text.count("gone") == 50
    assert "and 30 more" in text
