"""The archive's statement: signed, stamped by an authority that openssl makes, and a stranger's check."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook.archive import bag as bag_format
from runbook.archive.seal import check, seal
from runbook.archive.timestamp import check_timestamp
from runbook.cli import main
from runbook.errors import BadInput
from runbook.report.write import write_report
from tests.support.authority import Authority, running_authority
from tests.support.paths import ROOT
from tests.support.report_factory import passed

pytestmark = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("ssh-keygen")),
    reason="openssl or ssh-keygen is not on this machine",
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with running_authority(tmp_path_factory.mktemp("authority") / "a") as authority:
        yield authority


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Path:
    """An archive that was signed and stamped, with what a stranger needs beside it."""
    place = tmp_path_factory.mktemp("stated")
    run = passed(place / "2026-03-04")
    write_report(run)
    key = place / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key]
    subprocess.run(command, check=True)
    (place / "allowed_signers").write_text(f"ann@example.com {key.with_suffix('.pub').read_text()}")
    shutil.copy(authority.certificate, place / "authority.pem")
    seal(run, sign_with=key, timestamp=authority.url)
    shutil.rmtree(run)
    return place


@pytest.fixture
def unpacked(place: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(place / "2026-03-04.zip") as container:
        container.extractall(tmp_path)
    for name in ("allowed_signers", "authority.pem"):
        shutil.copy(place / name, tmp_path)
    return tmp_path / "2026-03-04"


def test_it_names_run_database_plan_script_and_verdict(unpacked: Path) -> None:
    statement = json.loads((unpacked / "statement.json").read_text())
    run = json.loads((unpacked / "data/run.json").read_text())
    audit = json.loads((unpacked / "data/audit.json").read_text())
    about = statement["predicate"]
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert (about["run"], about["verdict"]) == (run["run"], "pass")
    for side in ("before", "after"):
        assert about[side]["tables"] == {
            t["table"]: t["all_columns"] for t in audit["digests"][side]
        }
    assert about["before"]["backup"] == audit["provenance"]["backup"]["sha256"]
    assert about["script"]["sha256"] == audit["provenance"]["ledger"]["checksum"]
    assert re.fullmatch("[0-9a-f]{64}", about["plan"]["sha256"])


def test_check_knows_the_signer_and_the_clock(place: Path) -> None:
    archive = place / "2026-03-04.zip"
    known = ["--allowed-signers", str(place / "allowed_signers")]
    known += ["--authorities", str(place / "authority.pem")]
    called = CliRunner().invoke(main, ["check", str(archive), *known])
    assert called.exit_code == 0, called.output
    assert "statement's signature: good, by ann@example.com" in called.output
    assert re.search(r"time stamp: good, 20\d\d-", called.output)
    assert "by an authority that is not known here" in check(archive).timestamp


def test_another_authority_does_not_vouch_for_it(place: Path, tmp_path: Path) -> None:
    with running_authority(tmp_path / "other") as other:
        result = check(place / "2026-03-04.zip", authorities=other.certificate)
    assert [(p.path, p.what) for p in result.problems] == [("statement.json.sig.tsr", "altered")]


def test_what_is_asked_for_must_be_there(tmp_path: Path, authority: Authority) -> None:
    run = passed(tmp_path / "run")
    sealed = seal(run)
    assert check(sealed.path).ok
    (problem,) = check(sealed.path, authorities=authority.certificate).problems
    assert problem.what == "missing"


@pytest.mark.parametrize("name", ["statement.json", "statement.json.sig", "statement.json.sig.tsr"])
def test_a_flipped_bit_is_found_even_where_the_manifest_is_written_anew(
    unpacked: Path, name: str
) -> None:
    """As somebody would who seals again; what the authority signed needs its certificate."""
    path, rng = unpacked / name, random.Random(7)
    content = path.read_bytes()
    authorities = unpacked.parent / "authority.pem"
    places = rng.sample(range(len(content)), 12)
    if name.endswith(".tsr"):  # around what is signed there are bits that no signature knows
        imprint = hashlib.sha256((unpacked / "statement.json.sig").read_bytes()).digest()
        places = [content.index(imprint) + 5, len(content) - 5, len(content) - 40]
    for at in places:
        changed = bytearray(content)
        changed[at] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(changed))
        assert not check(unpacked).ok, at  # the manifest of tag files
        rewrite_manifest(unpacked)
        wanted = None if name == "statement.json" else authorities
        assert not check(unpacked, authorities=wanted).ok, at
    path.write_bytes(content)
    rewrite_manifest(unpacked)
    assert check(unpacked, authorities=authorities).ok


def rewrite_manifest(folder: Path) -> None:
    names = [p.name for p in folder.iterdir() if p.is_file() and p.name != bag_format.TAG_MANIFEST]
    digests = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in names}
    (folder / bag_format.TAG_MANIFEST).write_bytes(bag_format.manifest(digests))


def test_a_statement_of_other_files_is_found(unpacked: Path) -> None:
    report = unpacked / "data/report.html"
    report.write_bytes(report.read_bytes().replace(b"PASS", b"FAIL", 1))
    manifest = unpacked / "manifest-sha256.txt"
    digests = bag_format.parse_manifest(manifest.read_bytes()).digests
    digests["data/report.html"] = hashlib.sha256(report.read_bytes()).hexdigest()
    manifest.write_bytes(bag_format.manifest(digests))
    rewrite_manifest(unpacked)
    (problem,) = check(unpacked).problems
    assert (problem.path, problem.what) == ("statement.json", "altered")


def test_a_strangers_lines_work_as_they_stand_in_the_document(unpacked: Path) -> None:
    text = (ROOT / "docs" / "archive.md").read_text()
    (lines,) = re.findall(r"```sh\n(cd 2026-03-04\n.+?)```", text, re.DOTALL)
    command = ["sh", "-e", "-c", lines]
    done = subprocess.run(command, cwd=unpacked.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("data/report.html", "statement.json", "statement.json.sig"):
        content = (unpacked / name).read_bytes()
        middle = len(content) // 2
        (unpacked / name).write_bytes(
            content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        )
        for line in lines.splitlines()[1:]:
            if subprocess.run(["sh", "-c", line], cwd=unpacked, capture_output=True).returncode:
                break
        else:
            pytest.fail(f"a changed {name} was not found")
        (unpacked / name).write_bytes(content)


def test_an_authority_that_gives_no_stamp_seals_nothing(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = passed(tmp_path / "run")
    with pytest.raises(BadInput, match="gave no stamp"):
        seal(run, timestamp="http://127.0.0.1:1/")
    stale = (b"0\x03\x02\x01\x02", b"", b"<html>")
    for answer in stale:
        assert check_timestamp(b"x", answer, None).state == "bad"
    assert not list(tmp_path.glob("*.zip*"))


def test_the_digest_from_the_ticket_is_compared(place: Path) -> None:
    archive = place / "2026-03-04.zip"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    for digest_given, code in ((digest, 0), (digest.upper(), 0), ("0" * 64, 1)):
        called = CliRunner().invoke(main, ["check", str(archive), "--sha256", digest_given])
        assert called.exit_code == code, called.output
