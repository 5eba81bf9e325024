"""Which run a notebook works in: a new one, one that is named, or the latest of the workspace."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from runbook.errors import BadInput
from runbook.notebook import tables
from runbook.notebook.display import echo, fold_errors, shell, show
from runbook.notebook.form import Choice, Values, ask
from runbook.notebook.parameters import as_text, check_names, looks_changed
from runbook.notebook.recording import recording
from runbook.notebook.way import way
from runbook.run.folder import Run
from runbook.run.workspace import latest, runs_for_new
from runbook.stages.open_run import open_run

_BEGUN: dict[tuple[str, str], Path] = {}
"""Runs that this kernel has begun in folders of their own making, by database and plan."""


def choose(
    database: str = "", plan: str = "", run_dir: str = "", operator: str = "", ticket: str = ""
) -> Choice:
    """What the parameters name; a person may choose otherwise in a form.

    Nothing is shown where nobody attends, or where `run_dir` names a run that is there already.

    Raises:
        BadInput: a parameter is unknown, or of the wrong type.
    """
    values = _read(Values(database, plan, run_dir, operator, ticket))
    if values.run_dir and (Path(values.run_dir) / "run.json").exists():
        return Choice(values)
    return ask(values, begin)


def begin(
    database: str | Choice = "",
    plan: str = "",
    run_dir: str = "",
    operator: str = "",
    ticket: str = "",
) -> Run:
    """A new run in a folder of its own, or the run in `run_dir`; a form's choice may be passed.

    Called again in the same kernel with the same database and plan, it gives the same run.

    Raises:
        BadInput: Papermill was given a parameter that the notebook does not have, or one of the
            wrong type, or what it names cannot be used.
    """
    if isinstance(database, Choice):
        values = _read(database.values)
    else:
        values = _read(Values(database, plan, run_dir, operator, ticket))
    run = _begin(values)
    if isinstance(database, Choice):
        database.settle(run)
    return run


def resume(
    run_dir: str = "", database: str = "", plan: str = "", operator: str = "", ticket: str = ""
) -> Run:
    """The run in `run_dir`, or the latest of this workspace; shows which one that is.

    Args:
        run_dir: the run folder; empty for the latest run of the workspace.
        database: the run's database; without a run folder, only its runs count.
        plan: the run's plan; may be left out.
        operator: who does this; empty for who began the run.
        ticket: what this is done for; empty for what the run was begun for.

    Raises:
        BadInput: as for `begin`.
        RunFolderError: there is no such run, or it is of another database or plan.
    """
    values, reason = _read(Values(database, plan, run_dir, operator, ticket)), ""
    if not values.run_dir:
        chosen = latest(Path.cwd(), values.database)
        values = dataclasses.replace(values, run_dir=str(chosen.run.folder))
        reason = chosen.reason
    run = open_run(**dataclasses.asdict(values)).work_as(way=way())
    show(tables.run(run, chosen=reason))
    return run


def _begin(values: Values) -> Run:
    name = str(Path(values.database).resolve()), values.plan
    known = None if values.run_dir else _BEGUN.get(name)
    # After a rollback, another migration needs a run of its own.
    if known and (known / "run.json").exists() and not Run.open(known).record("rollback"):
        values = dataclasses.replace(values, run_dir=str(known))
    if not (values.database or values.run_dir):
        raise BadInput(
            "No database is named; give the parameter database the path of a SQLite file."
        )
    run = open_run(**dataclasses.asdict(values), runs=runs_for_new(Path.cwd()))
    if not values.run_dir:
        _BEGUN[name] = run.folder
    return run.work_as(way=way())


def _read(values: Values) -> Values:
    """The values as texts; errors of this kernel are shown folded from then on."""
    here = shell()
    if here is not None:
        fold_errors(here)
        check_names(here.user_ns.get("In", []))
        recording()
    passed: dict[str, Any] = {f.name: getattr(values, f.name) for f in dataclasses.fields(values)}
    for name, value in passed.items():
        if looks_changed(value):
            echo(
                f"The parameter `{name}` arrived as the number {value}; "
                f"give it as `-r {name} ...` to keep it as it was typed."
            )
    return Values(**{name: as_text(name, value) for name, value in passed.items()})
