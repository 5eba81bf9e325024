"""Seal a run folder: one ZIP file with a BagIt bag in it, which `check` proves intact.

ZIP, because every system opens it without installing anything and one file can be read from
the middle of gigabytes. The run folder is only read. The same folder gives the same bytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

from runbook import __version__
from runbook.archive import bag
from runbook.archive.check import CheckResult, as_text, check
from runbook.archive.incomplete import incomplete, read_object
from runbook.archive.limits import MOST_FILES, swells, too_long
from runbook.archive.members import PIECE, Problem, digest_of, walk
from runbook.archive.signature import sign, signature_path
from runbook.archive.statement import attest, endorse
from runbook.errors import BadInput, RunbookError, RunFolderError
from runbook.files import publish, scratch_file

__all__ = ["CheckResult", "Problem", "Sealed", "as_text", "check", "seal"]

BULKY = ("backup/", "snapshots/")
_SKIPPED = (".lock", ".tmp")
_COMPRESSED = (".parquet", ".png", ".jpg", ".jpeg", ".webp", ".gz", ".zst", ".xz", ".bz2", ".zip")
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)  # ZIP knows no earlier time
_LATEST = datetime(2107, 12, 31, tzinfo=UTC)  # and no later one


@dataclass(frozen=True)
class Sealed:
    """A sealed archive: SHA-256 of the whole file, its bytes, the run's files in it."""

    path: Path
    sha256: str
    bytes: int
    files: int
    signature: Path | None
    incomplete: tuple[str, ...] = ()
    """What the run's own records name and is missing or damaged."""


_Stamp = tuple[int, int, int]
"""Size, time and inode, by which a file that changes while it is read gives itself away."""


@dataclass(frozen=True)
class _Form:
    """What is sealed, and who vouches for it, see `seal`."""

    bulky: bool
    sign_with: Path | None
    timestamp: str


def seal(
    run_dir: Path,
    out: Path | None = None,
    *,
    bulky: bool = True,
    sign_with: Path | None = None,
    timestamp: str = "",
) -> Sealed:
    """Seal a run folder into one file (default: `<run>.zip` beside it), and check it.

    Without `bulky`, backup and snapshots are left out, but their SHA-256s and sizes are kept.
    `sign_with`: an SSH key for a detached signature beside the file, and for one of the statement
    in it; `timestamp`: URL of an authority that stamps it (RFC 3161). Nothing gets its final name
    before it is complete, and nothing is overwritten. Raises RunFolderError if the folder is
    missing, not a run folder, in use, or changing; BadInput if the output, the key or the
    authority cannot be used.
    """
    run_dir = _run_folder(run_dir)
    out = _output(run_dir, out)
    if sign_with is not None and signature_path(out).exists():
        raise BadInput(f"{signature_path(out)} already exists; move it away, or name another file.")
    try:
        with _not_in_use(run_dir), scratch_file(out) as scratch:
            form = _Form(bulky, sign_with, timestamp)
            sha256, size, written = _write_checked(run_dir, scratch, form)
            signature = _publish(scratch, out, sign_with)
    except FileExistsError as error:
        raise BadInput(f"{error.filename2 or out} already exists; name another file.") from error
    except OSError as error:
        where = error.filename or out
        raise BadInput(
            f"Sealing {run_dir} failed at {where} ({error.strerror}); correct that, and seal again."
        ) from error
    return Sealed(out, sha256, size, written.files, signature, written.incomplete)


@dataclass(frozen=True)
class _Written:
    """How many of the run's files are in an archive, and what the run lacks."""

    files: int
    incomplete: tuple[str, ...]


def _write_checked(run_dir: Path, scratch: Path, form: _Form) -> tuple[str, int, _Written]:
    """Write the archive and check it; its SHA-256, its bytes, and what is in it."""
    stamps = _stamps(run_dir)
    with scratch.open("r+b") as f:
        written = _write(run_dir, stamps, f, form)
        kept = (s[0] for n, s in stamps.items() if form.bulky or not n.startswith(BULKY))
        if swells(sum(kept), f.seek(0, os.SEEK_END)):  # a database that is almost empty
            f.seek(0)
            f.truncate()
            written = _write(run_dir, stamps, f, form, compress=False)
        sha256 = _write_seal(f)
        size = f.tell()
    if _stamps(run_dir) != stamps:
        raise RunFolderError(
            f"{run_dir} changed while it was being sealed; wait until nothing uses it."
        )
    result = check(scratch)
    if not result.ok:
        first = result.problems[0]
        raise RunbookError(
            f"The new archive of {run_dir} does not check ({first.path}: {first.what}, "
            f"{first.detail}); check the disk, and seal again."
        )
    return sha256, size, written


def _publish(scratch: Path, out: Path, sign_with: Path | None) -> Path | None:
    """Give the finished archive its name; before that, its signature (returned) its own."""
    if sign_with is None:
        publish(scratch, out)
        return None
    signature = signature_path(out)
    with scratch_file(signature) as signed:
        signed.write_bytes(sign(scratch, sign_with))
        publish(signed, signature)
    try:  # last: where the archive is, all of it is
        publish(scratch, out)
    except OSError:
        signature.unlink(missing_ok=True)
        raise
    return signature


def _run_folder(run_dir: Path) -> Path:
    folder = run_dir.resolve()
    if not folder.is_dir():
        raise RunFolderError(f"The run folder {run_dir} does not exist; check the path.")
    if not (folder / "run.json").is_file():
        raise RunFolderError(f"{run_dir} is not a run folder (it has no run.json); check the path.")
    if unsafe := bag.why_unsafe(folder.name):
        raise RunFolderError(f"The run folder's name {folder.name!r} {unsafe}; rename it.")
    return folder


def _output(run_dir: Path, out: Path | None) -> Path:
    out = run_dir.with_name(run_dir.name + ".zip") if out is None else out.absolute()
    if not out.parent.is_dir():
        raise BadInput(f"The folder {out.parent} does not exist; make it, or name another file.")
    if out.parent.resolve().is_relative_to(run_dir):
        raise BadInput(f"The archive {out} would lie in the run folder itself; name another file.")
    if os.path.lexists(out):
        raise BadInput(f"{out} already exists; move it away, or name another file.")
    return out


@contextmanager
def _not_in_use(run_dir: Path) -> Iterator[None]:
    """Hold every lock file below the run folder, shared; refuse if someone holds it alone.

    Not with filelock, which opens lock files for writing: the run folder is only read.
    """
    with ExitStack() as stack:
        for name, entry in walk(run_dir):
            if name.endswith(".lock") and entry.is_file(follow_symlinks=False):
                lock = stack.enter_context(Path(entry.path).open("rb"))
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise RunFolderError(
                        f"{run_dir} is in use ({name} is held); wait until that run has ended."
                    ) from None
        yield


def _stamps(run_dir: Path) -> dict[str, _Stamp]:
    """The files to be sealed, by their path in the run folder, in order."""
    stamps: dict[str, _Stamp] = {}
    for name, entry in sorted(walk(run_dir), key=lambda pair: pair[0]):
        if name.endswith(_SKIPPED):
            continue
        if len(stamps) >= MOST_FILES - 10:  # beside them, the bag has files of its own
            raise RunFolderError(
                f"{run_dir} has more files than an archive may have ({MOST_FILES:,}); take out "
                "what does not belong to the run."
            )
        if unsafe := bag.why_unsafe(bag.PAYLOAD + name) or too_long(
            f"{run_dir.name}/{bag.PAYLOAD}{name}"
        ):
            raise RunFolderError(f"The name of {name!r} in {run_dir} {unsafe}; rename that file.")
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise RunFolderError(
                f"{name} in {run_dir} is a link or no regular file; put the file itself there."
            )
        stamps[name] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return stamps


def _write(
    run_dir: Path,
    stamps: Mapping[str, _Stamp],
    file: IO[bytes],
    form: _Form,
    *,
    compress: bool = True,
) -> _Written:
    """Write the bag as a ZIP; what is in it. Digests are of what is written.

    The seal's place is kept with a digest of zeros.
    """
    about = read_object(run_dir / "run.json")
    created = about.get("created_at")
    writer = _Writer(file, run_dir.name, _zip_time(created), compress=compress)
    payload: dict[str, str] = {}
    apart: dict[str, tuple[str, int]] = {}
    octets = 0
    with writer.container:
        for name, (size, *_) in stamps.items():
            with (run_dir / name).open("rb") as source:
                if name.startswith(BULKY) and not form.bulky:
                    apart[name] = digest_of(source).hexdigest(), size
                    continue
                payload[bag.PAYLOAD + name] = writer.add(bag.PAYLOAD + name, source, size)
                octets += size
        inside = {n.removeprefix(bag.PAYLOAD): digest for n, digest in payload.items()}
        lacking = incomplete(run_dir, inside | {n: digest for n, (digest, _) in apart.items()})
        info = [
            ("External-Identifier", run_dir.name),
            *_description(run_dir, created),
            ("Left-Out", f"see {bag.LEFT_OUT}" if apart else "nothing"),
            *(("Incomplete", each) for each in lacking),
            ("Payload-Oxum", f"{octets}.{len(payload)}"),
            ("Bag-Software-Agent", f"runbook {__version__}, bagit {version('bagit')}"),
        ]
        tags = {
            bag.BAGIT: bag.BAGIT_TXT,
            bag.BAG_INFO: bag.tag_file(info),
            bag.MANIFEST: bag.manifest(payload),
        }
        if apart:
            tags[bag.LEFT_OUT] = bag.left_out(apart)
        statement = attest(about, read_object(run_dir / "audit.json"), payload)
        tags |= endorse(statement, form.sign_with, form.timestamp)
        digests = {name: hashlib.sha256(tag).hexdigest() for name, tag in tags.items()}
        for name, tag in (tags | {bag.TAG_MANIFEST: bag.manifest(digests)}).items():
            writer.add_bytes(name, tag)
        writer.container.comment = bag.seal_line("0" * 64)
    return _Written(len(payload), lacking)


def _description(run_dir: Path, created: object) -> Iterator[tuple[str, str]]:
    """What the run was, for the bag's own description."""
    verdict = read_object(run_dir / "audit.json").get("verdict")
    yield "External-Description", "Run folder of a database migration by runbook"
    yield "Run-Created", created if isinstance(created, str) else "unknown"
    yield "Verdict", verdict if verdict in ("pass", "fail") else "unknown"


class _Writer:
    """A ZIP whose members all have one time and are readable by their owner alone."""

    def __init__(
        self,
        file: IO[bytes],
        top: str,
        time: tuple[int, int, int, int, int, int],
        *,
        compress: bool,
    ) -> None:
        self._compress = compress
        self.container = zipfile.ZipFile(file, "w")
        self._top = top
        self._time = time
        folder = self._info("", stat.S_IFDIR | 0o700)
        folder.external_attr |= 0x10  # the same for Windows
        self.container.writestr(folder, b"")

    def _info(self, name: str, mode: int) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(f"{self._top}/{name}", self._time)
        info.create_system = 3  # Unix, so that the mode counts
        info.external_attr = mode << 16
        return info

    def add(self, name: str, source: IO[bytes], size: int) -> str:
        """Copy a file into the container; the SHA-256 of what was written."""
        info = self._info(name, stat.S_IFREG | 0o600)
        if self._compress and not name.endswith(_COMPRESSED):
            info.compress_type = zipfile.ZIP_DEFLATED
        info.file_size = size  # by which zipfile chooses ZIP64
        sha = hashlib.sha256()
        with self.container.open(info, "w") as target:
            # no more than `size`: a log that grows must not write for ever
            while size > 0 and (piece := source.read(min(PIECE, size))):
                sha.update(piece)
                target.write(piece)
                size -= len(piece)
        return sha.hexdigest()

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add a small file."""
        info = self._info(name, stat.S_IFREG | 0o600)
        self.container.writestr(info, content, compress_type=zipfile.ZIP_DEFLATED)


def _write_seal(file: IO[bytes]) -> str:
    """Replace the zeros by the digest of all before them; the SHA-256 of the whole file."""
    body = file.seek(-bag.SEAL_BYTES, os.SEEK_END)
    file.seek(0)
    sha = digest_of(file, body)
    line = bag.seal_line(sha.hexdigest())
    file.seek(body)
    file.write(line)
    sha.update(line)
    return sha.hexdigest()


def _zip_time(created: object) -> tuple[int, int, int, int, int, int]:
    """When the run was created, UTC: the one time of all members, so that bytes repeat."""
    moment = _EARLIEST
    if isinstance(created, str):
        with contextlib.suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(created)
            # without a zone: UTC, not this machine's zone, so that bytes repeat anywhere
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    t = min(max(moment, _EARLIEST), _LATEST)
    return t.year, t.month, t.day, t.hour, t.minute, t.second
