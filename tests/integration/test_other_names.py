"""A database reached by another name than the one beside which its journal lies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runbook.errors import Blocked
from runbook.stages import preflight
from tests.support.databases import dump
from tests.support.runs import begin

HALF = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE projects SET updated_at = hex(zeroblob(500))")
os._exit(0)
"""


def test_a_journal_beside_the_link_that_was_given(sample: Path, tmp_path: Path) -> None:
    before = dump(sample)
    subprocess.run([sys.executable, "-c", HALF, str(sample)], check=True)
    link = tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(sample)
    Path(f"{sample}-journal").rename(f"{link}-journal")
    torn = sample.read_bytes()
    with pytest.raises(Blocked, match="cut off under another name"):
        preflight.preflight(begin(link, tmp_path / "run"))
    assert sample.read_bytes() == torn
    Path(f"{link}-journal").rename(f"{sample}-journal")
    assert dump(sample) == before


def test_a_hard_link_blocks(sample: Path, tmp_path: Path) -> None:
    other = sample.with_name("other.db")
    other.hardlink_to(sample)
    run = begin(sample, tmp_path / "run")
    with pytest.raises(Blocked, match=r"several names .*other\.db"):
        preflight.preflight(run)
    other.unlink()
    assert not preflight.preflight(run).blocked
