"""No long part of a stage is silent: each says its name, and rows where it can count them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runbook.run.folder import Run
from runbook.sample.make import make_sample
from runbook.stages import (
    migrate,
    preflight,
    rehearsal_capture,
    rehearse,
    rollback,
    snapshot,
    verify,
)
from tests.support.runs import agreed, begin

STAGES: dict[str, tuple[Callable[..., object], set[str]]] = {
    "preflight": (
        preflight.preflight,
        {"Hazards", "Reading every user and row", "Checking every page of the file", "Prediction"},
    ),
    "rehearse": (
        rehearse.rehearse,
        {
            *("Backup", "Snapshot of projects", "Prediction", "Assign resources", "Add indexes"),
            *("Comparing projects with the backup", "Every new value by its rule"),
            *("Snapshot of the backup", "Witness SQLite", "Key workflows"),
            *("Comparing with the backup", "Exporting organizations", "Comparing with before"),
            "Witnesses DuckDB and pandas",
        },
    ),
    "snapshot": (
        snapshot.snapshot,
        {
            *("Backup", "Checksum of the backup", "Snapshot of users", "Digests"),
            "Restoring the backup to try it",
        },
    ),
    "migrate": (
        migrate.migrate,
        {
            *("Checksum of the backup", "Comparing what will be overwritten", "Assign resources"),
            *("Proof", "Comparing users with the backup", "Comparing what views return", "Commit"),
        },
    ),
    "verify": (
        verify.verify,
        {
            *("Checksums of the backup and the snapshot", "Snapshot of organizations", "Digests"),
            *("Witness DuckDB", "Witness DuckDB: invariants", "Witness pandas", "Witness SQLite"),
        },
    ),
    "rollback": (
        rollback.rollback,
        {"Checksum of the backup", "Comparing with the backup", "Exporting organizations", "Proof"},
    ),
}

ROWS = ("Snapshot of", "Digests", "Witness DuckDB")


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Any, ...]]]:
    """What each stage of one run called its progress with."""
    folder = tmp_path_factory.mktemp("run")
    make_sample(folder / "sample.db", users=40, projects=120)
    run: Run = begin(folder / "sample.db", folder / "run")
    recorded: dict[str, list[tuple[Any, ...]]] = {}
    for name, (stage, _) in STAGES.items():
        recorded[name] = []
        if name == "snapshot":
            rehearsal_capture.forget(run)  # so that it reads everything itself
        arguments = (agreed(run),) if name in ("migrate", "rollback") else ()
        stage(run, *arguments, progress=lambda *call, to=recorded[name]: to.append(call))
    return recorded


@pytest.mark.parametrize("stage", STAGES)
def test_every_long_part_has_a_name(stage: str, calls: dict[str, list[tuple[Any, ...]]]) -> None:
    _, expected = STAGES[stage]
    assert expected - {call[0] for call in calls[stage]} == set()


def test_rows_are_counted_as_rows_and_pages_as_pages(
    calls: dict[str, list[tuple[Any, ...]]],
) -> None:
    for call in (call for each in calls.values() for call in each):
        if call[0].startswith(ROWS) and len(call) > 1:
            assert call[3] == "rows", call
            assert call[1] <= call[2], call
        if call[0] == "Backup":
            assert call[3] == "pages"


def test_a_step_knows_how_long_it_took_when_it_was_rehearsed(
    calls: dict[str, list[tuple[Any, ...]]],
) -> None:
    steps = {call[0]: call[4] for call in calls["migrate"] if call[3:4] == ("steps",)}
    assert "Verify" in steps
    assert any(seconds > 0 for seconds in steps.values())
