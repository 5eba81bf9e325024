"""SIGKILL while a stage works, above all inside its transaction: all of it or nothing."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.faults.harness import (
    FULL,
    SEED,
    Reference,
    Tally,
    call,
    environment,
    ledger,
    make_database,
    photograph,
    start,
    state,
    timeless,
)
from tests.support.runs import begin, until_snapshot

ROUNDS = 60 if FULL else 3
"""Each kills the migration once and the rollback once."""


class Stage:
    """A run whose stages are killed and called again."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder, self.chance = folder, chance
        self.seconds: dict[str, tuple[float, float]] = {}

    def begin(self, stage: str) -> subprocess.Popen[str]:
        """A process at the beginning of the stage, which tells of each step."""
        env = {**environment(), "RUNBOOK_PRINT_STEPS": "1"}
        process = start("tests.support.faults.work", str(self.folder), stage, env=env)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def measured(self, stage: str) -> None:
        """Runs a stage undisturbed and keeps how long it took, in all and from its first step."""
        process = self.begin(stage)
        assert process.stdout is not None
        began = time.monotonic()
        process.stdout.readline()
        stepped = time.monotonic()
        assert process.stdout.read().endswith(f"done {stage}\n")
        process.communicate()
        ended = time.monotonic()
        self.seconds[stage] = ended - began, ended - stepped

    def killed(self, stage: str, *, at_once: bool) -> str:
        """Kills a stage at a random moment and says where; every other time after its first step.

        The first step stands inside the transaction, which is short beside all that precedes it.
        `at_once` kills right at that step.
        """
        process = self.begin(stage)
        assert process.stdout is not None
        whole, inside = self.seconds[stage]
        told = process.stdout.readline() if at_once or self.chance.random() < 0.5 else ""
        if not at_once:
            time.sleep(self.chance.uniform(0, 1.05) * (inside if told else whole))
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        return f"{stage}: {((told + rest).splitlines() or ['before the first step'])[-1]}"

    def finished(self, stage: str) -> None:
        """Calls a stage again, which must come to its end."""
        code, output = call("tests.support.faults.work", str(self.folder), stage)
        assert code == 0, output


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["wal", pytest.param("delete", marks=pytest.mark.long)])
def test_a_killed_stage_is_wholly_before_or_wholly_after(journal: str, tmp_path: Path) -> None:
    database = make_database(tmp_path / "app.db", journal, users=400, projects=6_000)
    folder = tmp_path / "run"
    until_snapshot(begin(database, folder))
    pristine = tmp_path / "pristine"
    shutil.copytree(folder, pristine)
    shutil.copy(database, tmp_path / "pristine.db")
    reference = Reference(state(database))
    stage = Stage(folder, random.Random(f"{SEED} {journal}"))
    stage.measured("migrate")
    reference.after = timeless(database)
    stage.measured("rollback")
    assert state(database) == reference.before

    with Tally().kept(f"stages, {journal}") as tally:
        for turn in range(ROUNDS):
            for name in (f"{database.name}-wal", f"{database.name}-shm"):
                (tmp_path / name).unlink(missing_ok=True)
            shutil.copy(tmp_path / "pristine.db", database)  # over it: another file is refused
            shutil.rmtree(folder)
            shutil.copytree(pristine, folder)
            for name, wanted in (("migrate", "after"), ("rollback", "before")):
                moment = stage.killed(name, at_once=turn == 0)
                judged = reference.judge(photograph(database, tmp_path / "album"))
                tally.add(judged, moment)
                assert judged != "mixed"
                stage.finished(name)
                assert reference.judge(photograph(database, tmp_path / "album")) == wanted
                assert len(ledger(database)) == (1 if wanted == "after" else 0)
                tally.resumed += 1
    assert tally.states["before"]
    assert tally.states["after"]
