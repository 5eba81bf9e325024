"""The backup has reached the disk, name and content, before the first byte of the database changes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.run.records import SnapshotRecord
from tests.support.faults.harness import environment, finish, make_database
from tests.support.paths import ROOT
from tests.support.runs import agreed, begin, until_migrated


def test_fsync_of_file_folder_and_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is synced, in which order, as this process asks for it."""
    database = make_database(tmp_path / "app.db", "delete", users=40, projects=100)
    run = begin(database, tmp_path / "run")
    original, synced = database.read_bytes(), []
    fsync = os.fsync

    def recorded(handle: int) -> None:
        place = str(Path(f"/proc/self/fd/{handle}").readlink())
        synced.append((place, database.read_bytes() == original))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    until_migrated(run)
    names = [(re.sub(r"\.\w+\.tmp$", "", place), untouched) for place, untouched in synced]
    backup = names.index((str(run.backup), True))
    folder = names.index((str(run.backup.parent), True))
    record = names.index((str(run.folder / "stages" / ".03_snapshot.json"), True), folder)
    started = names.index((str(run.folder / "stages" / ".04_migrate.json"), True), record)
    assert backup < folder < record < started
    assert run.result("snapshot", SnapshotRecord).backup.restored_equal
    assert agreed(run)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_the_system_calls(journal: str, tmp_path: Path) -> None:
    """The same, as the kernel of the system saw it."""
    database = make_database(tmp_path / "app.db", journal, users=40, projects=100)
    run = begin(database, tmp_path / "run")
    trace = tmp_path / "trace"
    calls = "trace=fsync,fdatasync,write,pwrite64,ftruncate"
    work = [sys.executable, "-m", "tests.support.faults.work", str(run.folder)]
    work += ["preflight", "snapshot", "migrate"]
    process = subprocess.Popen(
        ["strace", "-f", "-y", "-e", calls, "-o", str(trace), *work],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    code, output = finish(process)
    if code and "ptrace" in output:
        pytest.skip("processes cannot be traced here")
    assert code == 0, output
    lines = trace.read_text(errors="replace").splitlines()

    def first(pattern: str) -> int:
        return next(i for i, line in enumerate(lines) if re.search(pattern, line))

    backup, folder = re.escape(str(run.backup)), re.escape(str(run.backup.parent))
    app = re.escape(str(database))
    last_write = max(i for i, line in enumerate(lines) if re.search(rf"write.*<{backup}>", line))
    synced = first(rf"fsync\(\d+<{backup}>")
    named = first(rf"fsync\(\d+<{folder}>")
    changed = first(rf"p?write(64)?\(\d+<{app}(-wal|-journal)?>")
    committed = max(i for i, line in enumerate(lines) if re.search(rf"sync\(\d+<{app}", line))
    finished = max(
        i for i, line in enumerate(lines) if "04_migrate.json" in line and "fsync" in line
    )
    assert last_write < synced < changed
    assert synced < named < changed < committed < finished
