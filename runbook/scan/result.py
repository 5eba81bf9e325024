"""What a scan finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["select", "update", "delete", "insert"]
Sure = Literal["certain", "likely"]
Role = Literal["code", "migration", "seed", "test"]


@dataclass(frozen=True)
class ResourceNames:
    """A resource table, the column that names the user who owns a row, and the users' table."""

    table: str = "projects"
    owner: str = "owner_id"
    users: str = "users"


@dataclass(frozen=True, order=True)
class Edit:
    """Source text to put in the place of what stands between two positions, in bytes."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, order=True)
class Finding:
    """One query that the migration leaves behind, and what replaces it.

    `line` counts from 1 and is where the query starts. `replacement` is SQL for SQL, and source in
    the file's own language for a call, which `edits` make; it is empty where it cannot be written
    with certainty. `note` says what the replacement cannot say by itself. `role` is what the file
    is for: findings that are not `code` stand outside the count.
    """

    file: str
    line: int
    language: str
    kind: Kind
    sure: Sure
    table: str
    query: str
    replacement: str
    note: str = ""
    edits: tuple[Edit, ...] = field(default=(), compare=False)
    role: Role = "code"


@dataclass(frozen=True, order=True)
class Skipped:
    """A file, folder or statement that was not read, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class ScanResult:
    """All that one scan saw, sorted by file and line.

    `unjudged` are the files that mention an owner where the scan could not tell what for,
    with the number of such mentions. `folders` are the skipped ones. `silenced` counts findings
    that a comment or the baseline keeps silent.
    """

    files_read: int
    files_skipped: tuple[Skipped, ...]
    findings: tuple[Finding, ...]
    apart: tuple[Finding, ...] = ()
    unjudged: tuple[tuple[str, int], ...] = ()
    folders: tuple[Skipped, ...] = ()
    silenced: int = 0

    def count(self, sure: Sure) -> int:
        """How many findings are this sure."""
        return sum(finding.sure == sure for finding in self.findings)
