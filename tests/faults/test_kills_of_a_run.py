"""SIGKILL at random moments of `runbook run` and `runbook rollback`: of the driver, the kernel, both.

An orphaned kernel works on for a second after its driver; the next call has to cope with that too.
"""

from __future__ import annotations

import json
import random
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
    finish,
    kernels_of,
    kill,
    ledger,
    log_lines,
    make_database,
    moment,
    photograph,
    runbook,
    start,
    state,
    timeless,
    wait_until_gone,
)

KILLS = 30 if FULL else 2
"""In each journal mode, one or more of them of `runbook rollback`; each victim has its turn."""

STAGES = ("preflight", "rehearse", "snapshot", "migrate", "migrate", "verify", "report")
VICTIMS = ("driver", "kernel", "both")


def hurt(
    process: subprocess.Popen[str], folder: Path, chance: random.Random, victim: str, stage: str
) -> bool:
    """Kills a process's driver or kernels, or both, at a random moment; False if it was too late.

    The moment lies within a second after `stage` began, or within the first seconds of the call.
    """
    seen = len(log_lines(folder))
    if stage:
        until = time.monotonic() + 90
        while process.poll() is None and time.monotonic() < until:
            new = [(line["stage"], line["event"]) for line in log_lines(folder)[seen:]]
            if (stage, "started") in new:
                break
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.4 if stage in ("migrate", "rollback") else 1.2))
    else:
        time.sleep(chance.uniform(0, 6))
    if process.poll() is not None:
        finish(process)
        return False
    kernels = kernels_of(process.pid)
    if victim in ("kernel", "both") and not kernels:
        victim = "both"
    if victim != "driver":
        kill(kernels)
    if victim != "kernel":
        process.kill()
    code, _ = finish(process)
    if code == 0 and victim != "kernel":
        return False  # it ended between the last look and the kill
    # The kernels of a dead driver must not live on, whatever they are doing.
    assert not wait_until_gone(kernels)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["delete", pytest.param("wal", marks=pytest.mark.long)])
def test_a_killed_run_is_wholly_before_or_wholly_after(journal: str, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} {journal}")
    database = make_database(tmp_path / "app.db", journal)
    reference = Reference(state(database))
    album = tmp_path / "album"
    left, number = KILLS, 0
    with Tally().kept(f"runs, {journal}") as tally:
        while left > 0:
            number += 1
            folder = tmp_path / f"run{number}"
            pending = 0
            command, wanted = runbook("run", folder, database), "after"
            for _ in range(4):
                if left <= 1:
                    break
                stage = chance.choice(("", *STAGES))
                victim = VICTIMS[tally.kills % 3]
                if hurt(start(*command), folder, chance, victim, stage):
                    judged = "before"
                    if reference.after:
                        judged = reference.judge(photograph(database, album))
                    elif ledger(photograph(database, album)):
                        judged = "after"  # strictly compared below, where it goes on
                    else:
                        assert state(photograph(database, album)) == reference.before
                    tally.add(judged, f"{victim}: {moment(folder)}")
                    assert judged != "mixed"
                    left, pending = left - 1, pending + 1
            code, output = call(*command)
            assert code == 0, output
            assert len(ledger(database)) == 1
            assert json.loads((folder / "audit.json").read_text())["verdict"] == "pass"
            reference.after = reference.after or timeless(database)
            assert reference.judge(photograph(database, album)) == wanted
            tally.resumed += pending

            command, pending = runbook("rollback", folder), 0
            if hurt(start(*command), folder, chance, chance.choice(VICTIMS), "rollback"):
                judged = reference.judge(photograph(database, album))
                tally.add(judged, f"rollback: {moment(folder)}")
                assert judged != "mixed"
                left, pending = left - 1, 1
            code, output = call(*command)
            assert code == 0, output
            assert reference.judge(photograph(database, album)) == "before"
            tally.resumed += pending
