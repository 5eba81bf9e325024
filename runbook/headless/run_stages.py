"""The notebooks in order without a person at them: what `runbook run` and `rollback` do.

Everything is done by the notebooks, the steps of the window too. What is left for this module is
the order, the question that must be asked before the application is shut, one line for each thing
done, and the way out of a failure.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runbook.errors import (
    Blocked,
    NotAllowedNow,
    NotProven,
    RunbookError,
    WindowFailed,
)
from runbook.headless.echo import lasting
from runbook.headless.options import AS_IT_IS, ORDER, Options, WayBack, check_until
from runbook.headless.papermill import Execute, notebooks, stands
from runbook.headless.resume import is_done, rolled_back_already
from runbook.headless.summary import (
    counted_changes,
    hazard_lines,
    next_lines,
    predicted_changes,
    stage_line,
    step_line,
)
from runbook.run.approvals import check_approved
from runbook.run.command_line import command_line
from runbook.run.folder import Run, StageRecord
from runbook.run.lock import ORPHAN_SECONDS
from runbook.run.records import ReportRecord, VerifyRecord
from runbook.run.window_records import WindowStep
from runbook.stages.confirm import confirm
from runbook.terminal import silent
from runbook.window.reopen import reopen
from runbook.window.state import (
    STEPS_OF,
    may_be_shut,
    mode_now,
    pending_step,
    window_state,
)
from runbook.window.store import configured, read_step
from runbook.window.ways import block, output_lines

__all__ = ["ORDER", "Options", "is_done", "roll_back", "run_stages"]


def run_stages(run: Run, options: Options, execute: Execute | None = None) -> None:
    """Runs every stage up to `options.until` that is not finished.

    Args:
        run: the run.
        options: how to run them.
        execute: executes one stage's notebook; left out: Papermill does.

    Raises:
        RunbookError: what the stage recorded that could not go on; a report is written first.
    """
    until, options = options.until, _lasting(run, options)
    check_until(until)
    if run.finished("rollback"):
        raise rolled_back_already(run, options.echo)
    stages = ORDER[: ORDER.index(until) + 1]
    with _session(run, options, execute) as session:
        options.echo(f"Run {run.folder}: {run.info.identity.place}")
        with run.locked(wait=ORPHAN_SECONDS, echo=options.echo):
            _tidy(run)
        if run.unsettled("rollback"):
            raise NotAllowedNow(
                "A rollback of this run was begun, and its record does not show whether it "
                f"happened; call `{command_line(run, 'rollback')}` again, which finds out."
            )
        session.run_or_lead_out(stages)
        if until == "report":
            session.perform("report")
        elif "report" not in options.leave_out:
            session.report_at_once()
            if may_be_shut(run):
                options.echo(block(run, f"the run was to end after {until}"))
    if until == "report" and run.result("report", ReportRecord).verdict != "pass":
        raise NotProven("The verdict of the report is fail, and the report gives the reason.")
    if until == "report":
        for line in next_lines(run):
            options.echo(line)


def roll_back(
    run: Run,
    options: Options,
    *,
    back: WayBack = AS_IT_IS,
    execute: Execute | None = None,
) -> None:
    """Takes the migration of `run` back, puts the old code back, opens, and writes the report anew.

    Args:
        run: the run.
        options: how to ask and print.
        back: how it is taken back, by whom and why; a person at the terminal is asked why.
        execute: executes one stage's notebook; left out: Papermill does.

    Raises:
        RunbookError: what the stage recorded; the database is then as it was, or the message says.
    """
    options = _lasting(run, options)
    with _session(run, options, execute) as session:
        try:
            choices = dataclasses.asdict(_with_reason(run, options, back))
            session.roll_back({name: value for name, value in choices.items() if value})
        except RunbookError as error:
            if may_be_shut(run):
                options.echo(block(run, str(error)))
            if run.finished("rollback"):  # the database is as before, but not all else is
                session.report_failure()
            raise
        session.perform("report")


def _with_reason(run: Run, options: Options, back: WayBack) -> WayBack:
    """The way back with its reason, which a person is asked for before anything is shut."""
    if back.reason.strip() or options.ask is None or options.yes or run.finished("rollback"):
        return back
    with contextlib.suppress(EOFError):  # the name is asked next, and stops it
        return dataclasses.replace(back, reason=options.ask("Why is it taken back? ").strip())
    return back


def _lasting(run: Run, options: Options) -> Options:
    if options.echo is silent:
        return options
    return dataclasses.replace(options, echo=lasting(run, options.echo))


@contextlib.contextmanager
def _session(run: Run, options: Options, execute: Execute | None) -> Iterator[_Session]:
    """What is needed to execute notebooks of `run`, which no other call works in meanwhile."""
    with run.locked("run", wait=options.wait):
        if execute is not None:
            yield _Session(run, options, execute)
            return
        with notebooks(run) as papermill:
            yield _Session(run, options, papermill)


@dataclass(frozen=True)
class _Session:
    """One call of `runbook run` or `runbook rollback`."""

    run: Run
    options: Options
    execute: Execute

    def run_or_lead_out(self, stages: Sequence[str]) -> None:
        """Runs `stages` but the report; after a failure leads out, and writes the report."""
        todo = [s for s in stages if s != "report" and not is_done(self.run, s, self.options.echo)]
        try:
            self._run(stages, todo)
        except RunbookError as error:
            if isinstance(error, Blocked):
                for line in hazard_lines(self.run):
                    self.options.echo(line)
            last = self._lead_out_of(error)
            self.report_failure()
            raise last from None
        except BaseException:  # interrupted
            if may_be_shut(self.run):
                self.options.echo(block(self.run, "the run was interrupted"))
            self.report_at_once()
            raise

    def _run(self, stages: Sequence[str], todo: Sequence[str]) -> None:
        agreed: dict[str, object] = {}
        for stage in stages:
            if stage == "report" or stage in self.options.leave_out:
                continue
            if stage not in todo:
                self.options.echo(stage_line(self.run, stage, "done already: "))
            else:
                if stage in ("snapshot", "migrate") and "migrate" in stages:
                    check_approved(self.run)
                if not agreed and self._asks_before(stage, stages):
                    self._echo_all(predicted_changes)
                    agreed = self._confirmed()
                self.perform(stage, agreed if stage == "migrate" else {})
                if stage == "verify":
                    self._echo_all(counted_changes)
            self._check_verdict(stage)
        if stages[-1] in ("rehearse", "snapshot") and not _is_migrated(self.run):
            self._echo_all(predicted_changes)

    def _echo_all(self, lines: Callable[[Run], Sequence[str]]) -> None:
        """Prints lines about the run, which takes reading all its records."""
        if self.options.echo is not silent:
            for line in lines(self.run):
                self.options.echo(f"  {line}")

    def _asks_before(self, stage: str, stages: Sequence[str]) -> bool:
        """Whether the person is asked before this notebook: never while users are shut out."""
        if _is_migrated(self.run):
            return False
        shuts = "migrate" in stages and configured(self.run.info.plan, 2)
        return stage == "migrate" or (stage == "snapshot" and shuts)

    def perform(self, stage: str, more: Mapping[str, object] | None = None) -> None:
        """Executes the notebook of `stage`, and prints a line for each thing that it did.

        Raises:
            RunbookError: what the stage, or a step of the window in its notebook, recorded.
        """
        if self.options.echo is silent:
            self.execute(self.run, stage, self._parameters(stage) | dict(more or {}))
            return
        names = STEPS_OF.get(stage, ())
        before = [read_step(self.run.folder, name) for name in names]
        known = self.run.record(stage) if stands(self.run, stage) else None
        parameters = self._parameters(stage) | dict(more or {})
        try:
            self.execute(self.run, stage, parameters)
        except RunbookError:
            with contextlib.suppress(RunbookError):  # must not hide why it stopped
                self._echo_lines(stage, before, known)
            raise
        self._echo_lines(stage, before, known)

    def _echo_lines(
        self, stage: str, before: Sequence[WindowStep | None], known: StageRecord | None
    ) -> None:
        after = [read_step(self.run.folder, name) for name in STEPS_OF.get(stage, ())]
        lines = [
            step_line(step)
            for step, known in zip(after, before, strict=True)
            if step is not None and step != known and step.status in ("done", "not done")
        ]
        if stage == "verify":  # only there a step before the one that failed stands, and is shown
            earlier = [s for s in before if s is not None and s in after and s.status == "done"]
            lines = [step_line(step, "done already: ") for step in earlier] + lines
        if self.run.finished(stage):  # the application is shut before, everything else comes after
            at = len(lines) if stage in ("snapshot", "migrate") else 0
            stood = known is not None and self.run.record(stage) == known
            lines.insert(at, stage_line(self.run, stage, "done already: " if stood else ""))
        for line in lines:
            self.options.echo(line)

    def _check_verdict(self, stage: str) -> None:
        if stage == "verify" and self.run.result("verify", VerifyRecord).verdict != "pass":
            raise NotProven("The verdict is fail; read the findings in the report.")

    def _parameters(self, stage: str) -> dict[str, object]:
        """What every notebook needs: the run, who works in it, whether personal data is shown."""
        parameters: dict[str, object] = {
            "run_dir": str(self.run.folder),
            "database": "",
            "plan": "",
            "operator": self.run.session.operator,
            "ticket": self.run.session.ticket,
        }
        if stage in ("preflight", "migrate", "verify", "report"):
            parameters["show_values"] = self.options.show_values
        return parameters

    def _confirmed(self) -> dict[str, object]:
        """The parameters that carry the confirmation into the notebook."""
        name, yes = self.run.info.identity.name, self.options.yes
        how = self.options.how if yes else "terminal"
        confirm(self.run, typed=name if yes else "", how=how, ask=self.options.ask)
        return {"confirm": name, "how": how}

    # -- ways out ----------------------------------------------------------------------------

    def roll_back(self, choices: Mapping[str, object]) -> None:
        """Executes the notebook that takes the migration back, unless nothing of it is left to do.

        Raises:
            RunbookError: what the stage, or a step of the window in its notebook, recorded.
        """
        if not self.run.finished("rollback"):
            self.perform("rollback", {**choices, **self._confirmed()})
        elif pending_step(self.run, "rollback"):
            self.perform("rollback")
        else:
            self.options.echo(stage_line(self.run, "rollback", "done already: "))

    def report_failure(self) -> None:
        """Writes the report of a failure."""
        try:
            self.perform("report")
        except RunbookError as problem:  # must not hide why the run stopped
            self.options.echo(f"  report     not written: {problem}")

    def report_at_once(self) -> None:
        """Writes the report without its notebook, of a run that goes no further for now."""
        from runbook.stages.report import report

        try:
            report(self.run, show_values=self.options.show_values)
            self.options.echo(stage_line(self.run, "report"))
        except RunbookError as problem:
            self.options.echo(f"  report     not written: {problem}")

    def _lead_out_of(self, error: RunbookError) -> RunbookError:
        """After a failure: leads out if that was asked for, and prints the state of everything.

        Returns:
            The error to be raised in the end.
        """
        try:
            return self._lead_out(error)
        except RunbookError as problem:  # must not hide why the run stopped
            self.options.echo(f"The state of the database cannot be shown: {problem}")
            return error

    def _lead_out(self, error: RunbookError) -> RunbookError:
        run, echo = self.run, self.options.echo
        state = window_state(run)
        shut = may_be_shut(run)
        begun = shut or run.record("migrate") is not None
        if not begun or not (shut or state.database in ("migrated", "unknown")):
            return error
        if self.options.on_failure == "stop":
            if shut or configured(run.info.plan, 2) or isinstance(error, WindowFailed):
                echo(block(run, str(error)))
            return error
        for line in (f"failed: {error}", *output_lines(run, str(error))):
            echo(f"  {line}")
        try:
            self._back_out()
        except RunbookError as problem:
            echo(block(run, f"{error} Leading out of it failed, too: {problem}"))
            return problem if problem.exit_code > error.exit_code else error
        mode, known = mode_now(run)
        sentences = {
            "not configured": "the plan names no maintenance mode",
            "off": "the application is open",
        }
        echo(f"  The database is as before; {sentences.get(mode, f'the application is {known}')}.")
        return error

    def _back_out(self) -> None:
        """Leaves the database as before and the application open, or stops at what prevents it."""
        state = window_state(self.run)
        if state.database != "migrated":  # nothing is to be taken back, so no notebook would run
            for step in reopen(self.run):
                self.options.echo(step_line(step))
            return
        name = self.run.info.identity.name
        why = {"reason": "a stage failed, and --on-failure rollback was passed"}
        self.perform("rollback", {"confirm": name, "how": "--on-failure rollback", **why})


def _is_migrated(run: Run) -> bool:
    """Whether only a notebook is executed again: that is no reason to ask, or to shut."""
    return stands(run, "migrate")


def _tidy(run: Run) -> None:
    """Removes notebooks that a kill left half executed."""
    for leftover in (run.folder / "notebooks").glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
