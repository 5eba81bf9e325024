"""SIGKILL while a stage works, above all inside its transaction: all of it or nothing."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.faults.harness import (
    FULL,
    SEED,
    Reference,
    Tally,
    call,
    ledger,
    make_database,
    moment,
    photograph,
    start,
    state,
    timeless,
)
from tests.integration.runs import begin, until_snapshot

ROUNDS = 60 if FULL else 8
"""Each kills the migration once and the rollback once."""


class Stage:
    """A run whose stages are killed and called again."""

    def __init__(self, database: Path, folder: Path, chance: random.Random) -> None:
        self.database, self.folder, self.chance = database, folder, chance
        self.seconds: dict[str, float] = {}

    def measured(self, stage: str) -> None:
        """Runs a stage undisturbed and keeps how long it took."""
        process = start("tests.faults.work", str(self.folder), stage)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        assert process.stdout.readline() == f"done {stage}\n"
        self.seconds[stage] = time.monotonic() - began
        process.communicate()

    def killed(self, stage: str) -> None:
        """Starts a stage and kills it somewhere between its beginning and just after its end."""
        process = start("tests.faults.work", str(self.folder), stage)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(self.chance.uniform(0.05, 1.05) * self.seconds[stage])
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def finished(self, stage: str) -> None:
        """Calls a stage again, which must come to its end."""
        code, output = call("tests.faults.work", str(self.folder), stage)
        assert code == 0, output


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_killed_stage_is_wholly_before_or_wholly_after(journal: str, tmp_path: Path) -> None:
    database = make_database(tmp_path / "app.db", journal, users=400, projects=6_000)
    folder = tmp_path / "run"
    until_snapshot(begin(database, folder))
    pristine = tmp_path / "pristine"
    shutil.copytree(folder, pristine)
    shutil.copy(database, tmp_path / "pristine.db")
    reference = Reference(state(database))
    stage = Stage(database, folder, random.Random(f"{SEED} {journal}"))
    stage.measured("migrate")
    reference.after = timeless(database)
    stage.measured("rollback")
    assert state(database) == reference.before

    with Tally().kept(f"stages, {journal}") as tally:
        for _ in range(ROUNDS):
            for name in [database.name, f"{database.name}-wal", f"{database.name}-shm"]:
                (tmp_path / name).unlink(missing_ok=True)
            shutil.copy(tmp_path / "pristine.db", database)
            shutil.rmtree(folder)
            shutil.copytree(pristine, folder)
            for name, wanted in (("migrate", "after"), ("rollback", "before")):
                stage.killed(name)
                judged = reference.judge(photograph(database, tmp_path / "album"))
                tally.add(judged, moment(folder))
                assert judged != "mixed"
                stage.finished(name)
                assert reference.judge(photograph(database, tmp_path / "album")) == wanted
                assert len(ledger(database)) == (1 if wanted == "after" else 0)
                tally.resumed += 1
    assert tally.states["before"]
    assert tally.states["after"]
