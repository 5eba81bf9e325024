"""Finds the queries in an application's source that the migration leaves behind.

`scan` reads, judges and never changes a file. It reports what is sure and keeps silent else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from runbook.scan.files import SkippedFolder, Source, sources
from runbook.scan.read_file import FileReader, read_names
from runbook.scan.result import Edit, Finding, ResourceNames, ScanResult, Skipped
from runbook.scan.silence import Baseline, is_ignored
from runbook.scan.views import as_text

__all__ = [
    "Baseline", "Edit", "Finding", "ResourceNames", "ScanResult", "Skipped", "as_text", "scan",
]  # fmt: skip


def scan(
    paths: Path | Sequence[Path],
    resources: Sequence[ResourceNames] = (ResourceNames(),),
    *,
    exclude: Sequence[str] = (),
    baseline: Baseline | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ScanResult:
    """Read the source at `paths`, folders or files, for queries that go by a resource's owner.

    `progress` is called with the number of files done and the number of all.

    Raises:
        BadInput: there is nothing to read at one of the paths, or a pattern cannot be read.
    """
    found: list[Source] = []
    skipped: set[Skipped] = set()
    for path in [paths] if isinstance(paths, Path) else paths:
        for source in sources(path, exclude):
            if isinstance(source, Skipped):
                skipped.add(source)
            else:
                found.append(source)
    found = list({source.file: source for source in found}.values())
    words = read_names(found, resources)
    reader = FileReader(words, any("organization" in s.text.lower() for s in found))
    read = silenced = 0
    findings: set[Finding] = set()
    unjudged: dict[str, int] = {}
    for number, source in enumerate(found):
        if progress is not None:
            progress(number, len(found))
        if source.language == "prisma":
            continue
        result = reader.read(source)
        if result is None:
            skipped.add(Skipped(source.file, "not Python 3 that can be parsed"))
            continue
        read += 1
        skipped.update(result.skipped)
        if result.unjudged and source.role == "code":
            unjudged[source.file] = result.unjudged
        lines = source.text.split("\n") if result.findings else []
        for finding in sorted(result.findings):
            if is_ignored(lines, finding.line) or (baseline and baseline.covers(finding)):
                silenced += 1
            else:
                findings.add(finding)
    if progress is not None:
        progress(len(found), len(found))
    return ScanResult(
        files_read=read,
        files_skipped=tuple(sorted(s for s in skipped if not isinstance(s, SkippedFolder))),
        findings=tuple(sorted(f for f in findings if f.role == "code")),
        apart=tuple(sorted(f for f in findings if f.role != "code")),
        unjudged=tuple(sorted(unjudged.items())),
        folders=tuple(sorted(s for s in skipped if isinstance(s, SkippedFolder))),
        silenced=silenced,
    )
