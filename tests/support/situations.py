"""Seven real runs that ended in the seven ways that an auditor may have to read about.

Every one is made by the stages themselves on a small database; where something goes wrong, it was
really planted, killed or written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from runbook.errors import Blocked, NotProven, RunbookError
from runbook.run.folder import Run
from runbook.run.records import Confirmation
from runbook.sample.make import make_sample
from runbook.stages import (
    migrate,
    monitor,
    preflight,
    rehearse,
    report,
    rollback,
    snapshot,
    verify,
)
from runbook.stages.open_run import open_run
from tests.support.runs import agreed

USERS, PROJECTS = 40, 120


def begin(folder: Path) -> Run:
    """A run on a new sample database, with preflight done."""
    folder.mkdir(parents=True)
    database = folder / "app.db"
    make_sample(database, users=USERS, projects=PROJECTS, seed=3)
    run = open_run(
        str(database), run_dir=str(folder / "run"), operator="Ada Lovelace", ticket="OPS-7"
    )
    preflight.preflight(run)
    return run


def until_snapshot(folder: Path) -> Run:
    """The run with rehearsal and snapshot."""
    run = begin(folder)
    rehearse.rehearse(run)
    snapshot.snapshot(run)
    return run


def until_migrated(folder: Path) -> Run:
    """The run with the migration committed."""
    run = until_snapshot(folder)
    migrate.migrate(run, confirmation(run))
    return run


def until_verified(folder: Path) -> Run:
    """The run with the verification passed."""
    run = until_migrated(folder)
    verify.verify(run)
    return run


def confirmation(run: Run) -> Confirmation:
    """The confirmation of the operator, typed in a terminal."""
    confirmed = agreed(run)
    return Confirmation(confirmed.by, confirmed.at, "terminal", confirmed.warnings)


def change(run: Run, *statements: str) -> None:
    """Writes to the run's database as an application does."""
    with contextlib.closing(sqlite3.connect(run.info.database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def passed(folder: Path) -> Run:
    """Migrated, verified."""
    return until_verified(folder)


def blocked(folder: Path) -> Run:
    """Two rows belong to users that do not exist; preflight blocks."""
    folder.mkdir(parents=True)
    database = folder / "app.db"
    make_sample(database, users=USERS, projects=PROJECTS, seed=3)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("UPDATE projects SET owner_id = 'gone' WHERE rowid <= 2")
        connection.commit()
    run = open_run(str(database), run_dir=str(folder / "run"), operator="Ada Lovelace")
    with contextlib.suppress(Blocked):
        preflight.preflight(run)
    return run


def refused(folder: Path) -> Run:
    """The application wrote between snapshot and migration; the proof refuses."""
    run = until_snapshot(folder)
    change(run, "UPDATE projects SET name = 'written too late' WHERE rowid = 5")
    with contextlib.suppress(RunbookError):
        migrate.migrate(run, confirmation(run))
    return run


def failed(folder: Path) -> Run:
    """Rows were damaged after the commit, before the verification."""
    run = until_migrated(folder)
    change(
        run,
        "UPDATE projects SET organization_id = NULL WHERE rowid IN (3, 4)",
        "UPDATE projects SET name = 'another name' WHERE rowid = 9",
        "DELETE FROM organization_memberships WHERE rowid = 7",
    )
    with contextlib.suppress(NotProven):
        verify.verify(run)
    return run


def rolled_back(folder: Path) -> Run:
    """Taken back after users had written: an edit, an insert, a deletion."""
    run = until_verified(folder)
    change(
        run,
        "UPDATE projects SET name = 'renamed since', updated_at = '2030-01-01T00:00:00Z'"
        " WHERE rowid = 11",
        "INSERT INTO projects (id, name, owner_id, organization_id, created_at, updated_at)"
        " SELECT 'prj_new_1', 'new since', owner_id, organization_id, created_at, updated_at"
        " FROM projects WHERE rowid = 12",
        "DELETE FROM projects WHERE rowid = 13",
    )
    why = dataclasses.replace(confirmation(run), reason="the new code lost drafts")
    rollback.rollback(run, why)
    return run


def resumed(folder: Path) -> Run:
    """The process died right after the commit; the next call found out and went on."""
    run = until_snapshot(folder)
    child = os.fork()
    if child == 0:  # pragma: no cover (it ends without a word)
        try:
            _die_before_the_record(run)
        finally:
            os._exit(9)
    os.waitpid(child, 0)
    migrate.migrate(run, confirmation(run))
    verify.verify(run)
    return run


def _die_before_the_record(run: Run) -> None:
    from runbook.run.stage import Stage

    write = Stage.write

    def dying(self: Stage, status: str, *rest: object) -> None:
        if status == "finished":
            os._exit(9)
        write(self, status, *rest)  # type: ignore[arg-type]

    Stage.write = dying  # type: ignore[method-assign, assignment]
    migrate.migrate(run, confirmation(run))


def violated(folder: Path) -> Run:
    """Verified; afterwards old code wrote a row without an organization, and it was watched."""
    run = until_verified(folder)
    change(run, "UPDATE projects SET organization_id = NULL WHERE rowid = 20")
    with contextlib.suppress(RunbookError):
        monitor.monitor(run, monitor.Watching(0.0, 1.0, once=True))
    return run


SITUATIONS: dict[str, Callable[[Path], Run]] = {
    "pass": passed,
    "blocked": blocked,
    "refused": refused,
    "failed": failed,
    "rolled back": rolled_back,
    "resumed": resumed,
    "violated": violated,
}


def write_reports(folder: Path) -> dict[str, Path]:
    """The report of each situation, by its name."""
    pages = {}
    for name, make in SITUATIONS.items():
        run = make(folder / name.replace(" ", "-"))
        report.report(run)
        pages[name] = run.folder / "report.html"
    return pages
