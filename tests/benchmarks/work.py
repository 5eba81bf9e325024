"""What is measured: each is a function of a folder, and prepares itself before it measures.

The folder holds `sample.db`, which nobody changes, and what earlier ones left: `preflight`,
`snapshot`, `migrate`, `verify`, `report` and `rollback` are stages of one run in `run/`, in this
order; `rehearse` has a run of its own.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

from runbook.audit import verify as verification
from runbook.audit.gate import Expectation
from runbook.audit.snapshot import capture, digests, read_capture
from runbook.audit.witness_pandas import recompute
from runbook.migration import migrate as migration
from runbook.notebook import explore_run as exploring
from runbook.run.folder import Run
from runbook.run.records import MigrateRecord, SnapshotRecord
from runbook.sample.make import make_sample
from runbook.script.footprint import Baseline
from runbook.stages import migrate, preflight, rehearse, report, rollback, snapshot, verify
from runbook.stages.confirm import confirm
from runbook.stages.open_run import open_run
from runbook.targets.open_target import open_target
from runbook.targets.sqlite import SqliteTarget
from runbook.templates import split_statements
from tests.benchmarks.peers import PEERS
from tests.benchmarks.questions import QUESTIONS
from tests.benchmarks.usage import Usage, used

Parts = dict[str, dict[str, float]]
"""Parts of a measurement by name, each with what is known of it."""

_SPECIFIED = Path(__file__).with_name("specification.sql")


def baseline(folder: Path) -> tuple[Usage, Parts]:
    """The specification's script, in one transaction, with SQLite's default cache."""
    path = _fresh(folder, "baseline.db")
    statements = split_statements(_SPECIFIED.read_text())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection, used() as usage:
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")
    path.unlink()
    return usage, {}


def backup(folder: Path) -> tuple[Usage, Parts]:
    """The backup alone."""
    to = folder / "backup.db"
    to.unlink(missing_ok=True)
    with used() as usage:
        open_target(str(folder / "sample.db")).backup(to)
    to.unlink()
    return usage, {}


def run_preflight(folder: Path) -> tuple[Usage, Parts]:
    """Stage 01, which begins the run."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    path = _fresh(folder, "live.db")
    run = open_run(str(path), run_dir=str(folder / "run"), operator="benchmark")
    with used() as usage:
        preflight.preflight(run)
    return usage, {}


def run_rehearse(folder: Path) -> tuple[Usage, Parts]:
    """Stage 02 of a run of its own, and stage 03 after it."""
    place = folder / "rehearsed"
    shutil.rmtree(place, ignore_errors=True)
    path = _fresh(folder, "rehearsed.db")
    run = open_run(str(path), run_dir=str(place), operator="benchmark")
    preflight.preflight(run)
    with used() as usage:
        rehearse.rehearse(run)
    with used() as later:
        snapshot.snapshot(run)
    path.unlink()
    shutil.rmtree(place)
    return usage, {"snapshot": asdict(later)}


def run_snapshot(folder: Path) -> tuple[Usage, Parts]:
    """Stage 03: backup, restored once, and Parquet with digests."""
    run = Run.open(folder / "run")
    with used() as usage:
        snapshot.snapshot(run)
    return usage, {"files": _disk(run.folder)}


def run_migrate(folder: Path) -> tuple[Usage, Parts]:
    """Stage 04, with its steps, the gate, and how long the write lock was held."""
    run = Run.open(folder / "run")
    inside: dict[str, Usage] = {}

    def watched(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*values: Any, **named: Any) -> Any:
            with used() as usage:
                result = work(*values, **named)
            inside[name] = usage
            return result

        return measured

    agreed = confirm(run, typed=run.info.identity.name)
    with (
        mock.patch.object(SqliteTarget, "_run", watched("steps", SqliteTarget._run)),
        mock.patch.object(migration, "prove", watched("gate", migration.prove)),
        mock.patch.object(SqliteTarget, "apply", watched("lock held", SqliteTarget.apply)),
        used() as usage,
    ):
        record = migrate.migrate(run, agreed)
    parts: Parts = {f"step {step.name}": {"wall": step.seconds} for step in record.steps}
    parts |= {name: asdict(part) for name, part in inside.items()}
    parts["lock held"]["wall"] = record.locked_seconds
    parts["database"] = _disk(Path(run.info.database))
    # Whatever is watched inside resets the peak.
    usage.peak_mb = max(usage.peak_mb, *(part.peak_mb for part in inside.values()))
    return usage, parts


def run_verify(folder: Path) -> tuple[Usage, Parts]:
    """Stage 05: the capture of after, three witnesses, digests."""
    run = Run.open(folder / "run")
    with used() as usage:
        record = verify.verify(run)
    if record.verdict != "pass":
        raise AssertionError(f"the migration of the sample did not pass: {record.findings[:3]}")
    return usage, {"files": _disk(run.after)}


def run_report(folder: Path) -> tuple[Usage, Parts]:
    """Stage 06."""
    run = Run.open(folder / "run")
    with used() as usage:
        report.report(run)
    return usage, {}


def run_rollback(folder: Path) -> tuple[Usage, Parts]:
    """Stage 08, after which nothing can be asked of the migrated database any more."""
    run = Run.open(folder / "run")
    agreed = confirm(run, typed=run.info.identity.name)
    with used() as usage:
        rollback.rollback(run, agreed)
    return usage, {}


def small_run(folder: Path) -> tuple[Usage, Parts]:
    """`runbook run` on 200 users, with all its notebooks, as a command."""
    place = folder / "small"
    shutil.rmtree(place, ignore_errors=True)
    make_sample(place / "app.db")
    command = [sys.executable, "-m", "runbook", "run", "--yes", "--database", str(place / "app.db")]
    with used() as usage:
        subprocess.run(
            [*command, "--run-dir", str(place / "run")], check=True, stdout=subprocess.DEVNULL
        )
    shutil.rmtree(place)
    return usage, {}


def witness_sqlite(folder: Path) -> tuple[Usage, Parts]:
    """The first witness alone, over the committed file."""
    run, shape, record = _migrated(folder)
    assert record.ledger is not None
    with used() as usage:
        expected = Expectation(run.info.plan, Baseline(shape, record.footprint), record.ledger)
        verification.ask_sqlite_witness(Path(run.info.database), expected, run.backup)
    return usage, {}


def witness_duckdb(folder: Path) -> tuple[Usage, Parts]:
    """The second witness alone: everything that DuckDB is asked."""
    run, shape, _ = _migrated(folder)
    before, after = read_capture(run.before), read_capture(run.after)
    with used() as usage:
        verification.ask_duckdb_witness(run.info.plan, shape, before, after)
    return usage, {}


def witness_pandas(folder: Path) -> tuple[Usage, Parts]:
    """The third witness alone."""
    run, shape, record = _migrated(folder)
    assert record.ledger is not None
    before, after = read_capture(run.before), read_capture(run.after)
    with used() as usage:
        recompute(run.info.plan, shape, before, after, record.ledger.applied_at)
    return usage, {}


def parquet(folder: Path) -> tuple[Usage, Parts]:
    """The capture alone, of the backup."""
    run, _, _ = _migrated(folder)
    to = folder / "parquet"
    shutil.rmtree(to, ignore_errors=True)
    with used() as usage:
        capture(run.backup, to, immutable=True)
    shutil.rmtree(to)
    return usage, {}


def digest(folder: Path) -> tuple[Usage, Parts]:
    """The digests alone, of what was captured after the migration."""
    run, shape, record = _migrated(folder)
    assert record.ledger is not None
    after = read_capture(run.after)
    with used() as usage:
        digests(after, run.info.plan, shape, record.ledger.applied_at)
    return usage, {}


def explore(folder: Path) -> tuple[Usage, Parts]:
    """Ten questions to the snapshots, each as a part; the whole includes opening them."""
    run = Run.open(folder / "run")
    parts: Parts = {}
    with used() as usage:
        exploring.explore(run)
        for name, query in QUESTIONS.items():
            began = time.perf_counter()
            exploring.sql(run, query)
            parts[f"ask: {name}"] = {"wall": round(time.perf_counter() - began, 3)}
        exploring.close_all()
    return usage, parts


WORK: dict[str, Callable[[Path], tuple[Usage, Parts]]] = {
    "baseline": baseline,
    "backup": backup,
    "preflight": run_preflight,
    "rehearse": run_rehearse,
    "snapshot": run_snapshot,
    "migrate": run_migrate,
    "verify": run_verify,
    "report": run_report,
    "sqlite": witness_sqlite,
    "duckdb": witness_duckdb,
    "pandas": witness_pandas,
    "parquet": parquet,
    "digests": digest,
    "explore": explore,
    **PEERS,
    "rollback": run_rollback,
    "small run": small_run,
}

STAGES = ("preflight", "snapshot", "migrate", "verify", "report")
"""The stages that an audited run consists of, in their order."""

NEEDS = {
    "snapshot": "preflight",
    "migrate": "snapshot",
    "verify": "migrate",
    "report": "verify",
    "sqlite": "migrate",
    "duckdb": "verify",
    "pandas": "verify",
    "parquet": "snapshot",
    "digests": "verify",
    "explore": "verify",
    **dict.fromkeys(PEERS, "verify"),
    "rollback": "migrate",
}
"""What must have been done in the same folder before."""


def _fresh(folder: Path, name: str) -> Path:
    """A copy of the sample that is on the disk, so that writing it back disturbs nobody."""
    path = folder / name
    for leftover in (path, *(path.with_name(name + end) for end in ("-journal", "-wal", "-shm"))):
        leftover.unlink(missing_ok=True)
    shutil.copyfile(folder / "sample.db", path)
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return path


def _disk(path: Path) -> dict[str, float]:
    """Megabytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {"disk_mb": round(sum(p.stat().st_size for p in files) / 1e6, 1)}


def _migrated(folder: Path) -> tuple[Run, Any, MigrateRecord]:
    run = Run.open(folder / "run")
    shape = run.result("snapshot", SnapshotRecord).shape
    return run, shape, run.result("migrate", MigrateRecord)
