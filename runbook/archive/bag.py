"""The form of an archive: file names, manifests, tag files and the seal. Pure functions.

An archive is one ZIP file that holds one BagIt bag (version 0.97, RFC 8493's predecessor, which
the `bagit` package writes) in one top folder:

    <run>/bagit.txt  bag-info.txt  manifest-sha256.txt  tagmanifest-sha256.txt
    <run>/statement.json           what the archive states of itself; also .sig and .tsr
    <run>/left-out-sha256.txt      only if the bulky folders were left out
    <run>/data/...                 the run folder

Manifests cover what a reader unpacks. They cannot cover the container's own bytes (headers,
time stamps, the unused bits after a deflate stream), which no reader looks at. So the ZIP's
comment, the last bytes of the file, is a *seal*: the SHA-256 of every byte before it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BAGIT = "bagit.txt"
BAG_INFO = "bag-info.txt"
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"
LEFT_OUT = "left-out-sha256.txt"
PAYLOAD = "data/"
STATEMENT = "statement.json"
STATEMENT_SIGNATURE = "statement.json.sig"
STATED = (STATEMENT, STATEMENT_SIGNATURE, f"{STATEMENT}.tsr", f"{STATEMENT_SIGNATURE}.tsr")
"""What may be there of the statement: itself, its signature, and a time stamp of either."""
REQUIRED = (BAGIT, BAG_INFO, MANIFEST, TAG_MANIFEST)

BAGIT_TXT = b"BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n"

_SEAL = "Sealed by runbook; SHA-256 of every byte before this comment: "
_SEAL_PATTERN = re.compile(re.escape(_SEAL.encode()) + rb"([0-9a-f]{64})\n")
SEAL_BYTES = len(_SEAL) + 64 + 1

_MANIFEST_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")


def seal_line(digest: str) -> bytes:
    """The seal with this hexadecimal SHA-256; always SEAL_BYTES long."""
    return f"{_SEAL}{digest}\n".encode("ascii")


def sealed_digest(tail: bytes) -> str | None:
    """The digest in the last SEAL_BYTES of a file, or None if they are not a seal."""
    match = _SEAL_PATTERN.fullmatch(tail)
    return match[1].decode("ascii") if match else None


def why_unsafe(name: str) -> str | None:
    """Why a relative path must not be in an archive, as a phrase; None if it may.

    Refused is what leaves the folder when unpacked, and what `sha256sum`, `bagit` or a ZIP
    reader would read as another name than the one written.
    """
    parts = name.split("/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "is an absolute path"
    if ".." in parts:
        return "leads out of the folder"
    if "" in parts or "." in parts:
        return "has an empty part"
    if "\\" in name:
        return "has a backslash"
    # U+0085, U+2028 and U+2029 end a line for some readers of manifests
    if re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", name):
        return "has a control character"
    if re.search("%0[ad]", name, re.IGNORECASE):
        return "has %0A or %0D, which BagIt reads as a line end"
    if name != name.strip():
        return "begins or ends with a space"
    if any("\ud800" <= c <= "\udfff" for c in name):
        return "is not valid UTF-8"
    return None


def manifest(digests: Mapping[str, str]) -> bytes:
    """A manifest in the form that `sha256sum -c` reads, ordered by name."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


@dataclass(frozen=True)
class Parsed:
    """What a manifest says; `exact` is false if it is not as `manifest()` writes it."""

    digests: dict[str, str]
    exact: bool


def parse_manifest(raw: bytes) -> Parsed:
    """Read what can be read of a manifest; every unusual byte makes it inexact."""
    digests: dict[str, str] = {}
    for line in io.BytesIO(raw):  # one by one: a hostile file may have millions
        text = line.decode("utf-8", "replace").removesuffix("\n")
        if match := _MANIFEST_LINE.fullmatch(text):
            digests.setdefault(match[2], match[1])
    return Parsed(digests, manifest(digests) == raw)


def tag_file(fields: Iterable[tuple[str, str]]) -> bytes:
    """`Name: value` lines; control characters and line ends in values become spaces."""
    lines = []
    for name, value in fields:
        plain = "".join(c if c.isprintable() else " " for c in value).strip()
        lines.append(f"{name}: {plain or '-'}\n")
    return "".join(lines).encode()


def left_out(files: Mapping[str, tuple[str, int]]) -> bytes:
    """The list of files that were left out: SHA-256 and size in bytes, by path in the run folder.

    Comment lines hold the sizes, so that `sha256sum -c` still reads the file.
    """
    lines = ["# Not in this archive. In the run folder: sha256sum -c THIS_FILE compares them.\n"]
    for name in sorted(files):
        digest, size = files[name]
        lines.append(f"# {size} bytes\n{digest}  {name}\n")
    return "".join(lines).encode()
