"""Reads one file: its SQL and its calls, and what in it could not be judged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from runbook.scan import grammars, python, schema
from runbook.scan.calls import Place, Reader
from runbook.scan.files import Source
from runbook.scan.literal import Text
from runbook.scan.names import Declared, Words, plain
from runbook.scan.queries import judge
from runbook.scan.relevance import Hits, Relevance
from runbook.scan.result import Finding, ResourceNames, Skipped
from runbook.scan.rewrite import replacement
from runbook.scan.statements import MAX_LENGTH, statements
from runbook.scan.syntax import Program

# What may declare a model of a table, or a user's relation to it.
_DECLARES = re.compile(
    r"table_?name|db_table|table\w*\s*\(|\$table|@Entity|define\s*\(|\.init\s*\(|table\s*=|table:",
    re.IGNORECASE,
)
_RELATES = re.compile(
    r"\b(?:related_name|backref|back_populates|has_many|hasMany|HasMany|[rR]elationship)\b|gorm:"
)
_SEPARATORS = str.maketrans("", "", "_- \n\"'`")


@dataclass(frozen=True)
class FileResult:
    """What one file holds; `unjudged` is the number of mentions of an owner left over."""

    findings: tuple[Finding, ...]
    unjudged: int
    skipped: tuple[Skipped, ...] = ()


def parse(source: Source, hits: Hits | None = None) -> Program | None:
    """The tree of a file that is no SQL; None if it cannot be parsed. With `hits`, only theirs."""
    if source.language == "python":
        return python.parse(source.text, hits)
    is_tsx = PurePath(source.file).suffix.lower() == ".tsx"
    return grammars.parse(source.text, "tsx" if is_tsx else source.language, hits)


def _may_declare(source: Source, resources: Sequence[ResourceNames]) -> bool:
    """Whether a file may hold a part of the application's schema that concerns a resource."""
    if source.role in ("test", "migration") or source.language in ("sql", "prisma"):
        return False
    text = source.text
    # Django's default name of a table stands nowhere in the source.
    if source.language == "python" and any(
        len(name) > 2 and plain(resource.table).endswith(plain(name))
        for name in re.findall(r"^class (\w+)\(", text, re.MULTILINE)
        for resource in resources
    ):
        return True
    tables = [resource.table.lower() for resource in resources]
    if _DECLARES.search(text):
        lower = text.lower()
        if any(f"{q}{table}{q}" in lower for table in tables for q in "\"'`"):
            return True
    if _RELATES.search(text) is None:
        return False
    return re.search(r"\bclass (?:User|Account|Member|Person)\b", text) is not None or any(
        model in text.lower().translate(_SEPARATORS)
        for resource in resources
        for model in Words.of(resource).models
    )


def read_names(
    hits: Sequence[Source], resources: Sequence[ResourceNames]
) -> list[tuple[Words, frozenset[str]]]:
    """The names of each resource with what the application's schema adds, and its relations."""
    declared = [Declared() for _ in resources]
    programs: list[tuple[Program, Source]] = []
    for source in hits:
        if source.language == "prisma":
            for number, resource in enumerate(resources):
                declared[number] |= schema.from_prisma(source.text, resource)
        elif _may_declare(source, resources) and (program := parse(source)) is not None:
            programs.append((program, source))
    for program, source in programs:
        for number, resource in enumerate(resources):
            declared[number] |= schema.from_program(program, source.file, resource)
    result = []
    for resource, names in zip(resources, declared, strict=True):
        models = Words.of(resource, names).models
        relations = names.relations.union(
            *(schema.from_relations(program, models) for program, _ in programs)
        )
        result.append((Words.of(resource, replace(names, relations=relations)), relations))
    return result


class FileReader:
    """Reads files for resources; `knows_organization` says that the application has such a word."""

    def __init__(
        self, words: Sequence[tuple[Words, frozenset[str]]], knows_organization: bool
    ) -> None:
        self.words = words
        self.knows_organization = knows_organization
        self.resources = [word.resource for word, _ in words]
        self._relevance = Relevance([word for word, _ in words])

    def read(self, source: Source) -> FileResult | None:
        """The findings in one file; None if it cannot be parsed."""
        if source.language == "prisma":
            return FileResult((), 0)
        data = source.text.encode(errors="replace")
        mentions = self._relevance.mentions(source.text, data, source.language)
        hits = self._relevance.hits(source.text, data, source.language)
        if hits is None:
            return FileResult((), len(mentions))
        findings: list[Finding] = []
        spans: list[tuple[int, int]] = []
        skipped: list[Skipped] = []
        if source.language == "sql":
            whole = _whole(source.text)
            self._statements(whole, source, findings)
            spans.append((0, len(data)))
            skipped += _too_long(whole, source)
        else:
            program = parse(source, hits)
            if program is None:
                return None
            for node, text in program.texts():
                skipped += _too_long(text, source)
                if self._statements(text, source, findings):
                    spans.append((node.start, node.end))
            for place in self._calls(program, source):
                spans.append((place.start, place.end))
                if place.finding is not None and not any(
                    place.finding.line == f.line and f.table == place.finding.table
                    and f.sure == "certain" for f in findings
                ):  # fmt: skip
                    findings.append(place.finding)
        unjudged = _outside(mentions, spans)
        kept = tuple(replace(finding, role=source.role) for finding in findings)
        return FileResult(kept, unjudged, tuple(skipped))

    def _calls(self, program: Program, source: Source) -> Iterator[Place]:
        for words, relations in self.words:
            yield from Reader(program, source, words, relations, self.knows_organization).places()

    def _statements(self, text: Text, source: Source, findings: list[Finding]) -> bool:
        """Add what is old in a text's SQL; whether there was any SQL of a resource at all."""
        known = False
        for statement in statements(text, [r.table.lower() for r in self.resources]):
            known = True
            judgement = judge(statement, self.resources)
            if judgement is None:
                continue
            new = replacement(statement, judgement)
            findings.append(Finding(
                file=source.file, line=text.line_at(statement.offset), language=source.language,
                kind=judgement.kind, sure=judgement.sure, table=judgement.resource.table,
                query=statement.query, replacement=new.sql, note=new.note,
            ))  # fmt: skip
        return known


def _outside(positions: Iterable[int], spans: Sequence[tuple[int, int]]) -> int:
    """How many of the positions, which are in order, lie in none of the spans."""
    left = sorted(spans, reverse=True)
    number = end = 0
    for position in positions:
        while left and left[-1][0] <= position:
            end = max(end, left.pop()[1])
        number += position >= end
    return number


def _too_long(text: Text, source: Source) -> Iterator[Skipped]:
    if len(text.value) > MAX_LENGTH and source.language != "sql":
        line = text.marks[0][1] if text.marks else 1
        yield Skipped(
            source.file, f"the text at line {line} is longer than {MAX_LENGTH:,} characters"
        )


def _whole(text: str) -> Text:
    marks = [(0, 1)]
    position = text.find("\n")
    while position >= 0:
        marks.append((position + 1, len(marks) + 1))
        position = text.find("\n", position + 1)
    return Text(text, (), tuple(marks))
