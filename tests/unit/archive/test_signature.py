"""Detached signatures, with real keys."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from runbook.archive import signature
from runbook.archive.seal import check, seal
from runbook.archive.signature import signature_path
from runbook.errors import BadInput

needs_ssh = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen (OpenSSH) is not installed"
)


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def public(key: Path) -> str:
    return key.with_suffix(".pub").read_text().strip()


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "run-1"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    return folder


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "key")


@pytest.fixture
def signers(tmp_path: Path, key: Path) -> Path:
    file = tmp_path / "allowed_signers"
    file.write_text(f"ann@example.com,ann {public(key)}\n")
    return file


@needs_ssh
def test_a_signature_by_an_allowed_signer(run_dir: Path, key: Path, signers: Path) -> None:
    sealed = seal(run_dir, sign_with=key)
    assert sealed.signature == signature_path(sealed.path)
    for identity in (None, "ann@example.com", "ann"):
        result = check(sealed.path, allowed_signers=signers, identity=identity)
        assert result.ok
        assert result.signature.startswith("good, by ann")
    # the ordinary tool agrees
    command = ["ssh-keygen", "-Y", "verify", "-n", "runbook", "-I", "ann", "-f", signers, "-s"]
    with sealed.path.open("rb") as f:
        done = subprocess.run(
            [*command, sealed.signature], stdin=f, capture_output=True, check=False
        )
    assert done.returncode == 0, done.stderr


@needs_ssh
def test_without_signers_the_signer_is_not_known(run_dir: Path, key: Path) -> None:
    result = check(seal(run_dir, sign_with=key).path)
    assert result.ok
    assert "not known" in result.signature
    assert "SHA256:" in result.signature


@needs_ssh
def test_a_stranger_is_refused(run_dir: Path, tmp_path: Path, signers: Path) -> None:
    sealed = seal(run_dir, sign_with=make_key(tmp_path / "stranger"))
    result = check(sealed.path, allowed_signers=signers)
    assert not result.ok
    assert [(p.path, p.what) for p in result.problems] == [
        ("run-1.zip.sig", "refused"),
        ("statement.json.sig", "refused"),
    ]


@needs_ssh
def test_another_person_is_refused(run_dir: Path, key: Path, signers: Path) -> None:
    sealed = seal(run_dir, sign_with=key)
    assert not check(sealed.path, allowed_signers=signers, identity="bob@example.com").ok


@needs_ssh
def test_a_signature_for_another_purpose_does_not_count(
    run_dir: Path, key: Path, signers: Path
) -> None:
    sealed = seal(run_dir)
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", key, sealed.path]
    subprocess.run(command, check=True, capture_output=True)
    assert signature_path(sealed.path).exists()
    assert not check(sealed.path, allowed_signers=signers).ok
    assert not check(sealed.path).ok


@needs_ssh
def test_a_required_signature_must_be_there(run_dir: Path, signers: Path) -> None:
    result = check(seal(run_dir).path, allowed_signers=signers)
    assert [(p.path, p.what) for p in result.problems] == [("run-1.zip.sig", "missing")]


@needs_ssh
def test_a_resealed_archive_no_longer_fits_its_signature(run_dir: Path, key: Path) -> None:
    """What the seal alone cannot notice."""
    sealed = seal(run_dir, sign_with=key)
    (run_dir / "run.json").write_text('{"operator": "somebody else"}')
    sealed.path.unlink()
    other = seal(run_dir, run_dir.with_name("other.zip"))
    other.path.rename(sealed.path)
    result = check(sealed.path)
    assert [(p.path, p.what) for p in result.problems] == [("run-1.zip.sig", "altered")]


@needs_ssh
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_flips_in_the_signature_are_found(run_dir: Path, tmp_path: Path, kind: str) -> None:
    sealed = seal(run_dir, sign_with=make_key(tmp_path / "k", kind))
    beside = signature_path(sealed.path)
    raw = beside.read_bytes()
    assert check(sealed.path).ok
    rng = random.Random(7)
    tail = range(raw.index(b"\n-----END") - 4, len(raw))  # with base64's unused bits
    for at in [*rng.sample(range(len(raw)), 40), *tail]:
        beside.write_bytes(raw[:at] + bytes([raw[at] ^ rng.randrange(1, 256)]) + raw[at + 1 :])
        assert not check(sealed.path).ok, at


@pytest.mark.parametrize(("body", "intact"), [(b"AA==", True), (b"AB==", False), (b"AAAAA", False)])
def test_bits_that_decode_to_nothing_count_too(body: bytes, intact: bool) -> None:
    armored = b"-----BEGIN SSH SIGNATURE-----\n" + body + b"\n-----END SSH SIGNATURE-----\n"
    assert signature._well_formed(armored) is intact
    assert not signature._well_formed(armored + b"\n")


@needs_ssh
def test_a_key_that_cannot_sign_leaves_no_archive(run_dir: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("no key")
    broken.chmod(0o600)
    for bad in (broken, tmp_path / "missing"):
        with pytest.raises(BadInput):
            seal(run_dir, sign_with=bad)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken", "run-1"]


@needs_ssh
def test_a_signature_is_not_overwritten(run_dir: Path, key: Path) -> None:
    old = signature_path(run_dir.with_name("run-1.zip"))
    old.write_text("old")
    with pytest.raises(BadInput, match="already exists"):
        seal(run_dir, sign_with=key)
    assert old.read_text() == "old"


def test_without_the_tool_nothing_is_pretended(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = seal(run_dir)
    signature_path(sealed.path).write_bytes(
        b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
    )
    (tmp_path / "key").write_text("")
    monkeypatch.setattr(signature.shutil, "which", lambda name: None)
    assert check(sealed.path).signature.startswith("not checked")
    with pytest.raises(BadInput, match="ssh-keygen was not found"):
        check(sealed.path, allowed_signers=tmp_path / "key")
    with pytest.raises(BadInput, match="ssh-keygen was not found"):
        seal(run_dir, tmp_path / "two.zip", sign_with=tmp_path / "key")
    assert not (tmp_path / "two.zip").exists()


def test_questions_that_cannot_be_answered_are_bad_input(run_dir: Path, tmp_path: Path) -> None:
    sealed = seal(run_dir)
    with pytest.raises(BadInput, match="allowed signers"):
        check(sealed.path, identity="ann@example.com")
    with pytest.raises(BadInput, match="does not exist"):
        check(sealed.path, allowed_signers=tmp_path / "none")
