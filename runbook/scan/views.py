"""A scan's result as text for a terminal, as JSON, as SARIF and as annotations for GitHub."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runbook.scan.result import Finding, ScanResult
from runbook.wording import counted, more, visible

_MOST_FILES = 20
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_text(result: ScanResult) -> str:
    """The result for a terminal: a block for each finding, then what was not judged or read."""
    blocks = [_block(finding) for finding in result.findings]
    if result.apart:
        blocks.append("In migrations, seeds, fixtures and tests, outside the count:\n")
        blocks += [_block(finding) for finding in result.apart]
    blocks += [
        f"{_place(skipped.file)}  not read: {skipped.reason}\n" for skipped in result.files_skipped
    ]
    blocks += [f"{_place(folder.file)}  skipped: {folder.reason}\n" for folder in result.folders]
    if result.unjudged:
        blocks.append(_unjudged(result))
    number = len(result.findings)
    counts = (
        f"{counted(number, 'query', 'queries')} to change "
        f"({result.count('certain')} certain, {result.count('likely')} likely) "
        f"in {len({finding.file for finding in result.findings})} of "
        f"{counted(result.files_read, 'file')} read; {len(result.files_skipped)} not read"
    )
    if not result.files_read and not result.files_skipped:
        blocks.append("Nothing here is in a language that is read: is this the right folder?\n")
    if result.silenced:
        counts += f"; {result.silenced} silenced"
    return _printable("\n".join([*blocks, counts]) + "\n")


def as_json(result: ScanResult) -> str:
    """The whole result for programs."""
    return _json(asdict(result))


def as_github(result: ScanResult) -> str:
    """One annotation a finding, as GitHub's runners read them."""
    lines = []
    for finding in result.findings:
        level = "error" if finding.sure == "certain" else "warning"
        place = f"file={_property(finding.file)},line={finding.line},title=runbook scan"
        lines.append(f"::{level} {place}::{_escaped(_message(finding))}\n")
    return "".join(lines)


def as_sarif(result: ScanResult) -> str:
    """The findings in SARIF 2.1.0, with edits as fixes."""
    rules = [
        {"id": f"{kind}-by-owner", "shortDescription": {"text": text}}
        for kind, text in (
            ("select", "A query selects rows by their owner"),
            ("update", "A query updates rows by their owner"),
            ("delete", "A query deletes rows by their owner"),
            ("insert", "A new row has no organization"),
        )
    ]
    unread = [
        {"level": "warning", "message": {"text": f"{s.file} was not read: {s.reason}"}}
        for s in result.files_skipped
    ]
    run = {
        "tool": {"driver": {"name": "runbook scan", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": unread}],
        "results": [_sarif(finding) for finding in result.findings],
    }
    document = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return _json(document)


def _sarif(finding: Finding) -> dict[str, Any]:
    artifact = {"uri": quote(os.fsencode(Path(finding.file).as_posix()))}
    result: dict[str, Any] = {
        "ruleId": f"{finding.kind}-by-owner",
        "level": "error" if finding.sure == "certain" else "warning",
        "message": {"text": _message(finding)},
        "locations": [
            {"physicalLocation": {"artifactLocation": artifact,
                                  "region": {"startLine": finding.line}}}
        ],
        "properties": {"sure": finding.sure, "table": finding.table},
    }  # fmt: skip
    if finding.edits:
        replacements = [
            {"deletedRegion": {"byteOffset": edit.start, "byteLength": edit.end - edit.start},
             "insertedContent": {"text": edit.new}}
            for edit in finding.edits
        ]  # fmt: skip
        changes = [{"artifactLocation": artifact, "replacements": replacements}]
        result["fixes"] = [
            {"description": {"text": "Go by the organization"}, "artifactChanges": changes}
        ]
    return result


def _message(finding: Finding) -> str:
    parts = [finding.query]
    if finding.replacement:
        parts.append(f"use: {finding.replacement}")
    if finding.note:
        parts.append(f"note: {finding.note}")
    return visible("\n".join(parts))


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _printable(_escaped(text)).replace(":", "%3A").replace(",", "%2C")


def _unjudged(result: ScanResult) -> str:
    number = sum(count for _, count in result.unjudged)
    files = len(result.unjudged)
    lines = [
        f"Not judged: {counted(number, 'mention')} of an owner in "
        f"{counted(files, 'file')}; read them yourself:"
    ]
    most = sorted(result.unjudged, key=lambda entry: (-entry[1], entry[0]))
    lines += [f"  {_place(file)}  {count}" for file, count in most[:_MOST_FILES]]
    if len(most) > _MOST_FILES:
        lines.append(f"  {more(len(most) - _MOST_FILES, 'file')}; --json lists them all")
    return "\n".join(lines) + "\n"


def _block(finding: Finding) -> str:
    lines = [f"{_place(finding.file)}:{finding.line}  {finding.sure}  {finding.query}"]
    if finding.replacement:
        lines.append(f"  use: {finding.replacement}")
    if finding.note:
        lines.append(f"  note: {finding.note}")
    return "\n".join(lines) + "\n"


def _json(document: object) -> str:
    """As JSON; what a file's name has that is no text stands in JSON's own escapes."""
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()


def _place(file: str) -> str:
    """A file's name on one line: a line that it began would be read as another finding."""
    return file.replace("\r", "\\r").replace("\n", "\\n")


def _printable(text: str) -> str:
    """Source text may hold control characters, which a terminal would obey: show them instead."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )
