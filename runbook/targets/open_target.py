"""Which target a database's name means, and whether it is still the one that a run began with."""

from __future__ import annotations

from pathlib import Path

from runbook.errors import RunbookError, TargetError
from runbook.run.folder import Run
from runbook.targets.d1.options import D1_PREFIX
from runbook.targets.protocol import Target


def open_target(database: str, options: dict[str, str] | None = None) -> Target:
    """The target that `database` names: `d1:NAME`, or the path of a SQLite file.

    Raises:
        TargetError: there is no such database.
    """
    if database.startswith(D1_PREFIX):
        from runbook.targets.d1.target import D1Target

        return D1Target(database, options)
    from runbook.targets.sqlite import SqliteTarget

    return SqliteTarget(Path(database))


def target_of(run: Run) -> Target:
    """The target of a run, which must still be the database that the run began with.

    Every stage opens its target here, so that nothing is read from, or written to, another database
    under the same name. A file whose ledger holds the run's own row is the run's, wherever it lies.

    Raises:
        TargetError: the name means another database now; nothing was changed.
    """
    options = run.info.options
    if run.info.identity.kind == "d1":
        options = {**options, "backup": str(run.backup)}
    target = open_target(run.info.database, options)
    difference = target.difference(run.info.identity)
    if difference and not (target.file is not None and _holds_row(target, run)):
        raise TargetError(
            f"{run.info.database} is not the database that the run {run.folder} began with: "
            f"{difference}; put that back as it was, or begin a new run folder for the database as "
            "it is now; nothing was changed."
        )
    return target


def _holds_row(target: Target, run: Run) -> bool:
    try:
        row = target.ledger(run.info.plan.migration.name)
    except RunbookError:
        return False
    return row is not None and row.run == run.info.run
