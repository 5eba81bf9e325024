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
    return _parsed(path) or {}


def _problems(run_dir: Path, digests: Mapping[str, str]) -> Iterator[str]:
    records = sorted(n for n in digests if n.startswith("stages/") and n.endswith(".json"))
    written = [name for name in ("audit.json",) if name in digests]  # by some stage, at its end
    for name in ("run.json", *records, *written):
        if _parsed(run_dir / name) is None:
            yield f"{name} cannot be read"
    audit = read_object(run_dir / "audit.json")
    for stage in _objects(audit.get("timeline")):
        number = stage.get("number")
        if isinstance(number, int) and stage.get("status") == "finished":
            record = f"stages/{number:02d}_{stage.get('name')}.json"
            if record not in digests:
                yield f"{record} is missing"
    provenance = audit.get("provenance")
    for backup in _objects([provenance.get("backup")] if isinstance(provenance, dict) else None):
        file = str(backup.get("file"))
        if file not in digests:
            yield f"{file} is missing"
        elif digests[file] != backup.get("sha256"):
            yield f"{file} is not the file that was made"


def _parsed(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is none."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        value = json.loads(path.read_bytes())
        return value if isinstance(value, dict) else None
    return None


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
