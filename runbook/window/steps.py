"""The steps of the window, each done once, proven, and recorded before and after.

A step that is done already gives its record; maintenance mode is proven anew where it matters.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable

from runbook.errors import NotAllowedNow, WindowFailed
from runbook.plan.plan import Command, Health, Maintenance
from runbook.plan.secrets import of_window
from runbook.plan.shape import read_backup_shape
from runbook.run.folder import Run, now
from runbook.run.records import MigrateRecord
from runbook.run.secret_plan import open_secret_plan
from runbook.run.window_records import WindowStep
from runbook.targets.open_target import target_of
from runbook.targets.sqlite import SqliteTarget
from runbook.window.commands import Ran, run_command
from runbook.window.quiet import wait_until_quiet
from runbook.window.recheck import ask_again
from runbook.window.state import maintenance_state
from runbook.window.store import (
    FAILURES,
    LINES,
    hide_secrets,
    read_step,
    step_path,
    write_step,
)
from runbook.window.web import Answers, ask_until_expected, ask_until_gone, expected, show_address
from runbook.window.workflows import Workflows, try_workflows
from runbook.wording import counted, duration

_AGAIN = "Proven again at "
"""How the evidence begins that a later proof has added."""

_FOUND_OPEN = "The application was found open"


def maintenance_on(run: Run, *, quiet: bool = True, by_hand: str = "") -> WindowStep:
    """Shuts the application and proves it: its page answers so, and the database is quiet.

    A step that was done is proven once more; where the page says that the application is open, it
    is shut again. Without `quiet` the database may be written to, as after a deployment. `by_hand`
    says who has shut it instead of the plan's command; the page must answer so all the same.

    Raises:
        WindowFailed: the command failed, the page answers otherwise, or something still writes.
    """
    window = open_secret_plan(run).window
    known = read_step(run.folder, "maintenance_on")
    shut = known if maintenance_state(run) == "on" and not by_hand else None

    def prove_again(step: _Step, page: Maintenance) -> None:
        step.note(f"{_AGAIN}{now()}")
        if window.maintenance_on is None:
            step.answers_so(page)
        elif not step.answers_so(page, limit=3.0, required=False):
            step.note(f"{_FOUND_OPEN} at {now()}, so it was shut again")
            step.command(window.maintenance_on)
            step.answers_so(page)

    def work(step: _Step) -> None:
        if shut is None:
            step.acts(window.maintenance_on, by_hand)
            if window.maintenance is not None:
                step.answers_so(window.maintenance)
        elif window.maintenance is not None:
            prove_again(step, window.maintenance)
        if quiet:
            step.is_quiet(window.quiet_seconds)
        step.proven_now()

    configured = bool(window.maintenance_on or window.maintenance)
    return _perform(run, "maintenance_on", configured, work, first=shut)


def deploy(run: Run, *, again: bool = False, by_hand: str = "") -> WindowStep:
    """Runs the deploy command, once; `by_hand` says who has done it instead.

    Raises:
        WindowFailed: the command failed.
    """
    command = open_secret_plan(run).window.deploy
    return _command_step(run, "deploy", command, again=again, by_hand=by_hand)


def undeploy(run: Run, *, by_hand: str = "") -> WindowStep:
    """Puts the old code back; done again each time it is asked for.

    Raises:
        WindowFailed: the command failed.
    """
    command = open_secret_plan(run).window.undeploy
    return _command_step(run, "undeploy", command, again=True, by_hand=by_hand)


def health(run: Run, *, again: bool = False) -> WindowStep:
    """Polls the health URL until its check passes.

    Raises:
        WindowFailed: the check did not pass within its time limit.
    """
    page = open_secret_plan(run).window.health

    def work(step: _Step) -> None:
        assert page is not None
        step.answers_so(page)

    return _once(run, "health", page is not None, work, again=again)


def workflows(run: Run, *, again: bool = False) -> WindowStep:
    """Tries the key workflows on the migrated database and takes them back.

    Raises:
        NotAllowedNow: the database is not migrated.
        WindowFailed: a workflow failed, or something of it remained.
    """
    run.result("migrate", MigrateRecord)
    if run.finished("rollback"):
        raise NotAllowedNow(
            "The migration was rolled back, so there are no workflows to be tried; begin a new "
            "run folder."
        )

    def work(step: _Step) -> None:
        target = target_of(run)
        shape = read_backup_shape(run.backup, run.info.plan)
        with target.committed() as database:
            outcome = try_workflows(database, run.info.plan, shape)
        where = (
            "on the database itself, in a savepoint that was rolled back"
            if isinstance(target, SqliteTarget)
            else "on an exact copy, because this database holds no transaction open"
        )
        step.tried(outcome, where)

    return _once(run, "workflows", True, work, again=again)


def smoke(run: Run, *, again: bool = False) -> WindowStep:
    """Runs the application's own smoke test.

    Raises:
        WindowFailed: it failed.
    """
    return _command_step(run, "smoke", open_secret_plan(run).window.smoke, again=again)


def recheck(run: Run) -> WindowStep:
    """Asks the invariants once more, right before the application is opened.

    Raises:
        WindowFailed: rows came since the verification that violate one.
    """

    def work(step: _Step) -> None:
        outcome = ask_again(run)
        for line in outcome.lines:
            step.note(line)
        if outcome.problem:
            raise _Failed(
                f"{outcome.problem}; the application was not opened",
                "correct or delete these rows and go on with the same command, which asks again, "
                "or roll back",
            )

    return _perform(run, "recheck", True, work)


def maintenance_off(
    run: Run, *, again: bool = False, old_code: bool = False, note: str = "", by_hand: str = ""
) -> WindowStep:
    """Opens the application and proves it: no maintenance page any more, and it is well.

    With `old_code`, only the status of the health address counts: its text may be the new code's.
    A `note` is kept with what shows it; `by_hand` says who has opened it instead of the command.

    Raises:
        WindowFailed: the command failed, or the application does not answer as it should.
    """
    from runbook.window.logs import remember_logs

    window = open_secret_plan(run).window
    known = read_step(run.folder, "maintenance_off")
    if known is not None and maintenance_state(run) == "off" and not again:
        return known

    def work(step: _Step) -> None:
        remember_logs(run)  # monitoring reads on from here
        if note:
            step.note(note)
        if window.deploy is None and run.finished("migrate"):
            step.note("Which code runs is not known: the plan names no command that deploys it")
        step.acts(window.maintenance_off, by_hand)
        if window.maintenance is not None:
            step.answered(ask_until_gone(window.maintenance))
            step.note(f"{show_address(window.maintenance.url)} no longer shows a maintenance page")
        if window.health is not None:
            page = dataclasses.replace(window.health, text="") if old_code else window.health
            step.answers_so(page)
        if window.maintenance is None and window.health is None:
            step.note("No address is configured, so only the exit status shows it")

    configured = bool(window.maintenance_off or window.maintenance)
    return _perform(run, "maintenance_off", configured, work)


# -- how a step is performed -------------------------------------------------------------------


class _Failed(Exception):
    """What was wrong, as the second half of a sentence, and what to do."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


class _Step:
    """A step while it works: it collects evidence."""

    def __init__(self, run: Run, record: WindowStep) -> None:
        self.run, self.record = run, record
        self.secrets = of_window(open_secret_plan(run).window)

    def note(self, detail: str) -> None:
        self._add(details=(*self.record.details, detail))

    def proven_now(self) -> None:
        self._add(proven_at=now())

    def acts(self, command: Command | None, by_hand: str = "") -> None:
        """What the step is about: done by hand, by its command, or shown by an address alone."""
        if by_hand:
            self.note(by_hand)
        elif command is not None:
            self.command(command)

    def command(self, command: Command) -> Ran:
        """Runs the command; its failure is the step's."""
        place = self.run.info.identity.place
        ran = run_command(
            command,
            {"RUNBOOK_RUN_DIR": str(self.run.folder.resolve()), "RUNBOOK_DATABASE": place},
            self.secrets,
        )
        output = "\n".join(filter(None, (self.record.output, ran.output)))
        self._add(exit_status=ran.exit_status, output=output)
        # Its words and its output may hold personal data, which no report and no log repeats.
        shown = f"the command under [window.{self.record.name}]"
        if ran.problem:
            record = step_path(self.run.folder, self.record.name)
            raise _Failed(
                f"{shown} {ran.problem}",
                f'correct what it complains of (see "output" in {record}), and go on with the same '
                "command",
            )
        self.note(f"T{shown[1:]} ended with exit status 0 after {duration(ran.seconds)}")
        return ran

    def answers_so(
        self, page: Maintenance | Health, *, limit: float = 0.0, required: bool = True
    ) -> bool:
        """Asks the address until it answers as expected."""
        if limit:
            page = dataclasses.replace(page, timeout=min(limit, page.timeout))
        answers = ask_until_expected(page)
        self.answered(answers, required=required)
        if not answers.problem:
            self.note(
                f"{show_address(page.url)} answered {expected(page)} after "
                f"{duration(answers.series[-1].at)} (asked {counted(len(answers.series), 'time')})"
            )
        return not answers.problem

    def answered(self, answers: Answers, *, required: bool = True) -> None:
        """Keeps the answers of an address; a problem with the last is the step's, if required."""
        self._add(answers=(*self.record.answers, *answers.series))
        if answers.problem and required:
            raise _Failed(answers.problem, "check the application, and go on with the same command")

    def is_quiet(self, seconds: float) -> None:
        """Waits until nothing writes any more."""
        target = target_of(self.run)
        if not isinstance(target, SqliteTarget):
            self.note("Whether anything still writes is not known for this kind of database")
            return
        quiet = wait_until_quiet(target.reading, seconds)
        if not quiet.quiet:
            raise _Failed(
                f"the database {target.path} is still written to "
                f"({counted(quiet.commits, 'commit')} in {duration(quiet.waited)}; it must be "
                f"quiet for {seconds:g} s)",
                "stop what writes to it, and go on with the same command",
            )
        self.note(
            f"The database was quiet for {duration(quiet.seconds)} (data version {quiet.version})"
        )

    def tried(self, outcome: Workflows, where: str) -> None:
        """What the workflows showed."""
        for subject in dict.fromkeys(t.subject for t in outcome.tried):
            mine = [t for t in outcome.tried if t.subject == subject]
            self.note(f"{subject}: " + ", ".join(map(str, mine)))
        self.note(
            f"Tried {where}; then {counted(outcome.rows, 'row')} in "
            f"{counted(outcome.tables, 'table')} were compared strictly with what is committed: "
            f"{counted(len(outcome.remains), 'difference')}"
        )
        if outcome.remains:
            raise _Failed(
                f"something of the workflows remained ({outcome.remains[0]})",
                "inspect that table, and roll back if you cannot explain it",
            )
        if outcome.failed:
            first = outcome.failed[0]
            raise _Failed(
                f"the workflow {first.action} of {first.subject} did not work ({first.note})",
                "find out why, and go on with the same command, or roll back",
            )
        if outcome.impossible:
            self._add(status="not done")

    def _add(self, **changes: object) -> None:
        self.record = dataclasses.replace(self.record, **changes)  # type: ignore[arg-type]


def _perform(
    run: Run,
    name: str,
    configured: bool,
    work: Callable[[_Step], None],
    *,
    first: WindowStep | None = None,
) -> WindowStep:
    """Runs `work` as the step `name` and records it, whatever happens.

    `first` is the record of a step that is proven anew: its time and its evidence are kept.
    """
    if first is None:
        started = WindowStep(name, LINES[name], "started", now(), run.session.operator)
    else:
        # Of later proofs the last one stands, and for good that it was once found open.
        kept = tuple(itertools.takewhile(lambda e: not e.startswith(_AGAIN), first.details))
        kept += tuple(e for e in first.details if e.startswith(_FOUND_OPEN) and e not in kept)
        started = dataclasses.replace(first, status="started", details=kept)
    with run.locked("stage"):
        if not configured:
            left_out = dataclasses.replace(started, status="not configured")
            write_step(run.folder, left_out)
            return left_out
        # Before anything is touched: a kill in the middle must leave a trace.
        write_step(run.folder, started)
        run.log("window", "started", step=name)
        step = _Step(run, started)
        clock = time.perf_counter()

        def end(**changes: object) -> WindowStep:
            seconds = round(time.perf_counter() - clock, 3)
            record = dataclasses.replace(step.record, seconds=seconds, **changes)  # type: ignore[arg-type]
            record = hide_secrets(record, step.secrets)
            write_step(run.folder, record)
            run.log("window", record.status, step=name, error=record.error, again=bool(first))
            return record

        try:
            work(step)
        except _Failed as failure:
            record = end(status="failed", error=failure.problem)
            message = f"{FAILURES[name]}: {record.error}; {failure.remedy}."
            raise WindowFailed(message, record=record) from None
        except BaseException as problem:
            stopped = isinstance(problem, KeyboardInterrupt)
            reason = "it was interrupted" if stopped else str(problem) or type(problem).__name__
            end(status="failed", error=reason)
            raise
        return end(status="done" if step.record.status == "started" else step.record.status)


def _once(
    run: Run, name: str, configured: bool, work: Callable[[_Step], None], *, again: bool
) -> WindowStep:
    known = read_step(run.folder, name)
    if known is not None and known.status == "done" and not again:
        return known
    return _perform(run, name, configured, work)


def _command_step(
    run: Run, name: str, command: Command | None, *, again: bool = False, by_hand: str = ""
) -> WindowStep:
    configured = command is not None or bool(by_hand)
    return _once(run, name, configured, lambda step: step.acts(command, by_hand), again=again)
