"""Hazards in the database file, the folder and the disk that it lies on."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from runbook.hazards.advice import growth
from runbook.hazards.remedy import word
from runbook.hazards.sighting import Sighting
from runbook.plan.plan import Plan
from runbook.sqlite.connect import side_file
from runbook.sqlite.quoting import quote_name
from runbook.wording import size

MOUNTS = Path("/proc/mounts")

# What Parquet takes of the same rows as a share of the database: measured 0.2 to 0.35.
SNAPSHOT_SHARE = 0.35

_NETWORK = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre"),
        *("gpfs", "ocfs2", "gfs2", "beegfs", "virtiofs", "davfs", "fuse.sshfs"),
        *("fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.davfs2"),
    )
)


def probe_place(path: Path, mounts: Path | None = None) -> Iterator[Sighting]:
    """The path: a link, a network, rights; nothing of the content is read."""
    place = path.resolve()
    if path.is_symlink():
        yield Sighting(
            "symbolic_link", str(path), samples=(str(place),), detail=f"It leads to {place}."
        )
    kind = file_system(place, mounts or MOUNTS)
    if kind in _NETWORK:
        yield Sighting("network_file_system", str(place), samples=(kind,))
    if not _writable(place):
        yield Sighting(
            "file_not_writable",
            str(place),
            remedy=f"chmod u+w {word(place)} # as its owner, or run as the user who owns it",
        )
    if not _writable(place.parent):
        yield Sighting(
            "folder_not_writable",
            str(place.parent),
            remedy=f"chmod u+w {word(place.parent)} # as its owner, or run as the user who owns it",
        )


def probe_content(connection: sqlite3.Connection, path: Path) -> Iterator[Sighting]:
    """What the file's header and its pages say."""
    log = side_file(path, "-wal")
    if log.exists() and log.stat().st_size:
        yield Sighting(
            "wal_left_behind",
            log.name,
            detail=f"{size(log.stat().st_size)} of it.",
            remedy=f"Nothing; never copy {path.name} without {log.name}.",
        )
    if _pragma(connection, "journal_mode") == "wal":
        yield Sighting("journal_mode_wal", path.name)
    if (encoding := _pragma(connection, "encoding")) != "UTF-8":
        yield Sighting("text_encoding", path.name, detail=f"It is {encoding}.")
    if int(page := _pragma(connection, "page_size")) < 4096:
        yield Sighting("page_size", path.name, detail=f"It is {page} bytes.")
    for code in ("application_id", "user_version"):
        if value := int(_pragma(connection, code)):
            yield Sighting(code, path.name, samples=(str(value),), detail=f"It is {value}.")


def probe_disk(
    connection: sqlite3.Connection, path: Path, plan: Plan, run_dir: Path | None
) -> Iterator[Sighting]:
    """Whether the estimated need fits; the estimate is shown either way."""
    place = path.resolve()
    held = sum(p.stat().st_size for p in (place, side_file(path, "-wal")) if p.exists())
    grown = held + _growth(connection, plan)
    there = _existing(run_dir or place.parent)
    one_disk = there.stat().st_dev == place.stat().st_dev
    wal = _pragma(connection, "journal_mode") == "wal"
    # A rollback journal holds the old content of pages, a log the new one.
    target = {"growth": grown - held, "journal": grown if wal else held}
    parquet = int(SNAPSHOT_SHARE * held)
    phases: dict[str, dict[str, int]] = {
        "rehearse": {"copy": grown, "its journal": held},
        "snapshot": {"backup": held, "its restored copy": held, "Parquet": parquet},
        "migrate": {"backup": held, "Parquet": 2 * parquet} | (target if one_disk else {}),
    }
    yield _room(there, phases)
    if not one_disk:
        yield _room(place.parent, {"migrate": target})


def _room(folder: Path, phases: dict[str, dict[str, int]]) -> Sighting:
    """The stage that needs most, against what is free; copies are deleted between stages."""
    stage, parts = max(phases.items(), key=lambda item: sum(item[1].values()))
    needed, free = sum(parts.values()), shutil.disk_usage(folder).free
    listed = ", ".join(f"{name} {size(part)}" for name, part in parts.items())
    return Sighting(
        "disk_estimate" if free >= needed else "disk_space",
        str(folder),
        detail=f"Estimated need at most {size(needed)}, in {stage} ({listed}); free {size(free)}.",
        remedy=""
        if free >= needed
        else f"Free {size(needed - free)} on the disk of {folder}, or choose a --run-dir"
        " on another disk.",
    )


def hot_journal(path: Path) -> Sighting:
    """The hazard of a journal beside the file that a dead writer left."""
    journal = side_file(path, "-journal")
    return Sighting(
        "hot_journal",
        journal.name,
        detail=f"{size(journal.stat().st_size)} of it." if journal.exists() else "",
        remedy=f"sqlite3 {word(path.resolve())} 'SELECT count(*) FROM sqlite_schema'"
        " # undoes the half transaction; keep the journal beside the file until then",
    )


def file_system(place: Path, mounts: Path) -> str:
    """Type of the file system that holds `place`, empty where it cannot be known."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # Spaces and the like are octal in this file.
        point = fields[1].encode().decode("unicode_escape")
        # Of two mounts on the same point the later one is seen.
        if place.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def _growth(connection: sqlite3.Connection, plan: Plan) -> int:
    """Growth at most, in bytes, from counts alone: every user might get an organization."""
    try:
        key, users = quote_name(plan.users.key), quote_name(plan.users.table)
        # A mean over the first rows is close enough, and does not read the whole table.
        length = connection.execute(
            f"SELECT avg(length({key})) FROM (SELECT {key} FROM {users} LIMIT 1000)"
        ).fetchone()[0]
        counts = [
            connection.execute(f"SELECT count(*) FROM {quote_name(t)}").fetchone()[0]
            for t in (plan.users.table, *(r.table for r in plan.resources))
        ]
    except sqlite3.Error:
        return 0  # a missing table is reported as a hazard of its own
    return growth(counts[0], sum(counts[1:]), int(length or 0))


def _pragma(connection: sqlite3.Connection, name: str) -> str:
    return str(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists already."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _writable(place: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(place, os.W_OK, effective_ids=effective)
