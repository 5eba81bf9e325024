"""How far the tests look: a part in `make test`, all of it in `make faults`."""

from __future__ import annotations

import os

EXPLORE = bool(os.environ.get("RUNBOOK_EXPLORE"))
"""Fresh examples instead of the same ones every time."""


def examples(number: int) -> int:
    """How many examples of a dear property are tried: half of them where they are always the same."""
    return number if EXPLORE else number // 2
