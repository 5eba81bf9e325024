"""Finds the queries in an application's source that the migration leaves behind, and only reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from runbook.scan.files import SkippedFolder, Source, sources
from runbook.scan.processes import read_all
from runbook.scan.read_file import FileReader, FileResult, read_names
from runbook.scan.result import Edit, Finding, ResourceNames, ScanResult, Skipped
from runbook.scan.silence import Baseline, is_ignored
from runbook.scan.views import as_text

__all__ = [
    "Baseline", "Edit", "Finding", "ResourceNames", "ScanResult", "Skipped", "as_text", "scan",
]  # fmt: skip


# Many parameters because each is an option of the command, and few are used at once.
def scan(
    paths: Path | Sequence[Path],
    resources: Sequence[ResourceNames] = (ResourceNames(),),
    *,
    exclude: Sequence[str] = (),
    baseline: Baseline | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> ScanResult:
    """Read the source at `paths`, folders or files, for queries that go by a resource's owner.

    `progress` is called with the number of files done and the number of all. Where there are many
    files, `workers` processes read them.

    Raises:
        BadInput: there is nothing to read at one of the paths, or a pattern cannot be read.
    """
    files, skipped = _sources([paths] if isinstance(paths, Path) else paths, exclude)
    words = read_names(files, resources)
    reader = FileReader(words, any("organization" in s.text.lower() for s in files))
    results = _counted(read_all(reader, files, workers), len(files), progress)
    read = silenced = 0
    findings: set[Finding] = set()
    unjudged: dict[str, int] = {}
    for source, result in zip(files, results, strict=True):
        if source.language == "prisma":
            continue
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
    return ScanResult(
        files_read=read,
        files_skipped=tuple(sorted(s for s in skipped if not isinstance(s, SkippedFolder))),
        findings=tuple(sorted(f for f in findings if f.role == "code")),
        apart=tuple(sorted(f for f in findings if f.role != "code")),
        unjudged=tuple(sorted(unjudged.items())),
        folders=tuple(sorted(s for s in skipped if isinstance(s, SkippedFolder))),
        silenced=silenced,
    )


def _sources(paths: Sequence[Path], exclude: Sequence[str]) -> tuple[list[Source], set[Skipped]]:
    """The files at all paths, each once, and what was left out."""
    read: dict[str, Source] = {}  # by the path that the file really has
    skipped: set[Skipped] = set()
    for path in paths:
        for source in sources(path, exclude):
            if isinstance(source, Skipped):
                skipped.add(source)
            else:
                read.setdefault(os.path.realpath(source.file), source)
    return list(read.values()), skipped


def _counted(
    results: Iterable[FileResult | None],
    total: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[FileResult | None]:
    for number, result in enumerate(results):
        if progress is not None:
            progress(number, total)
        yield result
    if progress is not None:
        progress(total, total)
