"""What a run's own records name and its folder does not hold, so that no archive hides it.

A damaged folder is sealed all the same: what is left of a run is worth keeping most when the rest
is lost. But whoever seals it is told, and the archive says so.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def incomplete(run_dir: Path, digests: Mapping[str, str]) -> tuple[str, ...]:
    """What is missing from a run folder or damaged in it, a clause for each.

    Args:
        run_dir: the folder.
        digests: SHA-256 of every file in it, by its path there with slashes.
    """
    return tuple(_problems(run_dir, digests))


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one: a damaged record is no reason not to keep the rest."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        value = json.loads(path.read_bytes())
        if isinstance(value, dict):
            return value
    return {}


def _problems(run_dir: Path, digests: Mapping[str, str]) -> Iterator[str]:
    records = sorted(n for n in digests if n.startswith("stages/") and n.endswith(".json"))
    for path in ("run.json", *records):
        if not _is_object(run_dir / path):
            yield f"{path} cannot be read"
    audit = read_object(run_dir / "audit.json")
    if "audit.json" in digests and not audit:
        yield "audit.json cannot be read"
    for stage in _objects(audit.get("timeline")):
        number, name = stage.get("number"), stage.get("name")
        if isinstance(number, int) and stage.get("status") == "finished":
            record = f"stages/{number:02d}_{name}.json"
            if record not in digests:
                yield f"{record} is missing"
    provenance = audit.get("provenance")
    for backup in _objects([provenance.get("backup")] if isinstance(provenance, dict) else None):
        file = str(backup.get("file"))
        if file not in digests:
            yield f"{file} is missing"
        elif digests[file] != backup.get("sha256"):
            yield f"{file} is not the file that was made"


def _is_object(path: Path) -> bool:
    """Whether a file holds a JSON object, be it an empty one."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return isinstance(json.loads(path.read_bytes()), dict)
    return False


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
