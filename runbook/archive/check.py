"""Check an archive, or a bag that was unpacked from one, and say what was altered.

Whatever the input, memory stays below 200 MB: what could be large is refused before it is read.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runbook.archive import bag
from runbook.archive.members import Problem, check_folder, check_zip, digest_of
from runbook.archive.signature import can_verify, signature_path, verify
from runbook.archive.statement import Attested, check_statement
from runbook.errors import BadInput
from runbook.wording import counted, more


@dataclass(frozen=True)
class CheckResult:
    """Whether everything is as it was sealed; `ok` is true only if there are no problems."""

    ok: bool
    problems: tuple[Problem, ...]
    signature: str
    archive: str = ""
    files: int = 0
    statement_signature: str = "none"
    timestamp: str = "none"


@dataclass(frozen=True)
class _Wanted:
    """What is asked of an archive beyond being intact, see `check`."""

    allowed_signers: Path | None
    identity: str | None
    authorities: Path | None
    sha256: str


def check(
    archive: Path,
    *,
    allowed_signers: Path | None = None,
    identity: str | None = None,
    authorities: Path | None = None,
    sha256: str = "",
) -> CheckResult:
    """Check every byte of a sealed file, or every file of an unpacked bag.

    With allowed signers (a file as for ssh-keygen(1)), a signature by one of them (by `identity`,
    if given) is required; with authorities (certificates in PEM), a time stamp that one of them
    vouches for; with `sha256`, that this is the file's. Raises BadInput if there is nothing to
    check, or if what is wanted cannot be checked.
    """
    wanted = _Wanted(allowed_signers, identity, authorities, sha256)
    can_verify(wanted.allowed_signers, wanted.identity)
    if archive.is_dir():
        return _check_unpacked(archive, wanted)
    try:
        sealed, sha256 = _seal_holds(archive)
    except OSError as error:
        raise BadInput(f"{archive} cannot be read ({error.strerror}); check the path.") from error
    problems, files, tags = check_zip(archive)
    if not sealed:
        about = (
            "its bytes are not the sealed ones"
            if problems
            else "its contents match the manifests, but other bytes (seal, headers, padding) differ"
        )
        problems.insert(0, Problem(archive.name, "altered", about))
    if wanted.sha256 and wanted.sha256.strip().lower() != sha256:
        about = f"its SHA-256 is {sha256}, not the one that was given"
        problems.insert(0, Problem(archive.name, "altered", about))
    signature_file = signature_path(archive)
    signed = verify(
        archive,
        signature_file,
        allowed_signers=wanted.allowed_signers,
        identity=wanted.identity,
    )
    if signed.state == "bad":
        problems.append(Problem(signature_file.name, "altered", signed.text))
    elif signed.state == "refused":
        problems.append(Problem(signature_file.name, "refused", signed.text))
    elif signed.state == "none" and wanted.allowed_signers is not None:
        problems.append(Problem(signature_file.name, "missing", "a signature was asked for"))
    return _with_statement(
        CheckResult(False, tuple(problems), signed.text, archive.name, files), tags, wanted
    )


def _check_unpacked(archive: Path, wanted: _Wanted) -> CheckResult:
    for value, what in ((wanted.allowed_signers, "signature"), (wanted.sha256, "SHA-256")):
        if value:
            raise BadInput(
                f"The {what} is of the sealed file, and {archive} is a folder; "
                "check the file instead."
            )
    problems, files, tags = check_folder(archive)
    signature = "not checked: it is of the sealed file, not of an unpacked folder"
    result = CheckResult(False, tuple(problems), signature, archive.name, files)
    return _with_statement(result, tags, wanted)


def _with_statement(result: CheckResult, tags: Mapping[str, bytes], wanted: _Wanted) -> CheckResult:
    """The result with what the archive states of itself; `ok` if nothing at all is wrong."""
    problems, attested = result.problems, Attested()
    if bag.MANIFEST in tags:
        attested = check_statement(
            tags,
            allowed_signers=wanted.allowed_signers,
            identity=wanted.identity,
            authorities=wanted.authorities,
        )
        problems += attested.problems
    return dataclasses.replace(
        result,
        ok=not problems,
        problems=problems,
        statement_signature=attested.signature,
        timestamp=attested.timestamp,
    )


def as_text(result: CheckResult, *, most: int = 50) -> str:
    """The result for a terminal: one line a problem, at most `most` of them."""
    name = _plain(result.archive) or "archive"
    if result.ok:
        lines = [
            f"{name}: intact, {counted(result.files, 'file')}, nothing altered, missing or added"
        ]
    else:
        lines = [f"{name}: NOT as it was sealed, {counted(len(result.problems), 'problem')}"]
    for problem in result.problems[:most]:
        detail = f" ({_plain(problem.detail)})" if problem.detail else ""
        lines.append(f"  {problem.what:8} {_plain(problem.path)}{detail}")
    if len(result.problems) > most:
        lines.append(f"  {more(len(result.problems) - most)}")
    lines.append(f"signature: {_plain(result.signature)}")
    for what, text in (
        ("statement's signature", result.statement_signature),
        ("time stamp", result.timestamp),
    ):
        if text != "none":
            lines.append(f"{what}: {_plain(text)}")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """No control characters: a hostile file name must not steer the terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _seal_holds(archive: Path) -> tuple[bool, str]:
    """Whether the file ends in a seal that fits all bytes before it, and its whole SHA-256."""
    with archive.open("rb") as f:
        body = max(os.fstat(f.fileno()).st_size - bag.SEAL_BYTES, 0)
        sha = digest_of(f, body)
        actual = sha.hexdigest()
        tail = f.read(bag.SEAL_BYTES + 1)
        sha.update(tail)
        return bag.sealed_digest(tail) == actual, sha.hexdigest()
