"""What keeps a finding silent: a comment in the source, or a baseline of findings known before."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from runbook.errors import BadInput
from runbook.files import write_durably
from runbook.scan.result import Finding

_COMMENT = re.compile(r"(?:#|//|--|/\*|<%#|\{/\*).*\brunbook:\s*ignore\b")
_WHOLE_LINE = re.compile(r"\s*(?:#|//|--|/?\*|<%#|\{/\*)")


def is_ignored(lines: list[str], line: int) -> bool:
    """Whether `runbook: ignore` stands in a comment on the line, or on a line of its own above."""
    if line <= len(lines) and _COMMENT.search(lines[line - 1]):
        return True
    above = lines[line - 2] if 2 <= line <= len(lines) + 1 else ""
    return bool(_WHOLE_LINE.match(above) and _COMMENT.search(above))


class Baseline:
    """Findings that are known and accepted: by file, kind, table and query, not by line."""

    def __init__(self, known: Iterable[tuple[str, str, str, str]]) -> None:
        self._left = Counter(known)
        self.covered: list[Finding] = []

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """The baseline in a file. Raises BadInput if it is none."""
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))["findings"]
            return cls((e["file"], e["kind"], e["table"], e["query"]) for e in entries)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no baseline"
            raise BadInput(
                f"The baseline {path} cannot be read ({reason}): write it with --write-baseline."
            ) from error

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is known; each entry covers one finding."""
        key = _key(finding)
        if not self._left[key]:
            return False
        self._left[key] -= 1
        self.covered.append(finding)
        return True


def write_baseline(path: Path, findings: Iterable[Finding]) -> None:
    """Keep the findings as known. Raises BadInput if the file cannot be written."""
    entries = [
        dict(zip(("file", "kind", "table", "query"), _key(f), strict=True)) for f in findings
    ]
    try:
        write_durably(
            path, (json.dumps({"version": 1, "findings": entries}, indent=1) + "\n").encode()
        )
    except OSError as error:
        raise BadInput(
            f"The baseline {path} cannot be written ({error.strerror}): choose another path."
        ) from error


def _key(finding: Finding) -> tuple[str, str, str, str]:
    return finding.file, finding.kind, finding.table, finding.query
