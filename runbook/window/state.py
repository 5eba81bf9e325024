"""In what state database, code and maintenance mode are, and the ways out of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from runbook.errors import RunbookError
from runbook.run.folder import Run
from runbook.run.identity import LedgerRow
from runbook.run.records import MigrateRecord, RollbackRecord, VerifyRecord
from runbook.targets.open_target import open_target
from runbook.window.commands import show_command
from runbook.window.store import configured, read_step

Database = Literal["before", "migrated", "rolled back", "unknown"]
Code = Literal["old", "new", "unknown", "not configured"]
Mode = Literal["off", "on", "unknown", "not configured"]

STEPS_OF = {
    "snapshot": ("maintenance_on",),
    "migrate": ("maintenance_on",),
    "verify": ("deploy", "health", "workflows", "smoke", "maintenance_off"),
    "rollback": ("undeploy", "maintenance_off"),
}
"""The steps in each stage's notebook; those after the verification each need all before them."""


@dataclass(frozen=True)
class WindowState:
    """The three states, each with a sentence that says how it is known."""

    database: Database
    database_says: str
    code: Code
    code_says: str
    maintenance: Mode
    maintenance_says: str


def window_state(run: Run) -> WindowState:
    """The state that the ledger in the database and the records of the run show."""
    database, database_says = _database(run)
    code, code_says = code_state(run)
    mode = maintenance_state(run)
    return WindowState(database, database_says, code, code_says, mode, _mode_says(run, mode))


def maintenance_state(run: Run) -> Mode:
    """Whether the application is shut, as far as the steps' records show."""
    if not configured(run.info.plan, 2):
        return "not configured"
    on, off = read_step(run.folder, "maintenance_on"), read_step(run.folder, "maintenance_off")
    if on is None:
        return "off"
    if off is not None and off.at >= on.at:
        return "off" if off.status == "done" else "unknown"
    return "on" if on.status == "done" else "unknown"


def may_be_shut(run: Run) -> bool:
    """Whether the application is shut, or may be."""
    return maintenance_state(run) in ("on", "unknown")


def stands(run: Run, name: str) -> bool:
    """Whether the step `name` after the verification is done, or was left out on purpose."""
    step = read_step(run.folder, name)
    if step is None or step.status in ("started", "failed"):
        return False
    return name != "maintenance_off" or maintenance_state(run) in ("off", "not configured")


def pending_step(run: Run, stage: str) -> str:
    """The first step that the notebook of the finished `stage` has still to do; "" for none.

    After a failed verdict there is none: the new code is not brought, and nothing is opened.
    """
    if stage == "verify" and run.result("verify", VerifyRecord).verdict == "pass":
        return next((name for name in STEPS_OF["verify"] if not stands(run, name)), "")
    if stage == "rollback":
        code, _ = code_state(run)
        if code in ("new", "unknown") and run.info.plan.window.undeploy is not None:
            return "undeploy"
        if may_be_shut(run):
            return "maintenance_off"
    return ""


def block(run: Run, problem: str) -> str:
    """The states and the commands that lead out, for the operator, in one block."""
    state = window_state(run)
    lines = [
        "The maintenance window is not over.",
        f"  problem      {problem}",
        f"  database     {state.database_says}",
        f"  code         {state.code_says}",
        f"  maintenance  {state.maintenance_says}",
    ]
    for title, command in ways_out(run, state):
        lines.append(f"{title}:")
        lines.append(f"  {command}")
    return "\n".join(lines)


def ways_out(run: Run, state: WindowState) -> tuple[tuple[str, str], ...]:
    """What may be done now, each with what to type."""
    folder = shlex.quote(str(run.folder))
    plan = run.info.plan.window
    open_again = f"runbook maintenance off --run-dir {folder}"
    ways: list[tuple[str, str]] = []
    if state.database == "unknown":
        ways.append(("To find out what is true", f"runbook status --run-dir {folder}"))
    elif state.database != "rolled back":
        ways.append(("To go on, once it is corrected", f"runbook run --run-dir {folder} --yes"))
    back = []
    by_hand = state.code in ("new", "unknown") and plan.undeploy is None
    if state.database == "migrated":
        # Puts the old code back and opens, too, where it can.
        back.append(f"runbook rollback --run-dir {folder} --yes")
    elif state.code in ("new", "unknown") and plan.undeploy is not None:
        back.append(show_command(plan.undeploy))
    if by_hand:
        back.append("# put the old code back")
    if by_hand or state.database != "migrated":
        back.append(open_again)
    title = {
        "migrated": "To go back and open the application",
        "unknown": "To open the application, once database and code are known to fit together",
    }.get(state.database, "To open the application as it was")
    ways.append((title, "\n  ".join(back)))
    ways.append(("To leave it shut", "nothing: it stays shut until one of these commands is run"))
    return tuple(ways)


def _database(run: Run) -> tuple[Database, str]:
    """What the ledger says, which is the truth whatever the records say."""
    try:
        target = open_target(run.info.database, run.info.options)
        name = run.info.plan.migration.name
        row = target.ledger(name)
        if row is None and target.unfinished(name) is not None:
            return "unknown", "neither before nor after: a migration in chunks has not ended"
        return _database_from(run, row)
    except RunbookError as error:
        return "unknown", f"unknown, because the ledger cannot be read ({error})"


def _database_from(run: Run, row: LedgerRow | None) -> tuple[Database, str]:
    """What the ledger's row and the records say together."""
    rolled_back = run.finished("rollback") and run.result("rollback", RollbackRecord).done
    if row is None:
        if rolled_back:
            return "rolled back", "as before: migrated, rolled back, and proven against its backup"
        if run.finished("migrate") and run.result("migrate", MigrateRecord).committed:
            return "unknown", "the record says migrated, but the ledger does not; inspect it"
        return "before", "as before: its ledger holds no migration"
    if row.run != run.info.run:
        return "unknown", f'migrated by another run ("{row.run}", {row.applied_at}); inspect it'
    verdict = "not verified yet"
    if run.finished("verify"):
        verdict = f"verdict {run.result('verify', VerifyRecord).verdict}"
    return "migrated", f"migrated at {row.applied_at} UTC, {verdict}"


def code_state(run: Run) -> tuple[Code, str]:
    """Which code runs, as far as the steps' records show, and how that is known."""
    deployed, undone = read_step(run.folder, "deploy"), read_step(run.folder, "undeploy")
    if deployed is None or deployed.status == "not configured":
        if run.info.plan.window.deploy is None:
            return "not configured", "not known: the plan names no deploy command"
        return "old", "the old code: nothing was deployed"
    if undone is not None and undone.at >= deployed.at and undone.status != "not configured":
        if undone.status == "done":
            return "old", f"the old code again, put back at {undone.at}"
        return "unknown", f"unknown: putting the old code back failed ({undone.error})"
    if deployed.status == "done":
        return "new", f"the new code, deployed at {deployed.at}"
    return "unknown", f"unknown: the deployment failed ({deployed.error or 'it was cut off'})"


def _mode_says(run: Run, mode: Mode) -> str:
    on, off = read_step(run.folder, "maintenance_on"), read_step(run.folder, "maintenance_off")
    if mode == "not configured":
        return "not known: the plan names neither a command nor a page for it"
    if mode == "on" and on is not None:
        return f"on, proven; shut since {on.at}"
    if mode == "off":
        return f"off, open again since {off.at}" if off else "off: it was not switched on"
    last = off if off is not None and on is not None and off.at >= on.at else on
    assert last is not None
    word = "on" if last is on else "off"
    return f"not known: switching it {word} failed ({last.error or 'it was cut off'})"
