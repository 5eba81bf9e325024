"""A disk that answers EIO, a WAL that is deleted, and a folder of somebody else's."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.stages import migrate
from tests.support.brief import brief
from tests.support.faults.harness import call, environment, ledger, make_database, state
from tests.support.runs import agreed, begin, until_snapshot

SOURCE = Path(__file__).parent.parent / "support" / "faults" / "failing_disk.c"


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes a disk fail."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("a failing disk is imitated by a library, which takes Linux and a C compiler")
    built = tmp_path_factory.mktemp("failing") / "failing_disk.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(built), str(SOURCE), "-ldl"]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"the library cannot be built here: {made.stderr[:200]}")
    return built


def hurt(library: Path, folder: str, kind: str, after: int) -> dict[str, str]:
    """The environment of a process whose disk fails."""
    return {
        **environment(),
        "LD_PRELOAD": str(library),
        "FAILING_FOLDER": folder,
        "FAILING_CALL": kind,
        "FAILING_AFTER": str(after),
    }


OFTEN = {
    ("app.db", "write", "delete"),
    ("app.db", "fsync", "wal"),
    ("run folder", "write", "wal"),
    ("app.db", "read", "delete"),
}


@pytest.mark.parametrize(
    ("where", "kind", "journal"),
    brief(
        itertools.product(("app.db", "run folder"), ("write", "fsync", "read"), ("delete", "wal")),
        lambda case: case in OFTEN,
    ),
)
def test_the_disk_fails_during_the_migration(
    failing: Path, tmp_path: Path, journal: str, kind: str, where: str
) -> None:
    """Wholly before or wholly after, one sentence, and the next call goes on."""
    database = make_database(tmp_path / "app.db", journal, users=30, projects=80)
    run = until_snapshot(begin(database, tmp_path / "run"))
    before = state(database)
    for after in (0, 3, 12):
        place = str(run.folder if where == "run folder" else database)
        env = hurt(failing, place, kind, after)
        code, output = call("tests.support.faults.work", str(run.folder), "migrate", env=env)
        assert "Traceback" not in output, output
        assert code in (0, 1, 2, 3), output
        if code:
            lines = [line for line in output.splitlines() if line not in ("", "ready")]
            assert len(lines) == 1, output
        if not ledger(database):
            assert state(database) == before
        elif code != 0:
            assert code == 3 or "committed" in output or "migrated" in output, output
        if ledger(database):
            break
    if not ledger(database) and not run.finished("snapshot"):
        from runbook.stages import snapshot

        snapshot.snapshot(run)
    assert migrate.migrate(run, agreed(run)).committed
    assert len(ledger(database)) == 1


def test_a_wal_that_is_deleted_under_the_runbook(tmp_path: Path) -> None:
    """What was committed to it is gone, so the database is not the one of the backup."""
    database = make_database(tmp_path / "app.db", "wal", users=30, projects=80)
    writer = sqlite3.connect(database, isolation_level=None)
    with contextlib.closing(writer):
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        writer.execute("UPDATE projects SET name = name || ' of the WAL'")
        run = until_snapshot(begin(database, tmp_path / "run"))
        database.with_name("app.db-wal").unlink()
        with pytest.raises(RunbookError) as error:
            migrate.migrate(run, agreed(run))
        assert len(str(error.value).splitlines()) == 1
    assert ledger(database) == []


NOT_ROOT = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner,-chown")


def as_a_user(*arguments: str) -> tuple[int, str]:
    """A call without root's right to pass over permissions."""
    ended = subprocess.run(
        [*(NOT_ROOT if os.geteuid() == 0 else ()), sys.executable, "-m", "runbook", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("owner", brief(["own", "foreign"], lambda owner: owner == "foreign"))
def test_a_run_folder_that_a_user_may_only_read(tmp_path: Path, owner: str) -> None:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and setpriv is not there to take that away")
    if os.geteuid() != 0 and owner == "foreign":
        pytest.skip("only root can make a folder somebody else's")
    database = make_database(tmp_path / "app.db", "delete", users=10, projects=20)
    run = until_snapshot(begin(database, tmp_path / "run"))
    before = state(database)
    folder = str(run.folder)
    everything = [run.folder, *run.folder.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
        if owner == "foreign":
            os.chown(path, 65534, 65534)
    try:
        code, output = as_a_user("status", "--run-dir", folder)
        assert (code, "Traceback" in output) == (0, False), output
        assert "backup" in output.casefold()
        for command in (
            ["run", "--run-dir", folder, "--yes"],
            ["rollback", "--run-dir", folder, "--yes"],
            ["monitor", "--run-dir", folder, "--once"],
            ["maintenance", "on", "--run-dir", folder],
            ["tick", "5", "--run-dir", folder, "--by", "me", "--note", "x"],
        ):
            code, output = as_a_user(*command)
            assert code in (1, 2), (command, output)
            assert "Traceback" not in output, (command, output)
            reasons = ("Permission denied", "may not run now", "The plan says neither how")
            assert any(reason in output for reason in reasons), (command, output)
        out = str(tmp_path / "sealed.zip")
        code, output = as_a_user("archive", "--run-dir", folder, "--out", out)
        assert code == 0, output
    finally:
        for path in everything:
            os.chown(path, os.geteuid(), os.getegid())
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert state(database) == before
