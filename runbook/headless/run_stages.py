"""The stages in order without a person at the notebooks: what `runbook run` does."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, Protocol

from runbook.errors import BadInput, NotAllowedNow, NotProven, RunbookError, RunFolderError
from runbook.headless.papermill import Notebooks, kernels
from runbook.report.contents import read_contents
from runbook.report.outcome import judge, proofs
from runbook.run.folder import Run, file_stem
from runbook.run.lock import ORPHAN_SECONDS
from runbook.run.notebooks import has_notebook
from runbook.run.records import (
    MigrateRecord,
    PreflightRecord,
    RehearseRecord,
    ReportRecord,
    RollbackRecord,
    SnapshotRecord,
    VerifyRecord,
)
from runbook.run.window_records import WindowStep
from runbook.stages.confirm import Ask, confirm
from runbook.window import steps
from runbook.window.back_out import back_out
from runbook.window.state import block, maintenance_state, may_be_shut, window_state
from runbook.window.store import configured
from runbook.wording import counted

ORDER = ("preflight", "rehearse", "snapshot", "migrate", "verify", "report")
"""The stages of `runbook run`; monitoring and the way back are commands of their own."""

Say = Callable[[str], object]


class Executor(Protocol):
    """How stages are executed: as notebooks, or otherwise."""

    def prepare(self) -> None:
        """Starts what the next stage will need."""
        ...

    def execute(self, run: Run, stage: str, parameters: Mapping[str, object]) -> None:
        """Executes one stage; raises what it recorded as its failure."""
        ...


OnFailure = Literal["stop", "rollback"]


def run_stages(
    run: Run,
    *,
    until: str = "report",
    yes: bool = False,
    ask: Ask | None = None,
    say: Say = print,
    show_values: bool = False,
    on_failure: OnFailure = "stop",
    executor: Executor | None = None,
) -> None:
    """Runs every stage up to `until` that is not finished, and the window's steps between them.

    The application is shut before the snapshot, and opened again after the new code was tried.

    Args:
        run: the run.
        until: the last stage.
        yes: change the database without asking.
        ask: asks the person at the terminal; None where nobody is there.
        say: prints a line.
        show_values: personal data appears in the report.
        on_failure: `stop` says what state everything is in; `rollback` leads out unattended.
        executor: how stages are executed; left out: as notebooks.

    Raises:
        RunbookError: what the stage said that could not go on; a report is written first.
    """
    if until not in ORDER:
        raise BadInput(f'There is no stage "{until}"; --until takes one of {", ".join(ORDER)}.')
    if run.finished("rollback"):
        raise NotAllowedNow(
            f"The run in {run.folder} was rolled back, so there is nothing left to do in it; begin "
            "a new one with another --run-dir."
        )
    stages = ORDER[: ORDER.index(until) + 1]
    with run.locked("run"), _executor(run, executor) as runner:
        say(f"Run {run.folder}: {run.info.identity.place}")
        with run.locked(wait=ORPHAN_SECONDS, echo=say):
            _tidy(run)
        if run.unsettled("rollback"):
            raise NotAllowedNow(
                "A rollback of this run was begun, and its record does not say whether it happened;"
                f" call `runbook rollback --run-dir {run.folder}` again, which finds out."
            )
        todo = [s for s in stages if s == "report" or not _is_done(run, s, say)]
        try:
            _run(run, stages, todo, runner, yes=yes, ask=ask, say=say, show_values=show_values)
        except RunbookError as error:
            last = _leave(run, error, on_failure, runner, say)
            if "report" in stages:
                try:
                    if run.finished("preflight"):
                        _report(run, runner, say, show_values)
                except RunbookError as problem:  # must not hide why the run stopped
                    say(f"  report     not written: {problem}")
            raise last from None
        except BaseException:  # interrupted
            if may_be_shut(run):
                say(block(run, "interrupted"))
            raise
        if "report" in stages:
            _report(run, runner, say, show_values)
        elif may_be_shut(run):
            say(block(run, f"the run was to end after {until}"))
    if "report" in stages and run.result("report", ReportRecord).verdict != "pass":
        raise NotProven("The verdict of the report is fail, and the report says why.")


def _is_done(run: Run, stage: str, say: Say) -> bool:
    """Whether a stage and its notebook need not be executed again.

    Raises:
        RunFolderError: its record is damaged, and it is too late to make it anew.
    """
    try:
        if not run.finished(stage):
            return False
    except RunFolderError as error:
        if stage != "migrate" and run.forbidden(stage):
            raise
        say(f"  {stage:<10} is done again: {error}")
        return False
    return has_notebook(run.folder, f"{file_stem(stage)}.ipynb")


def _tidy(run: Run) -> None:
    """Removes notebooks that a kill left half executed."""
    for leftover in (run.folder / "notebooks").glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _executor(run: Run, given: Executor | None) -> Iterator[Executor]:
    if given is not None:
        yield given
        return
    with kernels(run.folder / "notebooks" / "kernels.log") as pool:
        yield Notebooks(pool)


def _run(
    run: Run,
    stages: Iterable[str],
    todo: list[str],
    runner: Executor,
    *,
    yes: bool,
    ask: Ask | None,
    say: Say,
    show_values: bool,
) -> None:
    """Everything but the report."""
    agreed: dict[str, object] = {}
    if todo:
        runner.prepare()
    for stage in stages:
        if stage == "report":
            _try_and_open(run, say)
            continue
        if stage not in todo:
            say(f"  {stage:<10} done already: {summary(run, stage)}")
            _check_verdict(run, stage)
            continue
        if todo[-1] != stage:
            runner.prepare()  # for the next one, while this one works
        if stage in ("snapshot", "migrate") and not agreed and not _is_migrated(run):
            if "migrate" in stages and (stage == "migrate" or configured(run.info.plan, 2)):
                # Asked before the application is shut: nobody should wait for an answer outside.
                agreed = _confirmed(run, yes, ask)
            _shut(run, say)
        parameters = _parameters(run, stage, show_values)
        if stage == "migrate" and (run.unsettled(stage) or not run.finished(stage)):
            parameters |= agreed or _confirmed(run, yes, ask)
        runner.execute(run, stage, parameters)
        say(f"  {stage:<10} {summary(run, stage)}")
        _check_verdict(run, stage)


def _parameters(run: Run, stage: str, show_values: bool = False) -> dict[str, object]:
    """What every notebook is told: the run, and that the window's steps are done here."""
    parameters: dict[str, object] = {"run_dir": str(run.folder), "database": "", "plan": ""}
    if stage in ("snapshot", "migrate", "verify", "rollback"):
        parameters["window"] = False
    if stage in ("preflight", "migrate", "verify", "report"):
        parameters["show_values"] = show_values
    return parameters


def _is_migrated(run: Run) -> bool:
    """Whether only a notebook is executed again: that is no reason to shut the application."""
    try:
        return run.finished("migrate")
    except RunFolderError:
        return False


def _check_verdict(run: Run, stage: str) -> None:
    if stage == "verify" and run.result("verify", VerifyRecord).verdict != "pass":
        raise NotProven("The verdict is fail; the report says what was found.")


def _shut(run: Run, say: Say) -> None:
    """Shuts the application, or proves once more that it is shut."""
    _tell(steps.maintenance_on(run, prove_again=True), say)


def _try_and_open(run: Run, say: Say) -> None:
    """Deploys the new code, tries it, and opens the application."""
    for step in (steps.deploy, steps.health, steps.workflows, steps.smoke, steps.maintenance_off):
        _tell(step(run), say)


def _tell(step: WindowStep, say: Say) -> None:
    if step.status != "not configured":
        say(f"  {step.name.replace('_', ' '):<10} {steps.summary(step)}")


def _leave(
    run: Run, error: RunbookError, on_failure: OnFailure, runner: Executor, say: Say
) -> RunbookError:
    """After a failure: leads out if that was asked for, and says where everything stands.

    Returns the error to be raised in the end.
    """
    try:
        return _led_out(run, error, on_failure, runner, say)
    except RunbookError as problem:  # must not hide why the run stopped
        say(f"Where everything stands cannot be told: {problem}")
        return error


def _led_out(
    run: Run, error: RunbookError, on_failure: OnFailure, runner: Executor, say: Say
) -> RunbookError:
    state = window_state(run)
    begun = run.record("migrate") is not None or may_be_shut(run)
    open_issue = state.database in ("migrated", "unknown") or may_be_shut(run)
    if not begun or not open_issue:
        return error
    if on_failure == "rollback":
        say(f"  failed: {error}")

        def roll_back() -> None:
            name = run.info.identity.name
            parameters = _parameters(run, "rollback") | {
                "discard_organizations": False,
                "restore": False,
                "confirm": name,
                "how": "--on-failure rollback",
            }
            runner.prepare()
            runner.execute(run, "rollback", parameters)

        try:
            back_out(run, roll_back, say)
        except RunbookError as problem:
            say(block(run, f"{error} Leading out of it failed, too: {problem}"))
            return problem if problem.exit_code > error.exit_code else error
        say("  The database is as before; " + _openness(run))
        return error
    if may_be_shut(run) or configured(run.info.plan, 2):
        say(block(run, str(error)))
    return error


def _openness(run: Run) -> str:
    if maintenance_state(run) == "not configured":
        return "the plan names no maintenance mode."
    return "the application is open."


def _confirmed(run: Run, yes: bool, ask: Ask | None) -> dict[str, object]:
    """The parameters that carry the confirmation into the notebook."""
    name = run.info.identity.name
    how = "--yes" if yes else "terminal"
    confirm(
        name,
        run.result("preflight", PreflightRecord).hazards,
        operator=run.info.operator,
        typed=name if yes else "",
        how=how,
        ask=ask,
    )
    return {"confirm": name, "how": how}


def _report(run: Run, runner: Executor, say: Say, show_values: bool) -> None:
    runner.execute(run, "report", _parameters(run, "report", show_values))
    say(f"  {'report':<10} {summary(run, 'report')}")


def roll_back(
    run: Run,
    *,
    yes: bool = False,
    discard_organizations: bool = False,
    restore: bool = False,
    ask: Ask | None = None,
    say: Say = print,
    executor: Executor | None = None,
) -> None:
    """Takes the migration of `run` back through its notebook, and writes the report anew.

    Args:
        run: the run.
        yes: change the database without asking.
        discard_organizations: go on although organizations or memberships were made since.
        restore: put the whole backup back instead.
        ask: asks the person at the terminal; None where nobody is there.
        say: prints a line.
        executor: how stages are executed; left out: as notebooks.

    Raises:
        RunbookError: what the stage said; the database is then as it was, or the message says.
    """
    with run.locked("run"), _executor(run, executor) as runner:
        runner.prepare()
        if run.finished("rollback"):
            say(f"  {'rollback':<10} done already: {summary(run, 'rollback')}")
        else:
            parameters = _parameters(run, "rollback") | {
                "discard_organizations": discard_organizations,
                "restore": restore,
                **_confirmed(run, yes, ask),
            }
            runner.prepare()
            runner.execute(run, "rollback", parameters)
            say(f"  {'rollback':<10} {summary(run, 'rollback')}")
        _report(run, runner, say, show_values=False)
        if may_be_shut(run):
            say(block(run, "none with the database: it was taken back, but nothing was opened yet"))


def summary(run: Run, stage: str) -> str:
    """One line about a finished stage."""
    if stage == "preflight":
        hazards = run.result(stage, PreflightRecord).hazards
        counts = {level: sum(h.level == level for h in hazards) for level in ("warn", "note")}
        warnings, notes = counted(counts["warn"], "warning"), counted(counts["note"], "note")
        return f"nothing blocks; {warnings}, {notes}"
    if stage == "rehearse":
        tried = run.result(stage, RehearseRecord)
        return (
            f"migrated, verified and taken back on a copy in {tried.seconds:.1f} s; "
            f"write lock {tried.locked_seconds:.2f} s"
        )
    if stage == "snapshot":
        taken = run.result(stage, SnapshotRecord)
        return f"{taken.tables} tables, {taken.rows:,} rows, backup {taken.backup.bytes:,} bytes"
    if stage == "migrate":
        done = run.result(stage, MigrateRecord)
        return f"committed after the proof; write lock held {done.locked_seconds:.2f} s"
    if stage == "verify":
        verified = run.result(stage, VerifyRecord)
        held = sum(i.holds for i in verified.invariants)
        return (
            f"verdict {verified.verdict}: {held} of {len(verified.invariants)} invariants hold, "
            f"{len(verified.findings)} findings"
        )
    if stage == "rollback":
        back = run.result(stage, RollbackRecord)
        return (
            f"taken back after the proof; {back.restored:,} rows restored, {back.kept:,} kept as "
            f"users wrote them, {back.discarded:,} discarded"
        )
    written = run.result(stage, ReportRecord)
    if run.finished("rollback"):
        word = "taken back:"
    elif written.verdict == "pass":
        word = "verdict pass:"
    else:  # also where nothing was committed, which "verdict fail" would not tell
        contents = read_contents(run.folder)
        word = judge(contents, proofs(contents)).headline
    return f"{word} {run.folder / written.report}"
