"""What `log.jsonl` tells where a record is gone: which stages were begun."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

LOG = "log.jsonl"


def begun_stages(run_dir: Path) -> frozenset[str]:
    """The names of the stages that the log says were begun.

    A line that a kill tore tells nothing, and neither does a log that cannot be read.
    """
    begun = set()
    with contextlib.suppress(OSError):
        for line in (run_dir / LOG).read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("event") == "started":
                    begun.add(str(entry.get("stage")))
    return frozenset(begun)
