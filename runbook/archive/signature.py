"""Detached signatures with an SSH key that the operator already has (`ssh-keygen -Y`).

A seal notices accidents; only a signature notices someone who seals again after a change.
The signature covers the whole archive file and stands beside it as `<archive>.sig`, so that
`ssh-keygen -Y verify` alone can check it too.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runbook.errors import BadInput

NAMESPACE = "runbook"  # a signature made for anything else does not count

_ARMOR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n"
    rb"((?:[A-Za-z0-9+/]+\n)*[A-Za-z0-9+/]+={0,2}\n)"
    rb"-----END SSH SIGNATURE-----\n"
)
_MAX_SIGNATURE = 100_000  # bytes; real ones have less than 4,000


@dataclass(frozen=True)
class Signature:
    """What is known of a signature.

    `state`: "none" (there is none), "unchecked" (no tool), "good" (by an allowed signer),
    "unknown" (intact, but whose key it is is not known), "refused" (intact, but by a key or
    person that is not allowed), "bad" (does not fit the file). `text` says it to a person. `key`
    is type and fingerprint of the key of an intact one, `principal` whose it is if that is known.
    """

    state: Literal["none", "unchecked", "good", "unknown", "refused", "bad"]
    text: str
    key: str = ""
    principal: str = ""


def signature_path(archive: Path) -> Path:
    """Where the signature of an archive stands: beside it."""
    return archive.with_name(archive.name + ".sig")


def sign(file: Path, key: Path) -> bytes:
    """Sign a file; the key may be a private key, or a public key whose other half an agent holds.

    Raises BadInput if the tool or the key is missing or does not sign.
    """
    if not key.is_file():
        raise BadInput(f"The signing key {key} does not exist; give the path of an SSH key.")
    done = _ssh_keygen(["sign", "-n", NAMESPACE, "-f", str(key.absolute())], file)
    if done is None:
        raise BadInput("ssh-keygen was not found; install OpenSSH, or seal without a signature.")
    if done.returncode or not _well_formed(done.stdout):
        raise BadInput(
            f"ssh-keygen did not sign with {key} ({_last_line(done.stderr)}); "
            "try it by hand, or seal without a signature."
        )
    return done.stdout


def can_verify(allowed_signers: Path | None, identity: str | None) -> None:
    """Raise BadInput if the signer must be known, but the means to know are missing."""
    if identity is not None and allowed_signers is None:
        raise BadInput(f"Who {identity} is cannot be known; give a file of allowed signers too.")
    if allowed_signers is not None and not allowed_signers.is_file():
        raise BadInput(f"The file of allowed signers {allowed_signers} does not exist; check it.")
    if allowed_signers is not None and shutil.which("ssh-keygen") is None:
        raise BadInput("ssh-keygen was not found, so signers cannot be checked; install OpenSSH.")


def verify(
    file: Path, signature: Path, *, allowed_signers: Path | None, identity: str | None
) -> Signature:
    """Check a detached signature of a file; see Signature for the outcomes.

    `allowed_signers`: a file as in ssh-keygen(1), ALLOWED SIGNERS. `identity`: who must have
    signed; without it, anyone in that file may have. Raises BadInput as `can_verify` does.
    """
    can_verify(allowed_signers, identity)
    if not signature.is_file():
        return Signature("none", "none")
    with signature.open("rb") as f:
        # base64 has bits that decode to nothing; a changed one must be noticed all the same
        if not _well_formed(f.read(_MAX_SIGNATURE)):
            return Signature("bad", f"bad: {signature.name} is not an intact signature")

    where = ["-n", NAMESPACE, "-s", str(signature.absolute())]
    fits = _ssh_keygen(["check-novalidate", *where], file)
    if fits is None:
        return Signature("unchecked", "not checked: ssh-keygen is not installed")
    if fits.returncode:
        return Signature("bad", "bad: the signature is not of this file")
    key = _key(fits.stdout)
    if allowed_signers is None:
        text = f"intact, by {key}; whose key that is, is not known here"
        return Signature("unknown", text, key)

    allowed = str(allowed_signers.absolute())
    who = identity
    if who is None:
        principals = _ssh_keygen(["find-principals", "-s", where[-1], "-f", allowed], file)
        if principals and principals.returncode == 0:
            names = principals.stdout.decode(errors="replace")
            who = re.split(r"[,\n]", names)[0].strip()
    if who:
        good = _ssh_keygen(["verify", *where, "-f", allowed, "-I", who], file)
        if good is not None and good.returncode == 0:
            return Signature("good", f"good, by {who} with {key}", key, who)
    wanted = identity or "anyone in the file of allowed signers"
    return Signature("refused", f"refused: intact, but {key} is not a key of {wanted}", key)


def read_key(file: Path, signature: Path) -> str:
    """Type and fingerprint of the key that made a detached signature, which must fit the file.

    Raises BadInput, as half a sentence, if it does not, or if that cannot be known.
    """
    signed = verify(file, signature, allowed_signers=None, identity=None)
    if signed.state != "unknown":
        raise BadInput(f"its signature is {signed.text}")
    return signed.key


def principal_of(file: Path, signature: Path, allowed_signers: Path) -> str:
    """Whose key made a signature, by a file of allowed signers; "" if it is nobody's there.

    Raises BadInput as `can_verify` does.
    """
    signed = verify(file, signature, allowed_signers=allowed_signers, identity=None)
    return signed.principal if signed.state == "good" else ""


def _ssh_keygen(arguments: list[str], file: Path) -> subprocess.CompletedProcess[bytes] | None:
    """Run `ssh-keygen -Y ...` with the file as standard input; None if there is no such tool."""
    tool = shutil.which("ssh-keygen")
    if tool is None:
        return None
    with file.open("rb") as message:  # it reads in small pieces, so any size will do
        return subprocess.run(
            [tool, "-Y", *arguments],
            stdin=message,
            capture_output=True,
            env=os.environ | {"LC_ALL": "C"},
            check=False,
        )


def _well_formed(armored: bytes) -> bool:
    match = _ARMOR.fullmatch(armored)
    if not match:
        return False
    body = match[1].replace(b"\n", b"")
    try:
        return base64.b64encode(base64.b64decode(body, validate=True)) == body
    except binascii.Error:
        return False


def _key(output: bytes) -> str:
    match = re.search(rb"with (\S+) key (\S+)", output)
    return f"{match[1].decode()} key {match[2].decode()}" if match else "a key"


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else "it gave no reason"
