"""Finds the queries in an application's source that the migration leaves behind.

`scan` reads, judges and never changes a file. It reports what is sure and keeps silent else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from runbook.scan import orm, python, python_orm, strings
from runbook.scan.files import Source, sources
from runbook.scan.lexing import Text
from runbook.scan.queries import judge
from runbook.scan.result import Finding, ResourceNames, ScanResult, Skipped, as_text
from runbook.scan.rewrite import replacement
from runbook.scan.shapes import Shape, Words, plain, shape_finding
from runbook.scan.statements import statements

__all__ = ["Finding", "ResourceNames", "ScanResult", "Skipped", "as_text", "scan"]


def scan(path: Path, resources: Sequence[ResourceNames] = (ResourceNames(),)) -> ScanResult:
    """Read the source at `path`, a folder or a file, for queries that go by a resource's owner.

    Raises BadInput if there is nothing to read at `path`.
    """
    read = 0
    skipped: list[Skipped] = []
    findings: set[Finding] = set()
    for source in sources(path):
        if isinstance(source, Skipped):
            skipped.append(source)
            continue
        found = _scan_source(source, resources)
        if found is None:
            skipped.append(Skipped(source.file, "not Python 3 that can be parsed"))
            continue
        read += 1
        findings.update(found)
    return ScanResult(read, tuple(sorted(skipped)), tuple(sorted(findings)))


def _scan_source(source: Source, resources: Sequence[ResourceNames]) -> list[Finding] | None:
    """The findings in one file; None if it cannot be parsed."""
    # Most files never name a resource, not even as a model (Project for projects).
    squeezed = plain(source.text)
    if not any(m in squeezed for resource in resources for m in Words.of(resource).models):
        return []
    texts: Iterator[Text] | list[Text]
    shapes: Iterator[Shape] | list[Shape]
    if source.language == "sql":
        texts, shapes = [_whole(source.text)], []
    elif source.language == "python":
        tree = python.parse(source.text)
        if tree is None:
            return None
        texts = python.texts(tree, source.text)
        shapes = python_orm.shapes(tree, source.text, resources)
    else:
        tokens = strings.LEXERS[source.language](source.text)
        texts = strings.texts(tokens, source.language, source.text)
        shapes = orm.shapes(tokens, source.language, source.text, resources)
    found = [shape_finding(shape, source) for shape in shapes]
    return [finding for finding in found if finding] + list(_in_texts(texts, source, resources))


def _whole(text: str) -> Text:
    marks = [(0, 1)]
    position = text.find("\n")
    while position >= 0:
        marks.append((position + 1, len(marks) + 1))
        position = text.find("\n", position + 1)
    return Text(text, (), tuple(marks))


def _in_texts(
    texts: Iterator[Text] | list[Text], source: Source, resources: Sequence[ResourceNames]
) -> Iterator[Finding]:
    names = [resource.table.lower() for resource in resources]
    for text in texts:
        for statement in statements(text, names):
            judgement = judge(statement, resources)
            if judgement is None:
                continue
            new = replacement(statement, judgement)
            yield Finding(
                file=source.file,
                line=text.line_at(statement.offset),
                language=source.language,
                kind=judgement.kind,
                sure=judgement.sure,
                table=judgement.resource.table,
                query=statement.query,
                replacement=new.sql,
                note=new.note,
            )
