"""The files beside a backup of D1: what else was seen of the database when it was taken."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from runbook.files import write_durably
from runbook.sqlite.connect import immutable_uri

SEEN = "d1.json"
"""Beside the backup: what else was seen of D1 when it was taken."""


def note_beside(folder: Path, **seen: Any) -> None:
    """Keeps what was seen of D1 beside the backup."""
    known = seen_beside(folder) if (folder / SEEN).exists() else {}
    text = json.dumps(known | seen, indent=2, ensure_ascii=False) + "\n"
    write_durably(folder / SEEN, text.encode())


def seen_beside(folder: Path) -> dict[str, Any]:
    """What was seen of D1 when the backup in this folder was taken, and later."""
    seen: dict[str, Any] = json.loads((folder / SEEN).read_text(encoding="utf-8"))
    return seen


def open_copy(path: Path) -> sqlite3.Connection:
    """A connection to a file that nobody changes."""
    return sqlite3.connect(immutable_uri(path), uri=True, isolation_level=None)
