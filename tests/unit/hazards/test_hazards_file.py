"""Hazards of the file and of its other users, and that looking leaves no trace."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from runbook.errors import TargetError
from runbook.hazards import file as file_probes
from runbook.hazards import file_hazards, inspect_file
from runbook.hazards.activity import probe_lock
from runbook.plan.plan import Plan
from runbook.run.findings import Hazard
from runbook.sqlite.connect import CutOff, Locked, open_readonly
from tests.support.noise import noise

from .conftest import run_sql, shown


def look(path: Path) -> dict[str, Hazard]:
    return {h.code: h for h in file_hazards(path, Plan(), path.parent / "runs")}


def trace(path: Path) -> dict[str, tuple[str, int]]:
    """Content and time of change of the file and its log; which side files are there."""
    found = {}
    for suffix in ("", "-wal", "-journal"):
        file = Path(f"{path}{suffix}")
        if file.exists():
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            found[suffix] = (digest, file.stat().st_mtime_ns)
    return found


def in_a_process_that_dies(code: str) -> None:
    """Runs Python code in a process that ends without closing anything."""
    program = f"import os, sqlite3\n{code}\nos._exit(9)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may do everything, so what rights forbid is tried as somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def other_process(path: Path, *statements: str) -> Iterator[None]:
    """Meanwhile another process has run these statements and holds its connection open."""
    code = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    code += "for s in sys.argv[2:]: c.execute(s).fetchall()\nprint('ready', flush=True)\ninput()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path), *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    with process:
        assert process.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            process.stdin.write("\n")


@pytest.fixture(params=["delete", "wal", "wal with a log", "log without shm"])
def quiet(request: pytest.FixtureRequest, database: Path) -> Path:
    """A database that nobody uses, in each state that it may be found in."""
    if request.param == "delete":
        return database
    run_sql(database, "PRAGMA journal_mode = WAL")
    if "log" in request.param:
        in_a_process_that_dies(
            f"c = sqlite3.connect({str(database)!r}, isolation_level=None)\n"
            "c.execute(\"UPDATE users SET name = 'x'\")"
        )
        assert Path(f"{database}-wal").stat().st_size
    if "without" in request.param:
        Path(f"{database}-shm").unlink()
    return database


def test_a_clean_file_has_only_the_estimate(database: Path) -> None:
    found = look(database)
    assert set(found) == {"disk_estimate"}
    assert found["disk_estimate"].level == "note"


def test_looking_leaves_no_trace(quiet: Path) -> None:
    before, listed = trace(quiet), sorted(quiet.parent.iterdir())
    hazards, _ = inspect_file(quiet, Plan(), None)
    assert not [h for h in hazards if h.level != "note"]
    assert trace(quiet) == before
    now = sorted(quiet.parent.iterdir())
    if Path(f"{quiet}-wal").exists() and Path(f"{quiet}-shm") not in listed:
        now.remove(Path(f"{quiet}-shm"))  # SQLite's index of the log that was there before
    assert now == listed


def test_the_trace_would_be_seen(quiet: Path) -> None:
    """The comparison above is sharp: an ordinary connection that writes and closes shows."""
    before = trace(quiet)
    run_sql(quiet, "UPDATE users SET name = 'y'")
    assert trace(quiet) != before


def test_several_readers_in_one_process_tidy_up_together(database: Path) -> None:
    run_sql(database, "PRAGMA journal_mode = WAL")
    first, second = open_readonly(database), open_readonly(database)
    first.close()
    assert second.execute("SELECT count(*) FROM users").fetchone() == (3,)
    second.close()
    assert not Path(f"{database}-wal").exists()


def test_tidying_leaves_the_files_that_others_use(database: Path) -> None:
    run_sql(database, "PRAGMA journal_mode = WAL")
    reader = open_readonly(database)
    with other_process(database, "SELECT * FROM users"):
        reader.close()
        assert Path(f"{database}-wal").exists()


@pytest.mark.parametrize(
    ("sql", "code", "part"),
    [
        ("PRAGMA journal_mode = WAL", "journal_mode_wal", ""),
        ("PRAGMA application_id = 77", "application_id", "77"),
        ("PRAGMA user_version = 5", "user_version", "5"),
    ],
)
def test_settings_are_notes(database: Path, sql: str, code: str, part: str) -> None:
    run_sql(database, sql)
    found = look(database)
    assert set(found) == {code, "disk_estimate"}
    assert found[code].level == "note"
    assert part in found[code].meaning


def test_encoding_and_page_size(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    run_sql(path, "PRAGMA encoding = 'UTF-16le'; PRAGMA page_size = 1024; CREATE TABLE users (id)")
    assert {"text_encoding", "page_size"} <= set(look(path))


def test_a_log_left_behind(database: Path) -> None:
    run_sql(database, "PRAGMA journal_mode = WAL")
    in_a_process_that_dies(
        f"c = sqlite3.connect({str(database)!r}, isolation_level=None)\n"
        "c.execute(\"UPDATE users SET name = 'x'\")"
    )
    assert look(database)["wal_left_behind"].level == "note"


def test_a_hot_journal(database: Path) -> None:
    database = database.rename(database.with_name("it's $(false) #1.db"))
    in_a_process_that_dies(
        f"c = sqlite3.connect({str(database)!r}, isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 2')\nc.execute('BEGIN')\n"
        "c.execute('CREATE TABLE big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
        "FROM n WHERE i < 300) SELECT hex(randomblob(1000)) FROM n')"
    )
    before = trace(database)
    assert "-journal" in before
    with pytest.raises(CutOff, match="cut off"):
        open_readonly(database)
    hazards, advice = inspect_file(database, Plan(), None)
    assert [(h.code, h.level) for h in hazards] == [("hot_journal", "block")]
    assert advice == {}
    assert trace(database) == before
    subprocess.run(["sh", "-c", hazards[0].remedy], check=True)
    assert set(look(database)) == {"disk_estimate"}


def test_damaged_pages(database: Path) -> None:
    run_sql(
        database,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
        " INSERT INTO projects SELECT 'q' || i, 'u1', hex(randomblob(20)), NULL FROM n",
    )
    with database.open("r+b") as file:
        file.seek(4096 * 8)
        file.write(b"\xff" * 4096 * 10)
    hazards, _ = inspect_file(database, Plan(), None)
    (damage,) = [h for h in hazards if h.code == "integrity_errors"]
    assert damage.level == "block"
    assert damage.samples
    assert hazards[0] == damage


def test_a_symbolic_link(database: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(database)
    hazard = look(link)["symbolic_link"]
    assert (hazard.level, shown(hazard)) == ("note", (str(database),))


def test_a_network_file_system(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = database.parent / "mounts"
    mounts.write_text(f"/dev/x / ext4 rw 0 0\nserver:/x {database.parent} nfs4 rw 0 0\n")
    monkeypatch.setattr(file_probes, "MOUNTS", mounts)
    assert look(database)["network_file_system"].level == "warn"
    mounts.write_text(f"server:/x / nfs4 rw 0 0\n/dev/x {database.parent} ext4 rw 0 0\n")
    assert "network_file_system" not in look(database)


def test_rights(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"rights-{os.getpid()}"
    folder.mkdir()
    try:
        path = folder / "app.db"
        run_sql(path, "CREATE TABLE users (id)")
        path.chmod(0o444)
        folder.chmod(0o555)
        with as_nobody():
            found = look(path)
        assert {"file_not_writable", "folder_not_writable"} <= set(found)
        assert found["file_not_writable"].level == found["folder_not_writable"].level == "block"
        path.chmod(0o000)
        with as_nobody(), pytest.raises(TargetError, match="grant the right"):
            open_readonly(path)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_too_little_room(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1000))
    hazard = look(database)["disk_space"]
    assert hazard.level == "block"
    assert "free 1.00 kB" in hazard.meaning
    assert "--run-dir" in hazard.remedy


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_held_write_lock(database: Path, mode: str) -> None:
    run_sql(database, f"PRAGMA journal_mode = {mode}")
    assert "write_lock_held" not in look(database)
    with other_process(database, "BEGIN IMMEDIATE"):
        before = trace(database)
        found = look(database)
        assert trace(database) == before
    assert found["write_lock_held"].level == "block"
    assert "process" in shown(found["write_lock_held"])[0]


def test_a_lock_that_keeps_readers_out(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with other_process(database, "BEGIN EXCLUSIVE"):
        with pytest.raises(Locked, match="locked"):
            open_readonly(database, timeout=0.1)
        assert look(database)["write_lock_held"].level == "block"


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_short_write_is_waited_for(database: Path, mode: str) -> None:
    """A live application is in the middle of a write now and then, which blocks nothing."""
    run_sql(database, f"PRAGMA journal_mode = {mode}")
    with closing(
        sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    ) as writer:
        writer.execute("BEGIN IMMEDIATE")
        end = threading.Timer(0.5, writer.execute, ["ROLLBACK"])
        end.start()
        try:
            begun = [*probe_lock(database)]
        finally:
            end.join()
    assert begun == []


def test_somebody_writes(database: Path) -> None:
    run_sql(database, "PRAGMA journal_mode = WAL")
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(database, isolation_level=None, timeout=5)) as connection:
            while not stop.wait(0.01):
                connection.execute("UPDATE users SET name = name || 'x' WHERE id = 'u1'")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = look(database)
    finally:
        stop.set()
        writer.join()
    assert found["being_written"].level == "warn"
    assert "being_written" not in look(database)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are seen on Linux only")
def test_the_file_is_open_elsewhere(database: Path) -> None:
    with other_process(database, "SELECT * FROM users"):
        hazard = look(database)["open_elsewhere"]
    assert hazard.level == "warn"
    assert "python" in shown(hazard)[0]
    assert "open_elsewhere" not in look(database)


def _text(path: Path) -> None:
    path.write_text("This is a letter, not a database. " * 20)


def _noise(path: Path) -> None:
    path.write_bytes(noise(8192))


def _empty(path: Path) -> None:
    path.touch()


def _folder(path: Path) -> None:
    path.mkdir()


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def _truncated(path: Path) -> None:
    run_sql(path, "CREATE TABLE a (x); CREATE TABLE b (x); CREATE TABLE c (x)")
    os.truncate(path, 5000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "is not there"),
        (_dangling, "leads to nothing"),
        (_empty, "is empty"),
        (_folder, "is a folder"),
        (_text, "is a text file"),
        (_noise, "encrypted"),
        (_truncated, "is truncated"),
    ],
)
def test_what_is_no_database_gets_one_sentence(tmp_path: Path, make, message: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "bad.db"
    make(path)
    before = trace(path) if path.is_file() else {}
    for call in (
        lambda: open_readonly(path),
        lambda: file_hazards(path, Plan(), None),
        lambda: inspect_file(path, Plan(), None),
    ):
        with pytest.raises(TargetError, match=message) as caught:
            call()
        assert str(caught.value).count(". ") == 0
    assert (trace(path) if path.is_file() else {}) == before


def test_reading_is_all_that_the_connection_can(database: Path) -> None:
    with (
        closing(open_readonly(database)) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("DELETE FROM users")
