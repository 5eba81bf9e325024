"""The notes beside a backup of D1: what else was known of the database when it was taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runbook.files import read_json, write_durably

NOTES = "d1.json"
"""Name of the file, beside the backup."""


def write_notes(folder: Path, **notes: Any) -> None:
    """Adds to the notes in the backup's folder."""
    known = read_notes(folder) if (folder / NOTES).exists() else {}
    text = json.dumps(known | notes, indent=2, ensure_ascii=False) + "\n"
    write_durably(folder / NOTES, text.encode())


def read_notes(folder: Path) -> dict[str, Any]:
    """What was known of D1 when the backup in this folder was taken, and later.

    Raises:
        RunFolderError: the notes are missing or damaged.
    """
    return read_json(folder / NOTES)
