"""Where the project's own folders are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PUBLIC = ROOT.parent / "shared" / "data"
PLANS = ROOT / "tests" / "plans"
