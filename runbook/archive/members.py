"""The files in an archive, sealed or unpacked, against its manifests.

Nothing is unpacked to disk except the few small tag files, files are read in pieces, and a
damaged or hostile container gives a result, never a traceback.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import stat
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from runbook.archive import bag
from runbook.archive.limits import (
    DEFLATE_LIMIT,
    MOST_FILES,
    MOST_LEVELS,
    TAG_LIMIT,
    Bounded,
    TooLarge,
    too_long,
    too_much,
)
from runbook.errors import BadInput

_READ = (*bag.REQUIRED, *bag.STATED)
"""The files of a bag that are read as a whole."""

PIECE = 1 << 20  # bytes read at once

# what zipfile raises when bytes are not what it expects
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    OSError,
    LookupError,
)

What = Literal["altered", "missing", "added", "damaged", "refused"]


@dataclass(frozen=True)
class Problem:
    """One file that is not as it was sealed.

    `path` is relative to the bag, or the archive's own name. `what`: "altered" (other bytes),
    "missing", "added", "damaged" (cannot be read), "refused" (unsafe to unpack, or signed by
    someone who is not allowed). `detail` says more.
    """

    path: str
    what: What
    detail: str = ""


def digest_of(file: IO[bytes], count: int | None = None) -> hashlib._Hash:
    """SHA-256 of the next `count` bytes of a file, or of all that are left."""
    sha = hashlib.sha256()
    while count is None or count > 0:
        piece = file.read(PIECE if count is None else min(PIECE, count))
        if not piece:
            break
        sha.update(piece)
        if count is not None:
            count -= len(piece)
    return sha


Checked = tuple[list[Problem], int, dict[str, bytes]]
"""What is wrong, how many files there are, and those of them that were read."""


def check_zip(archive: Path) -> Checked:
    """Every file in a sealed archive."""
    try:
        with archive.open("rb") as file, zipfile.ZipFile(Bounded(file)) as container:
            size = os.fstat(file.fileno()).st_size
            if refusal := too_much(container.infolist(), size):
                return [Problem(archive.name, "refused", refusal)], 0, {}
            return _check_members(container, archive.name)
    except TooLarge as error:
        return [Problem(archive.name, "refused", str(error))], 0, {}
    except _UNREADABLE as error:
        return [Problem(archive.name, "damaged", f"not a readable ZIP file: {error}")], 0, {}


def _check_members(container: zipfile.ZipFile, archive: str) -> Checked:
    members = container.infolist()
    tops = Counter(m.filename.split("/")[0] for m in members)
    top = tops.most_common(1)[0][0] + "/" if tops else "/"
    problems: list[Problem] = []
    digests: dict[str, str | None] = {}
    tags: dict[str, bytes] = {}
    overlapping = _overlapping(members, container.start_dir)
    for member in members:
        if member.filename == top and member.file_size == 0:
            continue  # the bag's own folder, there to carry its mode
        name = member.filename.removeprefix(top)
        refusal = _refusal(member, overlapping, payload=name.startswith(bag.PAYLOAD))
        if refusal:
            problems.append(Problem(member.filename, "refused", refusal))
            digests.setdefault(name, None)
        elif not member.filename.startswith(top):
            problems.append(Problem(member.filename, "added", "outside the folder of the bag"))
        elif name in digests:
            problems.append(Problem(name, "refused", "there are two files of this name"))
        else:
            digests[name] = None
            try:
                with container.open(member) as content:
                    if name in _READ:  # others are as good as payload
                        tags[name] = content.read(TAG_LIMIT + 1)
                        digests[name] = hashlib.sha256(tags[name]).hexdigest()
                    else:
                        digests[name] = digest_of(content).hexdigest()
            except _UNREADABLE as error:
                what: What = "altered" if "CRC" in str(error) else "damaged"
                problems.append(Problem(name, what, str(error)))
    problems += _compare(digests, tags)
    if not problems:
        problems += _bagit_objects(archive, tags)
    return problems, len(digests), tags


def _overlapping(members: list[zipfile.ZipInfo], end: int) -> set[int]:
    """Offsets of members that share bytes: a small file that unpacks to a huge one."""
    bad = set()
    ordered = sorted(members, key=lambda m: m.header_offset)
    ends = [m.header_offset for m in ordered[1:]] + [end]
    for member, limit in zip(ordered, ends, strict=True):
        # a local header has 30 bytes and the name at least
        if member.header_offset + 30 + member.compress_size > limit:
            bad.add(member.header_offset)
    return bad


def _refusal(member: zipfile.ZipInfo, overlapping: set[int], *, payload: bool) -> str | None:
    """Why this member is not even read; None if it may be."""
    if long := too_long(member.filename):
        return f"its name {long}"
    # orig_filename: zipfile cuts a name at a NUL character
    if member.orig_filename != member.filename:
        return "its name is ambiguous"
    if unsafe := bag.why_unsafe(member.filename):
        return f"its name {unsafe}"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.create_system != 3 or kind != stat.S_IFREG:
        return "it is not a regular file"
    if member.flag_bits & 0x1:
        return "it is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "it is compressed in an unknown way"
    if member.header_offset in overlapping:
        return "it overlaps another file"
    if member.file_size > DEFLATE_LIMIT * max(member.compress_size, 1):
        return "its size is impossible"
    if not payload and member.file_size > TAG_LIMIT:
        return "it is too large for a tag file"
    return None


def check_folder(folder: Path) -> Checked:
    """Every file in an unpacked archive.

    Raises BadInput if it is none.
    """
    if not any((folder / name).exists() for name in bag.REQUIRED):
        raise BadInput(f"{folder} is not an unpacked archive; give the sealed file or such a one.")
    problems: list[Problem] = []
    digests: dict[str, str | None] = {}
    tags: dict[str, bytes] = {}
    entries = list(itertools.islice(walk(folder), MOST_FILES + 1))
    if len(entries) > MOST_FILES:
        return [Problem(folder.name, "refused", f"it has more than {MOST_FILES:,} files")], 0, {}
    for name, entry in sorted(entries, key=lambda pair: pair[0]):
        if unsafe := too_long(name):
            problems.append(Problem(name, "refused", f"its name {unsafe}"))
            continue
        if not entry.is_file(follow_symlinks=False):
            problems.append(Problem(name, "refused", "it is not a regular file"))
            continue
        digests[name] = None
        try:
            with Path(entry.path).open("rb") as content:
                digests[name] = digest_of(content).hexdigest()
                if not name.startswith(bag.PAYLOAD) and content.tell() > TAG_LIMIT:
                    problems.append(Problem(name, "refused", "too large for a tag file"))
                elif name in _READ:
                    content.seek(0)
                    tags[name] = content.read(TAG_LIMIT + 1)
        except OSError as error:
            problems.append(Problem(name, "damaged", error.strerror or str(error)))
    problems += _compare(digests, tags)
    if not problems:
        problems += _bagit_objects(folder.name, tags, folder)
    return problems, len(digests), tags


def walk(folder: Path, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything below a folder that is not a folder: path with slashes, and entry.

    Links are not followed; of folders in very many folders, only that they are there is said.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and prefix.count("/") <= MOST_LEVELS:
                yield from walk(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry


def _compare(digests: Mapping[str, str | None], tags: Mapping[str, bytes]) -> list[Problem]:
    """The files that are there, with their digests, against what the manifests say.

    A digest of None: there, but not read, and reported already.
    """
    problems = [Problem(name, "missing") for name in bag.REQUIRED if name not in digests]
    listed: dict[str, str] = {bag.TAG_MANIFEST: ""}  # it lists the others, nothing lists it
    manifest_altered = False
    for manifest in (bag.TAG_MANIFEST, bag.MANIFEST):
        payload = manifest == bag.MANIFEST
        if manifest not in tags:  # then nothing is known of what it lists
            listed |= {n: "" for n in digests if n.startswith(bag.PAYLOAD) == payload}
            continue
        says = bag.parse_manifest(tags[manifest])
        in_place = {n for n in says.digests if n.startswith(bag.PAYLOAD) == payload}
        if not says.exact or len(in_place) < len(says.digests):
            problems.append(Problem(manifest, "altered", "it is not in the form it was written"))
            manifest_altered |= payload
        doubt = ", which is itself altered" if payload and manifest_altered else ""
        for name in sorted(in_place):
            listed[name] = says.digests[name]
            if name not in digests:
                if name not in bag.REQUIRED:
                    problems.append(Problem(name, "missing", f"listed in {manifest}{doubt}"))
            elif digests[name] not in (None, says.digests[name]):
                problems.append(Problem(name, "altered", f"differs from {manifest}{doubt}"))
                manifest_altered |= name == bag.MANIFEST
    unlisted = (n for n in sorted(digests) if digests[n] is not None and n not in listed)
    problems += [Problem(name, "added", "in no manifest") for name in unlisted]
    return list({(p.path, p.what): p for p in reversed(problems)}.values())[::-1]


def _bagit_objects(
    archive: str, tags: Mapping[str, bytes], folder: Path | None = None
) -> list[Problem]:
    """A second opinion by the `bagit` package on a bag that seems right.

    It parses tag files and manifests with code that is not ours; for a folder, it also checks
    that all files are there.
    """
    import bagit  # 0.15 s, and only archives need it

    with _quiet(), tempfile.TemporaryDirectory() as scratch:
        for name in bag.REQUIRED:
            Path(scratch, name).write_bytes(tags[name])
        try:
            entries: dict[str, dict[str, Any]] = bagit.Bag(scratch).entries
            if folder is not None:
                bagit.Bag(str(folder)).validate(completeness_only=True)
        except (bagit.BagError, ValueError, OSError) as error:
            return [Problem(archive, "damaged", f"the bagit package objects: {error}")]
    ours = {
        name: {"sha256": digest}
        for manifest in (bag.MANIFEST, bag.TAG_MANIFEST)
        for name, digest in bag.parse_manifest(tags[manifest]).digests.items()
    }
    if entries == ours:
        return []
    return [Problem(archive, "damaged", "the bagit package reads the manifests otherwise")]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep bagit's log off the terminal, and its use of what newer Pythons deprecate."""
    logger = logging.getLogger("bagit")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "'count' is passed as positional", DeprecationWarning, module="bagit"
            )
            yield
    finally:
        logger.disabled = before
