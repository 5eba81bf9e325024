"""A run folder whose records were deleted: nothing says that the run never was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runbook.errors import RunFolderError
from runbook.report.view_model import read_view
from runbook.sample.make import make_sample
from runbook.stages.migrate import migrate
from runbook.stages.preflight import preflight
from tests.support.databases import dump
from tests.support.runs import agreed, begin, until_migrated


@pytest.mark.parametrize("whole", [True, False], ids=["folder", "records"])
def test_a_migrated_run_without_its_records(whole: bool, tmp_path: Path) -> None:
    make_sample(tmp_path / "app.db", users=20, projects=40)
    run = until_migrated(begin(tmp_path / "app.db", tmp_path / "run"))
    migrated = dump(tmp_path / "app.db")
    stages = run.folder / "stages"
    if whole:
        shutil.rmtree(stages)
    else:
        for record in stages.glob("*.json"):
            record.unlink()
    assert read_view(run.folder).outcome.code == "unknown"
    with pytest.raises(RunFolderError, match=r"its records are gone from .*put them back"):
        preflight(run)
    assert read_view(run.folder).outcome.code == "unknown"
    assert dump(tmp_path / "app.db") == migrated


def test_a_lost_record_of_the_migration_is_found_again(tmp_path: Path) -> None:
    make_sample(tmp_path / "app.db", users=20, projects=40)
    run = until_migrated(begin(tmp_path / "app.db", tmp_path / "run"))
    (run.folder / "stages" / "04_migrate.json").unlink()
    assert read_view(run.folder).outcome.code == "unknown"
    assert migrate(run, agreed(run)).committed
    assert read_view(run.folder).outcome.code == "not verified"
