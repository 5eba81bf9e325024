"""What a scan finds, and how it reads on a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["select", "update", "delete", "insert"]
Sure = Literal["certain", "likely"]


@dataclass(frozen=True)
class ResourceNames:
    """A resource table and the column that names the user who owns a row."""

    table: str = "projects"
    owner: str = "owner_id"


@dataclass(frozen=True, order=True)
class Finding:
    """One query that the migration leaves behind, and the query that replaces it.

    `line` counts from 1 and is where the query starts. `note` says what the replacement cannot
    say by itself; it is empty for most.
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


@dataclass(frozen=True, order=True)
class Skipped:
    """A source file that was not read, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class ScanResult:
    """All that one scan saw; findings and skipped files are sorted by file and line."""

    files_read: int
    files_skipped: tuple[Skipped, ...]
    findings: tuple[Finding, ...]

    def count(self, sure: Sure) -> int:
        """How many findings are this sure."""
        return sum(finding.sure == sure for finding in self.findings)


def as_text(result: ScanResult) -> str:
    """The result for a terminal: a block for each finding, then one line of counts."""
    blocks = [_block(finding) for finding in result.findings]
    blocks += [f"{skipped.file}  not read: {skipped.reason}\n" for skipped in result.files_skipped]
    number = len(result.findings)
    counts = (
        f"{number} {'query' if number == 1 else 'queries'} to change "
        f"({result.count('certain')} certain, {result.count('likely')} likely) "
        f"in {len({finding.file for finding in result.findings})} of "
        f"{result.files_read} files read; {len(result.files_skipped)} not read"
    )
    return _printable("\n".join([*blocks, counts]) + "\n")


def _block(finding: Finding) -> str:
    lines = [
        f"{finding.file}:{finding.line}  {finding.sure}  {finding.query}",
        f"  use: {finding.replacement}",
    ]
    if finding.note:
        lines.append(f"  note: {finding.note}")
    return "\n".join(lines) + "\n"


def _printable(text: str) -> str:
    """Source text may hold control characters, which a terminal would obey: show them instead."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )
