"""Fleets as large as they are promised: a thousand databases, refused ones, the way back, TLS.

In short form the same with a handful of databases; `make faults` runs them in full.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from runbook.fleet.seal import check_fleet
from runbook.sample.make import make_sample
from tests.support.authority import certificates
from tests.support.cluster import cluster
from tests.support.databases import dump, execute
from tests.support.faults.harness import FULL, SEED, environment
from tests.support.fleets import (
    BLOCKED,
    fingerprint,
    ledger,
    make_tenants,
    members,
    size_of,
    states,
)
from tests.support.small_disk import small_disk

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("large")]

MANY, SOME, BAD = (1_000, 200, 20) if FULL else (8, 10, 2)


def fleet(folder: Path, *words: str) -> list[str]:
    """A call of the command in a folder."""
    return [sys.executable, "-m", "runbook", "fleet", *words]


def called(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = fleet(folder, *words)
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)


class Watch:
    """Memory of the processes of a command, looked at while it runs; in bytes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.workers: list[int] = []
        self.coordinator = 0
        self.processor = 0.0
        self._process = psutil.Process(process.pid)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        with contextlib.suppress(psutil.Error):
            while True:
                own = self._process.cpu_times()
                self.processor = own.user + own.system
                self.coordinator = max(self.coordinator, self._process.memory_info().rss)
                largest = [
                    child.memory_info().rss
                    for child in self._process.children(recursive=True)
                    if "spawn_main" in " ".join(child.cmdline())
                ]
                self.workers.append(max(largest, default=0))
                time.sleep(0.5)


def test_a_thousand_databases(tmp_path: Path) -> None:
    (tmp_path / "tenants").mkdir()
    for number in range(MANY):
        make_sample(tmp_path / "tenants" / f"t{number:04}.db", users=100, projects=500, seed=number)
    words = ["--databases", "tenants/*.db", "--fleet-dir", "f", "--workers", "2", "--yes"]
    began = time.monotonic()
    with subprocess.Popen(
        fleet(tmp_path, "run", *words), cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL
    ) as process:
        watch = Watch(process)
        assert process.wait() == 0
    seconds = time.monotonic() - began
    every = members(tmp_path / "f")
    assert [m.state for m in every] == ["after"] * MANY
    report = json.loads((tmp_path / "f" / "fleet.json").read_text())
    assert report["counts"] == {"after": MANY}
    assert check_fleet(tmp_path / "f").ok
    quarter = max(1, len(watch.workers) // 4)
    early, late = max(watch.workers[: 2 * quarter]), max(watch.workers[-quarter:])
    largest = max(size_of(tmp_path / "f" / m.run) for m in every[1:])  # the canary has notebooks
    print(
        f"{MANY} databases in {seconds:.0f} s: {sum(m.cpu for m in every) / MANY:.2f} processor "
        f"seconds each, {watch.processor:.0f} of the coordinator; a worker {early >> 20} MB, later "
        f"{late >> 20} MB, the coordinator {watch.coordinator >> 20} MB; a run folder {largest:,} B"
    )
    assert max(watch.workers) < 1 << 30
    if FULL:  # a handful of databases ends before a worker has reached its size
        assert late < early * 1.25
    assert largest < 200_000


def plant(paths: list[Path]) -> dict[Path, str]:
    """Databases that cannot be migrated, of each kind in turn; what they are by then."""
    kinds = [
        lambda path: execute(path, BLOCKED),
        lambda path: path.write_bytes(b"no database" * 100),
        lambda path: execute(path, "DROP TABLE projects"),
        lambda path: execute(path, "UPDATE projects SET updated_at = 'once upon a time'"),
    ]
    for number, path in enumerate(paths):
        kinds[number % len(kinds)](path)
    return {path: fingerprint(path) for path in paths}


def test_bad_ones_are_refused_and_are_as_before(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", SOME)
    bad = plant(random.Random(SEED).sample(paths[1:], BAD))
    words = ["--databases", "tenants/*.db", "--fleet-dir", "f", "--workers", "2", "--yes"]
    ended = called(tmp_path, "run", *words, "--max-failures", "100%")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert f"{BAD} databases of {SOME} failed" in ended.stderr
    by_path = {Path(m.database): m for m in members(tmp_path / "f")}
    assert {path for path, m in by_path.items() if m.state != "after"} == set(bad)
    assert all(by_path[path].state == "before" and by_path[path].error for path in bad)
    assert {path: fingerprint(path) for path in bad} == bad
    assert all(len(ledger(path)) == 1 for path in paths if path not in bad)


def test_a_wave_stops_at_the_failures_that_are_allowed(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", SOME)
    allowed = BAD // 4
    bad = plant(random.Random(SEED).sample(paths[1:], BAD))
    words = ["--databases", "tenants/*.db", "--fleet-dir", "f", "--workers", "2", "--yes"]
    ended = called(tmp_path, "run", *words, "--max-failures", str(allowed))
    assert ended.returncode == 1
    now = [m.state for m in members(tmp_path / "f")]
    # All are asked first, so that what blocks is known before anything changes.
    assert now.count("before") <= BAD
    assert now.count("after") < SOME - BAD
    assert {path: fingerprint(path) for path in bad} == bad


def test_the_way_back_of_all(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", SOME)
    before = {path: dump(path) for path in paths}
    words = ["--databases", "tenants/*.db", "--fleet-dir", "f", "--workers", "2", "--yes"]
    ended = called(tmp_path, "run", *words)
    assert ended.returncode == 0, ended.stderr
    assert all(dump(path) != before[path] for path in paths)
    ended = called(tmp_path, "rollback", "--fleet-dir", "f", "--workers", "2", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert states(tmp_path / "f") == ["taken back"] * SOME
    assert {path: dump(path) for path in paths} == before


def test_a_disk_that_is_full_stops_its_own_databases(tmp_path: Path) -> None:
    """Two databases lie on a small disk of their own, which is full before they are migrated."""
    paths = make_tenants(tmp_path / "tenants", 3)
    with small_disk(tmp_path / "small", 400) as disk:
        tight = disk / "tight.db"
        make_sample(tight, users=100, projects=500)
        (disk / "filler").write_bytes(b"x" * (disk_free(disk) - 20_000))
        before = fingerprint(tight)
        words = ["--databases", "tenants/*.db", "--databases", str(tight), "--fleet-dir", "f"]
        ended = called(tmp_path, "run", *words, "--workers", "2", "--yes", "--max-failures", "100%")
        assert ended.returncode == 1, ended.stdout
        by_path = {Path(m.database): m for m in members(tmp_path / "f")}
        assert fingerprint(tight) == before
        assert by_path[tight].state == "before"
        assert "disk" in by_path[tight].error or "room" in by_path[tight].error
        assert all(by_path[path].state == "after" for path in paths)


def disk_free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on this machine")
def test_a_fleet_over_tls(tmp_path: Path) -> None:
    make_tenants(tmp_path / "tenants", 3)
    keys = certificates(tmp_path / "keys")
    ca = ["--tls-ca-file", str(keys / "ca.pem")]
    own = ["--tls-cert", str(keys / "member.pem"), "--tls-key", str(keys / "member.key")]
    with cluster(tmp_path, *ca, *own, protocol="tls") as running:
        address = running.address
        assert address.startswith("tls://")
        words = ["--databases", "tenants/*.db", "--fleet-dir", "f", "--scheduler", address]
        refused = called(tmp_path, "run", *words, "--yes")
        assert refused.returncode == 2
        assert "cannot be reached" in refused.stderr
        ended = called(tmp_path, "run", *words, "--yes", *ca, *own)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert states(tmp_path / "f") == ["after"] * 3
