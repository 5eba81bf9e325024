"""Ctrl-C and Ctrl-D at the prompt, Ctrl-C while a stage works, and a driver that is just gone."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from runbook.run.folder import Run
from runbook.run.lock import hold_lock
from tests.support.faults.harness import (
    another,
    call,
    environment,
    finish,
    hear_interrupts,
    kernels_of,
    ledger,
    log_lines,
    make_database,
    moment,
    runbook,
    start,
    state,
    wait_until_gone,
)
from tests.support.runs import begin, until_snapshot


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, Path]:
    """A database and a run folder in which only the migration is left to do."""
    database = make_database(tmp_path / "app.db", "delete", users=40, projects=100)
    folder = tmp_path / "run"
    until_snapshot(begin(database, folder))
    return database, folder


def wait_for(folder: Path, stage: str, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while (stage, "started") not in [(line["stage"], line["event"]) for line in log_lines(folder)]:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)


def at_a_terminal() -> None:
    """The standard input becomes the controlling terminal, from which interrupts come."""
    hear_interrupts()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (b"\x03", "Interrupted"),
        pytest.param(b"\x04", "there was no terminal", marks=pytest.mark.long),
    ],
)
def test_at_the_prompt(key: bytes, said: str, prepared: tuple[Path, Path]) -> None:
    database, folder = prepared
    before = state(database)
    ours, theirs = pty.openpty()
    command = [arg for arg in runbook("run", folder, database) if arg != "--yes"]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(),
        start_new_session=True,
        preexec_fn=at_a_terminal,
    )
    os.close(theirs)
    seen = b""
    kernels: set[int] = set()

    def read_until(word: bytes) -> None:
        nonlocal seen
        until = time.monotonic() + 90
        while word not in seen and time.monotonic() < until:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    seen += os.read(ours, 4096)
                except OSError:  # the other end is closed
                    break
        assert word in seen, seen

    read_until(b"Type its name")
    kernels = kernels_of(process.pid)
    os.write(ours, key)
    read_until(said.encode())
    assert process.wait(timeout=90) == 1
    os.close(ours)
    assert b"Traceback" not in seen
    assert b"verdict" not in seen  # a verdict would sound as if something had been committed
    assert not wait_until_gone(kernels)
    assert state(database) == before
    assert not ledger(database)


def test_while_the_migration_waits_for_the_lock(prepared: tuple[Path, Path]) -> None:
    database, folder = prepared
    before = state(database)
    with another(database, "hold", 120) as other:
        process = start(*runbook("run", folder, database))
        wait_for(folder, "migrate", process)
        kernels = kernels_of(process.pid)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        code, output = finish(process)
        assert other.poll() is None  # the lock was not waited for
    assert code == 1
    assert "Interrupted" in output
    assert "Traceback" not in output
    record = Run.open(folder).record("migrate")
    assert record is not None
    assert record.status == "failed"
    assert moment(folder) == "report finished"  # which says that it was interrupted
    assert not wait_until_gone(kernels)
    with hold_lock(folder, "stage"):  # nobody holds it any more
        pass
    assert state(database) == before
    code, output = call(*runbook("run", folder, database))
    assert code == 0, output
    assert len(ledger(database)) == 1


@pytest.mark.long
def test_the_kernel_of_a_killed_driver_is_waited_for(prepared: tuple[Path, Path]) -> None:
    database, folder = prepared
    with another(database, "hold", 4):
        process = start(*runbook("run", folder, database))
        wait_for(folder, "migrate", process)
        process.kill()
        process.communicate()
        # At once, while the orphan still holds the folder and waits for the database.
        code, output = call(*runbook("run", folder, database))
    assert code == 0, output
    assert len(ledger(database)) == 1


def test_two_runs_on_one_folder(prepared: tuple[Path, Path]) -> None:
    database, folder = prepared
    with hold_lock(folder, "run"):
        code, output = call(*runbook("run", folder, database))
        assert (code, output.count("\n")) == (1, 1)
        assert "Another process is working in" in output
        code, output = call(*runbook("rollback", folder))
        assert code == 1
    assert not ledger(database)
