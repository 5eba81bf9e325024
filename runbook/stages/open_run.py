"""A run from what the operator gave: a new folder, or the one that is there already."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from runbook.errors import BadInput, NotAllowedNow, RunFolderError, TargetError
from runbook.plan.plan import Plan
from runbook.plan.read import read_plan
from runbook.plan.resolve import resolve
from runbook.plan.secrets import without_secrets
from runbook.run.attempts import keep_attempt
from runbook.run.command_line import command_line
from runbook.run.folder import Request, Run
from runbook.run.secret_plan import is_plan_of
from runbook.run.versions import account
from runbook.run.workspace import new_folder
from runbook.targets.open_target import open_target
from runbook.targets.protocol import Target
from runbook.wording import when


# Many parameters because they are the options of the command, under their names.
# Long because each of them is explained.
def open_run(
    database: str = "",
    *,
    plan: str = "",
    run_dir: str = "",
    operator: str = "",
    ticket: str = "",
    options: dict[str, str] | None = None,
    runs: Path = Path("runs"),
) -> Run:
    """The run in `run_dir`, begun if it is not there.

    Args:
        database: path of a SQLite file, or `d1:NAME`; may be left out where the run exists.
        plan: path of the plan; empty for the specification's schema.
        run_dir: the run folder; empty for a new one below `runs`, named after the time.
        operator: who does it; empty for who began the run, in a new one for the account's name.
        ticket: what it is done for; empty for what the run was begun for.
        options: how the target is reached (see the target).
        runs: where new run folders are made.

    Raises:
        BadInput: the database, the plan or the folder cannot be used, or do not belong together.
        NotAllowedNow: no folder is named, and another run has migrated the database already.
    """
    folder = Path(run_dir) if run_dir else None
    if folder is not None and (folder / "run.json").exists():
        run = _reopen(folder, database, plan).work_as(operator, ticket)
        return _take_options(run, options or {})
    _check_database(database, folder)
    target = open_target(database, options)
    identity = target.identity()
    written = read_plan(Path(plan) if plan else None)
    parsed = _resolved(written, target)
    if folder is None:
        _check_not_migrated(target, parsed.migration.name)
    request = Request(
        database=database if identity.kind != "sqlite" else identity.place,
        identity=identity,
        plan=without_secrets(parsed),
        plan_file=str(Path(plan).resolve()) if plan else "",
        named=os.path.abspath(database) if target.file is not None else "",  # noqa: PTH100
        operator=operator or account(),
        account=account(),
        ticket=ticket,
        options={**(options or {}), **target.settled(parsed.migration.name)},
        adopter=written.unowned.adopter,
    )
    return Run.create(folder or new_folder(runs, Path(identity.name).stem), request)


def _check_database(database: str, folder: Path | None) -> None:
    """Raises where no database is named, with which a run could begin."""
    if not database and folder is not None:
        raise RunFolderError(
            f"{folder} is not a run folder (it holds no run.json); check --run-dir, or pass "
            "--database to begin a run there."
        )
    if not database:
        raise BadInput("No database is named; pass --database with the path of a SQLite file.")


def _check_not_migrated(target: Target, migration: str) -> None:
    """Raises NotAllowedNow, naming the run that did it, where the migration has happened already.

    A new run would be of no use then: what may be left to do belongs to that run.
    """
    try:
        row = target.ledger(migration)
    except TargetError:  # preflight says what is wrong with the database
        return
    if row is None:
        return
    name = target.identity().name
    folder = next(iter(_folders_of(row.run)), None)
    if folder is None:
        raise NotAllowedNow(
            f"The run {row.run} has migrated {name} already, {when(row.applied_at)}, and its "
            "folder is not below runs/; pass it with --run-dir to go on with that run or to take "
            "it back."
        )
    run = Run.open(folder)
    raise NotAllowedNow(
        f"The run {row.run} has migrated {name} already, {when(row.applied_at)}; "
        f"`{command_line(run, 'run')}` goes on with what is left of it, and "
        f"`{command_line(run, 'rollback')}` takes it back."
    )


def _folders_of(run: str) -> Iterator[Path]:
    """The folders below `runs/` of the run that the ledger knows by this name."""
    for path in sorted(Path("runs").glob("*/run.json")):
        with contextlib.suppress(RunFolderError):
            if Run.open(path.parent).info.run == run:
                yield path.parent


def _resolved(plan: Plan, target: Target) -> Plan:
    """The plan as the schema spells it; without a file, preflight does it with its replica."""
    if target.file is not None:
        with contextlib.suppress(TargetError), target.reading() as connection:
            return resolve(plan, connection)
    return plan


@dataclasses.dataclass(frozen=True)
class D1Options:
    """The command's options for reaching a D1 database; empty or 0 where one is not passed.

    Attributes:
        wrangler_config: path of wrangler's configuration.
        where: `local` or `remote`.
        env: name of the environment in the configuration.
        persist_to: folder of local state.
        timeout: seconds for one call of wrangler.
        chunk_rows: rows of one chunk.
        without_export: whether the snapshot leaves wrangler's own export out.
    """

    wrangler_config: str = ""
    where: str = ""
    env: str = ""
    persist_to: str = ""
    timeout: float = 0
    chunk_rows: int = 0
    without_export: bool = False

    def packed(self) -> dict[str, str]:
        """What is passed, as the target takes it, with whole paths: every folder means the same."""
        options = {
            "wrangler_config": self.wrangler_config and str(Path(self.wrangler_config).resolve()),
            "where": self.where,
            "environment": self.env,
            "persist_to": self.persist_to and str(Path(self.persist_to).resolve()),
            "timeout": f"{self.timeout:g}" if self.timeout else "",
            "chunk_rows": str(self.chunk_rows or ""),
            "export": "no" if self.without_export else "",
        }
        return {name: value for name, value in options.items() if value}


_WORDS = {
    "wrangler_config": "--wrangler-config",
    "where": "--local or --remote",
    "environment": "--env",
    "persist_to": "--persist-to",
    "timeout": "--timeout",
    "chunk_rows": "--chunk-rows",
}
_ANY_TIME = ("timeout", "export")


def _take_options(run: Run, options: dict[str, str]) -> Run:
    """Compares the options of a resumed run with its own; takes what may change on the way.

    The time for a call and the export may change at any moment. The size of chunks may until the
    migration has begun; preflight is then due again, because its hazards are others.

    Raises:
        RunFolderError: an option contradicts the run.
    """
    known = run.info.options
    changed = {name: value for name, value in options.items() if known.get(name) != value}
    if not changed:
        return run
    begun = run.unsettled("migrate") or run.finished("migrate")
    for name, value in changed.items():
        if name in _ANY_TIME or (name == "chunk_rows" and not begun):
            continue
        was = known.get(name) or "not passed"
        advice = (
            f"go on with what it was begun with (leave {_WORDS[name]} out), or begin a new run "
            "folder"
        )
        raise RunFolderError(
            f"The run {run.folder} was begun with another value of {_WORDS[name]} ({was}) than "
            f"{value}; {advice}; nothing was changed."
        )
    run.settle(options={**known, **changed})
    if "chunk_rows" in changed:
        run.log("preflight", "due again", note=f"rows of one chunk: {changed['chunk_rows']}")
        _set_aside(run, "preflight")
    return run


def _set_aside(run: Run, stage: str) -> None:
    """Puts a stage's record among the earlier attempts, so that the stage is due again."""
    path = run.record_path(stage)
    keep_attempt(path)
    path.unlink(missing_ok=True)


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
