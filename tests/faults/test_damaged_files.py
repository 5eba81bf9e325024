"""A file of the run is deleted, truncated, or has one bit flipped: noticed where it is relied on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.errors import NotAllowedNow, RunbookError, RunFolderError
from runbook.headless.resume import is_done
from runbook.run.folder import Run
from runbook.run.notebooks import keep_notebook
from runbook.stages import migrate, report, rollback, snapshot, verify
from tests.support.faults.harness import make_database, state
from tests.support.runs import agreed, begin, to_the_end, until_migrated, until_snapshot


def delete(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


Damage = Callable[[Path], None]
DAMAGES = pytest.mark.parametrize("damage", [delete, truncate, flip])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database and runs of it, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    make_database(folder / "app.db", "delete", users=40, projects=100)
    shutil.copy(folder / "app.db", folder / "pristine.db")
    return folder


@pytest.fixture
def database(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made / "app.db", tmp_path / "app.db"))


@DAMAGES
def test_the_backup(damage: Damage, database: Path, tmp_path: Path) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    before = state(database)
    kept = run.backup.read_bytes()
    damage(run.backup)
    with pytest.raises(RunFolderError, match=r"backup\.db is .*; take a new snapshot"):
        migrate.migrate(run, agreed(run))
    assert state(database) == before
    snapshot.snapshot(run)
    migrate.migrate(run, agreed(run))
    assert run.backup.read_bytes() == kept
    damage(run.backup)
    for stage in (lambda: verify.verify(run), lambda: rollback.rollback(run, agreed(run))):
        with pytest.raises(RunFolderError, match=r"backup\.db is .*; put the original back"):
            stage()
    run.backup.write_bytes(kept)
    assert verify.verify(run).verdict == "pass"


@DAMAGES
@pytest.mark.parametrize("which", ["users", "snapshot.json"])
def test_a_file_of_the_snapshot(which: str, damage: Damage, database: Path, tmp_path: Path) -> None:
    run = until_migrated(begin(database, tmp_path / "run"))
    (file,) = [p for p in run.before.iterdir() if which in p.name and "memberships" not in p.name]
    kept = file.read_bytes()
    damage(file)
    with pytest.raises(RunFolderError, match=file.name.replace(".", r"\.")):
        verify.verify(run)
    file.write_bytes(kept)
    assert verify.verify(run).verdict == "pass"


@DAMAGES
def test_run_json(damage: Damage, database: Path, tmp_path: Path) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    damage(run.folder / "run.json")
    with pytest.raises(RunFolderError, match=r"run\.json"):
        Run.open(run.folder)
    with pytest.raises(RunFolderError):
        report.report(run)


@pytest.mark.parametrize("damage", [truncate, flip])
def test_records_before_the_migration_are_made_anew(
    damage: Damage, database: Path, tmp_path: Path
) -> None:
    run = until_snapshot(begin(database, tmp_path / "run"))
    damage(run.record_path("snapshot"))
    with pytest.raises(RunFolderError, match=r"03_snapshot\.json"):
        migrate.migrate(run, agreed(run))
    said: list[str] = []
    assert not is_done(run, "snapshot", said.append)
    assert "03_snapshot.json" in said[0]
    snapshot.snapshot(run)
    assert migrate.migrate(run, agreed(run)).committed


@pytest.mark.parametrize("damage", [truncate, flip])
def test_records_after_the_migration_cannot_be_made_anew(
    damage: Damage, database: Path, tmp_path: Path
) -> None:
    run = until_migrated(begin(database, tmp_path / "run"))
    kept = run.record_path("snapshot").read_bytes()
    damage(run.record_path("snapshot"))
    for call in (
        lambda: verify.verify(run),
        lambda: rollback.rollback(run, agreed(run)),
        lambda: is_done(run, "snapshot", print),
    ):
        with pytest.raises(RunFolderError, match=r"03_snapshot\.json"):
            call()
    backup = run.backup.read_bytes()
    with pytest.raises(RunbookError):
        snapshot.snapshot(run, again=True)
    assert run.backup.read_bytes() == backup
    run.record_path("snapshot").write_bytes(kept)
    assert verify.verify(run).verdict == "pass"


@DAMAGES
def test_the_record_of_the_migration(damage: Damage, database: Path, tmp_path: Path) -> None:
    run = until_migrated(begin(database, tmp_path / "run"))
    damage(run.record_path("migrate"))
    with pytest.raises((RunFolderError, NotAllowedNow), match=r"04_migrate\.json|migrate is not"):
        verify.verify(run)
    found = migrate.migrate(run, agreed(run))
    assert found.committed
    assert "its record was lost" in found.note
    assert verify.verify(run).verdict == "pass"


def test_the_record_of_another_run(database: Path, tmp_path: Path) -> None:
    first = until_snapshot(begin(database, tmp_path / "first"))
    second = until_snapshot(begin(database, tmp_path / "second"))
    shutil.copy(first.record_path("snapshot"), second.record_path("snapshot"))
    with pytest.raises(RunFolderError, match="not of snapshot in second"):
        migrate.migrate(second, agreed(second))


@DAMAGES
def test_an_executed_notebook(damage: Damage, database: Path, tmp_path: Path) -> None:
    run = to_the_end(begin(database, tmp_path / "run"))
    keep_notebook(run.folder, "04_migrate.ipynb", b'{"cells": []}')
    assert report.report(run).verdict == "pass"
    damage(run.folder / "notebooks" / "04_migrate.ipynb")
    assert report.report(run).verdict == "fail"
    assert "notebooks/04_migrate.ipynb" in (run.folder / "report.html").read_text()
    assert json.loads((run.folder / "audit.json").read_text())["verdict"] == "fail"
    assert not is_done(run, "migrate", print)  # so that it is executed again
