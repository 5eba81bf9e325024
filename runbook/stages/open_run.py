"""A run from what the operator gave: a new folder, or the one that is there already."""

from __future__ import annotations

import contextlib
import getpass
import os
from datetime import UTC, datetime
from pathlib import Path

from runbook.errors import BadInput, RunFolderError, TargetError
from runbook.plan.plan import Plan
from runbook.plan.read import read_plan
from runbook.plan.resolve import resolve
from runbook.plan.secrets import without_secrets
from runbook.run.folder import Request, Run
from runbook.run.secret_plan import is_plan_of
from runbook.targets.open_target import open_target
from runbook.targets.protocol import Target


# Many parameters because they are the options of the command, under their names.
def open_run(
    database: str = "",
    *,
    plan: str = "",
    run_dir: str = "",
    operator: str = "",
    ticket: str = "",
    options: dict[str, str] | None = None,
) -> Run:
    """Opens the run in `run_dir`, or begins one there.

    Args:
        database: path of a SQLite file, or `d1:NAME`; may be left out where the run exists.
        plan: path of the plan; empty for the specification's schema.
        run_dir: the run folder; empty for a new one below `runs/`, named after the time.
        operator: who does it; empty for the name of the account.
        ticket: what it is done for.
        options: how the target is reached (see the target).

    Raises:
        BadInput: the database, the plan or the folder cannot be used, or do not belong together.
    """
    folder = Path(run_dir) if run_dir else None
    if folder is not None and (folder / "run.json").exists():
        return _reopen(folder, database, plan)
    if not database and folder is not None:
        raise RunFolderError(
            f"{folder} is not a run folder (it holds no run.json); check --run-dir, or pass "
            "--database to begin a run there."
        )
    if not database:
        raise BadInput("No database is named; pass --database with the path of a SQLite file.")
    target = open_target(database, options)
    identity = target.identity()
    written = read_plan(Path(plan) if plan else None)
    if folder is None:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        folder = Path("runs") / f"{stamp}-{Path(identity.name).stem}"
    request = Request(
        database=database if identity.kind != "sqlite" else identity.place,
        identity=identity,
        plan=without_secrets(_resolved(written, target)),
        plan_file=str(Path(plan).resolve()) if plan else "",
        named=os.path.abspath(database) if target.file is not None else "",  # noqa: PTH100
        operator=operator or getpass.getuser(),
        ticket=ticket,
        options=options or {},
        adopter=written.unowned.adopter,
    )
    return Run.create(folder, request)


def _resolved(plan: Plan, target: Target) -> Plan:
    """The plan as the schema spells it; without a file, preflight does it with its replica."""
    if target.file is not None:
        with contextlib.suppress(TargetError), target.reading() as connection:
            return resolve(plan, connection)
    return plan


def target_options(
    wrangler_config: str = "", where: str = "", persist_to: str = "", chunk_rows: int = 0
) -> dict[str, str]:
    """How a D1 database is reached, with whole paths, so that every folder means the same."""
    options = {
        "wrangler_config": str(Path(wrangler_config).resolve()) if wrangler_config else "",
        "where": where,
        "persist_to": str(Path(persist_to).resolve()) if persist_to else "",
        "chunk_rows": str(chunk_rows) if chunk_rows else "",
    }
    return {name: value for name, value in options.items() if value}


def _reopen(folder: Path, database: str, plan: str) -> Run:
    """The run in `folder`, if it is a run of this database by this plan."""
    run = Run.open(folder)
    if database:
        known = run.info.identity
        place = str(Path(database).resolve()) if known.kind == "sqlite" else database
        if place != run.info.database:
            raise RunFolderError(
                f"The run folder {folder} belongs to the database {run.info.database}, not to "
                f"{database}; name another folder with --run-dir."
            )
    if plan and not _is_known(run, read_plan(Path(plan))):
        raise RunFolderError(
            f"The run folder {folder} was begun with another plan than {plan}; go on with the "
            "plan that it knows (leave --plan out), or begin a new run folder."
        )
    return run


def _is_known(run: Run, plan: Plan) -> bool:
    """Whether it is the run's plan, also where the database itself says that a key is the same."""
    if is_plan_of(run, plan):
        return True
    with contextlib.suppress(TargetError, BadInput):
        return is_plan_of(run, _resolved(plan, open_target(run.info.database, run.info.options)))
    return False
