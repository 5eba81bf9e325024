"""Earlier attempts at a stage: what its record said before the stage was begun again.

A refusal that a later attempt has overcome is part of what happened, so nothing is overwritten: the
record of before is kept, byte for byte, under `stages/attempts/NN_<stage>_<n>.json`.
"""

from __future__ import annotations

import re
from pathlib import Path

from runbook.files import sync_folder, write_durably

ATTEMPTS = "attempts"
SERIES = ("report", "monitor")
"""Stages that are repeated as a matter of course, so that repeating them says nothing."""

_NAME = re.compile(r"\d\d_[a-z]+_(?P<number>[1-9]\d*)\.json")


def keep_attempt(record: Path) -> None:
    """Keeps the record of a stage that is about to be begun again; nothing where there is none.

    A call that was killed between keeping and beginning keeps nothing twice.
    """
    if not record.exists():
        return
    folder = record.parent / ATTEMPTS
    if not folder.exists():
        folder.mkdir(mode=0o700)
        sync_folder(record.parent)
    content = record.read_bytes()
    kept = attempts(record)
    if kept and kept[-1].read_bytes() == content:
        return
    number = _number(kept[-1]) + 1 if kept else 1
    write_durably(folder / f"{record.stem}_{number}.json", content)


def attempts(record: Path) -> list[Path]:
    """The earlier records of the stage whose record stands at `record`, the oldest first."""
    folder = record.parent / ATTEMPTS
    named = [path for path in folder.glob(f"{record.stem}_*.json") if _number(path)]
    return sorted(named, key=_number)


def _number(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match["number"]) if match else 0
