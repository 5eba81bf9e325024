"""One database's work, on whatever process: an ordinary run, and then what its ledger says.

What an order was meant to do is never reported, only where the database is afterwards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import time
from pathlib import Path

from runbook import __version__
from runbook.errors import OutcomeUnknown, RunbookError, RunFolderError
from runbook.files import sha256
from runbook.fleet.direct import execute_directly
from runbook.fleet.plan_digest import digest_of_plan
from runbook.fleet.records import Order, Outcome, State
from runbook.headless.options import Options, WayBack
from runbook.headless.papermill import Execute
from runbook.headless.run_stages import roll_back, run_stages
from runbook.run.folder import STAGES, Run
from runbook.run.lock import ORPHAN_SECONDS
from runbook.run.records import SnapshotRecord, VerifyRecord
from runbook.stages.open_run import open_run
from runbook.terminal import silent
from runbook.window.state import window_state


def work(order: Order) -> Outcome:
    """Does what is ordered, as far as it goes, and says where the database is then.

    Never raises: whatever happened, the ledger is asked. A process whose runbook is another
    version does nothing.
    """
    if order.version != __version__:
        text = f"this worker has the runbook {__version__}, and the fleet was begun with "
        return Outcome(
            order.number,
            "untouched",
            error=f"{text}{order.version}",
            worker=process_name(),
            misfit=True,
        )
    return perform(order, execute_directly)


def perform(order: Order, execute: Execute | None) -> Outcome:
    """The same with the stages executed by `execute`; None: as notebooks, by Papermill."""
    clock, cpu = time.perf_counter(), time.process_time()
    problem: Exception | None = None
    try:
        _do(order, execute)
    except Exception as error:  # a bug of ours stops one database, not the fleet
        problem = error
    return dataclasses.replace(
        observe(order, problem),
        seconds=round(time.perf_counter() - clock, 3),
        cpu=round(time.process_time() - cpu, 3),
        worker=process_name(),
    )


def _do(order: Order, execute: Execute | None) -> None:
    options = Options(
        until=order.until,
        yes=True,
        echo=silent,
        leave_out=order.leave_out,
        how=order.how,
        wait=ORPHAN_SECONDS,
    )
    if order.work == "rollback":
        roll_back(
            Run.open(Path(order.run_dir)),
            options,
            back=WayBack(discard_organizations=order.discard_organizations),
            execute=execute,
        )
        return
    known = (Path(order.run_dir) / "run.json").exists()
    if not known and digest_of_plan(order.plan) != order.plan_digest:
        raise RunFolderError(
            f"The plan {order.plan} is not the one that the fleet was begun with; put it back as "
            "it was, or begin a new fleet folder."
        )
    run = open_run(
        order.database,
        plan="" if known else order.plan,
        run_dir=order.run_dir,
        operator=order.operator,
        ticket=order.ticket,
        options=order.options,
    )
    run_stages(run, options, execute)


def observe(order: Order, problem: Exception | None = None) -> Outcome:
    """Where the database of an order is now; nothing is changed.

    Args:
        order: what was to be done.
        problem: what stopped it, as far as is known.
    """
    error = "" if problem is None else _sentence(problem)
    try:
        run = Run.open(Path(order.run_dir))
    except RunbookError as missing:
        damaged = (Path(order.run_dir) / "run.json").exists()
        return Outcome(
            order.number, "unknown" if damaged else "before", error=error or str(missing)
        )
    try:
        state = _state(run, problem)
    except RunbookError as unreadable:
        state, error = "unknown", error or str(unreadable)
    digest = ""
    with contextlib.suppress(OSError):
        digest = sha256(run.folder / "audit.json")
    return Outcome(
        order.number,
        state,
        stage=_stopped_at(run) if error else "",
        error=error,
        rows=_rows(run),
        bytes=run.info.identity.bytes,
        digest=digest,
    )


def _state(run: Run, problem: Exception | None) -> State:
    by_ledger = window_state(run).database
    if by_ledger == "rolled back":
        return "taken back"
    if by_ledger == "migrated":
        if not run.finished("verify"):
            return "running" if problem is None else "failed"
        passed = run.result("verify", VerifyRecord).verdict == "pass"
        return "after" if passed else "failed"
    if by_ledger == "unknown":
        # A database that cannot be read, and that no migration was begun on, is as it was.
        begun = run.record("migrate") is not None or isinstance(problem, OutcomeUnknown)
        return "unknown" if begun else "before"
    return "ready" if problem is None else "before"


def _stopped_at(run: Run) -> str:
    """The last stage that has not come to its end."""
    for stage in reversed(STAGES):
        with contextlib.suppress(RunbookError):
            record = run.record(stage)
            if record is not None and record.status != "finished":
                return stage
    return ""


def _rows(run: Run) -> int:
    with contextlib.suppress(RunbookError):
        return run.result("snapshot", SnapshotRecord).rows
    return 0


def _sentence(problem: Exception) -> str:
    if isinstance(problem, RunbookError):
        return str(problem)
    return f"{type(problem).__name__}: {problem}"


def process_name() -> str:
    """This process, as people find it."""
    return f"{socket.gethostname()}:{os.getpid()}"
