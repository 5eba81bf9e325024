"""Processes to hurt, and strict looks at what they leave behind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from runbook.sample.make import make_sample
from tests.support.databases import dump
from tests.support.paths import ROOT

FULL = os.environ.get("RUNBOOK_FAULTS") == "full"
# `make test` draws the same moments every time; `make faults` fresh ones, and prints their seed.
SEED = int(
    os.environ.get("RUNBOOK_FAULTS_SEED", random.SystemRandom().randrange(10**9) if FULL else 1)
)
COUNTS = ROOT / "build" / "faults.json"


def environment() -> dict[str, str]:
    """The environment in which every process finds this very package."""
    inherited = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), inherited]))}


def hear_interrupts() -> None:
    """What a process does by default about SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Starts `python -m arguments` with its output to be read.

    A shell that runs the tests in the background lets them ignore interrupts; a process that we
    start does not inherit that.
    """
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=options.pop("env", environment()),
        preexec_fn=options.pop("preexec_fn", hear_interrupts),
        **options,
    )


def finish(process: subprocess.Popen[str], seconds: float = 180) -> tuple[int, str]:
    """Exit code and output of a process that must end."""
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, output


def call(*arguments: str, **options: Any) -> tuple[int, str]:
    """Exit code and output of `python -m arguments`."""
    return finish(start(*arguments, **options))


def runbook(command: str, folder: Path, database: Path | None = None) -> list[str]:
    """The arguments of a command of the runbook on a run folder, agreed to."""
    named = ["--database", str(database)] if database else []
    return ["runbook", command, *named, "--run-dir", str(folder), "--yes"]


# -- what a database is ----------------------------------------------------------------------


def make_database(path: Path, journal: str, **size: int) -> Path:
    """A sample database in a journal mode."""
    make_sample(path, **size)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"PRAGMA journal_mode = {journal}").fetchone() == (journal,)
    return path


def state(path: Path) -> str:
    """Everything that the database holds, as text; opening it undoes what was cut off."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        names = ("user_version", "application_id", "encoding", "journal_mode", "page_size")
        marks = [connection.execute(f"PRAGMA {name}").fetchone() for name in names]
    return f"{marks}\n{dump(path)}"


def photograph(database: Path, album: Path) -> Path:
    """A copy of the database and its side files as they lie there, which nobody has opened."""
    shutil.rmtree(album, ignore_errors=True)
    album.mkdir(parents=True)
    for suffix in ("", "-journal", "-wal"):
        side = database.with_name(database.name + suffix)
        if side.exists():
            shutil.copy(side, album)
    return album / database.name


def ledger(path: Path) -> list[tuple[str, str]]:
    """(run, applied_at) of every migration that the ledger holds."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        query = "SELECT 1 FROM sqlite_schema WHERE name = 'runbook_ledger'"
        if connection.execute(query).fetchone() is None:
            return []
        return connection.execute("SELECT run, applied_at FROM runbook_ledger").fetchall()


def timeless(path: Path) -> str:
    """The state with the run's name and its instant, in whatever form, replaced."""
    text = state(path)
    ((run, at),) = ledger(path)
    day, clock = at.split(" ")
    instant = rf"{day}[ T]{clock[:8]}(\.\d+)?Z?"
    return re.sub(instant, "<instant>", text.replace(run, "<run>"))


@dataclass
class Reference:
    """What the database was and what an undisturbed migration makes of it."""

    before: str
    after: str = ""

    def judge(self, photo: Path) -> str:
        """`before`, `after` or `mixed`, by strict comparison of everything."""
        if not ledger(photo):
            return "before" if state(photo) == self.before else "mixed"
        return "after" if timeless(photo) == self.after else "mixed"


# -- kills -----------------------------------------------------------------------------------


def children(pid: int) -> set[int]:
    """Processes whose parent is `pid`."""
    pids = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == pid:
                pids.add(int(entry.name))
    return pids


def kernels_of(driver: int) -> set[int]:
    """The kernels of a driver: forks of the fork server, which is its child."""
    return {kernel for child in children(driver) for kernel in children(child)}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def kill(pids: set[int]) -> None:
    """SIGKILL to each."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_until_gone(pids: set[int], seconds: float = 30) -> set[int]:
    """Waits for processes to end; returns those that did not."""
    until = time.monotonic() + seconds
    while (left := {p for p in pids if alive(p)}) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def moment(folder: Path) -> str:
    """The stage that a kill fell into or after, and what its record says."""
    latest = (0, "nothing recorded")
    for path in sorted((folder / "stages").glob("*.json")):
        record = json.loads(path.read_text())  # a torn one would be a failure of the test
        latest = max(latest, (record["order"], f"{record['stage']} {record['status']}"))
    return latest[1]


def log_lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log that are whole."""
    lines = []
    with contextlib.suppress(OSError):
        for line in (folder / "log.jsonl").read_text().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
    return lines


# -- counts ----------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of the kills of one test."""

    kills: int = 0
    resumed: int = 0
    states: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)

    def add(self, judged: str, moment: str) -> None:
        """One more kill, what it left, and when it fell."""
        self.kills += 1
        self.states[judged] += 1
        self.moments[moment] += 1

    @contextlib.contextmanager
    def kept(self, name: str) -> Iterator[Tally]:
        """Writes the counts to `build/faults.json` in the end, and prints them."""
        try:
            yield self
        finally:
            mine = {
                "seed": SEED,
                "kills": self.kills,
                "wholly before": self.states["before"],
                "wholly after": self.states["after"],
                "mixed": self.states["mixed"],
                "resumed": self.resumed,
                "moments": dict(sorted(self.moments.items())),
            }
            _keep(name, mine)
            print(f"{name}: {mine}")


def _keep(name: str, mine: dict[str, Any]) -> None:
    COUNTS.parent.mkdir(exist_ok=True)
    with FileLock(COUNTS.parent / ".faults.lock"):
        try:
            tests = json.loads(COUNTS.read_text())["tests"]
        except (OSError, ValueError, KeyError):
            tests = {}
        tests[name] = mine
        words = ("kills", "wholly before", "wholly after", "mixed", "resumed")
        total = {word: sum(t[word] for t in tests.values()) for word in words}
        COUNTS.write_text(json.dumps({**total, "tests": tests}, indent=1) + "\n")


@contextlib.contextmanager
def another(database: Path, deed: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Another process that has begun its deed."""
    process = start("tests.support.faults.other", str(database), deed, str(seconds))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.kill()
        finish(process)
