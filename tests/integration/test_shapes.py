"""Every shape that a plan admits goes the whole way, there and back, and is the same again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runbook.audit.compare_database import differences
from runbook.run.records import VerifyRecord
from runbook.stages import rollback, verify
from tests.support.databases import connected
from tests.support.runs import agreed, begin, until_migrated
from tests.support.shapes import KEYS, PLAN, TIMES, make


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize("suffix", ["", "WITHOUT ROWID", "STRICT", "STRICT, WITHOUT ROWID"])
@pytest.mark.parametrize("key", KEYS)
def test_there_and_back(tmp_path: Path, key: str, suffix: str, journal: str) -> None:
    times = list(TIMES)
    time = times[(len(key) + len(suffix)) % len(times)]
    encoding = "UTF-16le" if journal == "WAL" and suffix == "" else "UTF-8"
    path, plan = tmp_path / "app.db", tmp_path / "plan.toml"
    make(path, key, suffix, time, encoding, journal)
    plan.write_text(PLAN)
    shutil.copy(path, tmp_path / "original.db")
    run = begin(path, tmp_path / "run", plan)
    until_migrated(run)
    record = verify.verify(run)
    assert isinstance(record, VerifyRecord)
    assert record.verdict == "pass", [f.message for f in record.findings]
    with connected(path) as connection:
        assert connection.execute("SELECT count(*) FROM organizations").fetchone() == (3,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == (journal.lower(),)
    rollback.rollback(run, agreed(run))
    assert differences(path, tmp_path / "original.db") == ()
