"""In what state database, code and maintenance mode are, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbook.errors import RunbookError
from runbook.run.folder import Run, now
from runbook.run.identity import LedgerRow
from runbook.run.records import MigrateRecord, RollbackRecord, VerifyRecord
from runbook.run.window_records import WindowStep
from runbook.targets.open_target import target_of
from runbook.window.store import FAILURES, configured, read_step
from runbook.window.web import ask, expected, show_address
from runbook.wording import when

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


ONE_LOOK = 3.0
"""Seconds that the maintenance page has to answer when somebody wants to know how it stands."""


@dataclass(frozen=True)
class WindowState:
    """The three states, each with a sentence that says how it is known.

    `maintenance` is what the page answers at this moment. Where it cannot be asked it is
    `unknown`, and the sentence says when it was last seen how; without a page the records say it.
    """

    database: Database
    database_says: str
    code: Code
    code_says: str
    maintenance: Mode
    maintenance_says: str


def window_state(run: Run) -> WindowState:
    """The state that the ledger, the maintenance page and the records of the run show."""
    return WindowState(*_database(run), *code_state(run), *mode_now(run))


def maintenance_state(run: Run) -> Mode:
    """Whether the application should be shut, by the records of the steps alone."""
    if not configured(run.info.plan, 2):
        return "not configured"
    on, off = read_step(run.folder, "maintenance_on"), read_step(run.folder, "maintenance_off")
    if on is None:
        return "off"
    if off is not None and off.at >= on.at:
        return "off" if off.status == "done" else "unknown"
    return "on" if on.status == "done" else "unknown"


def may_be_shut(run: Run) -> bool:
    """Whether the records say that the application is shut, or may be."""
    return maintenance_state(run) in ("on", "unknown")


def mode_now(run: Run) -> tuple[Mode, str]:
    """Whether the application is shut, asked of its page now, and how that is known."""
    recorded, page = maintenance_state(run), run.info.plan.window.maintenance
    last = _last_known(run, recorded)
    if page is None:
        return recorded, last
    answer, at = ask(page, limit=min(page.timeout, ONE_LOOK)), when(now())
    answered = f"{show_address(page.url)} answered"
    if answer.ok:
        return "on", f"on: {answered} {expected(page)} at {at}; {last}"
    if 0 < answer.status < 500:
        return "off", f"open: {answered} {answer.status} at {at}; {last}"
    return "unknown", f"not known: {show_address(page.url)} gave {answer.note} at {at}; {last}"


def stands(run: Run, name: str) -> bool:
    """Whether the step `name` after the verification is done, or was left out on purpose."""
    step = read_step(run.folder, name)
    if step is None or step.status in ("started", "failed"):
        return False
    undone, deployed = read_step(run.folder, "undeploy"), read_step(run.folder, "deploy")
    if undone is not None and undone.status == "done" and undone.at >= step.at:
        return False  # it was about code that is not there any more
    if name != "deploy" and deployed is not None and deployed.at > step.at:
        return False
    return name != "maintenance_off" or maintenance_state(run) in ("off", "not configured")


def failed_trial(run: Run) -> WindowStep | None:
    """The step that showed the code that runs now not to work; None where none did."""
    deployed = read_step(run.folder, "deploy")
    for name in ("health", "workflows", "smoke"):
        step = read_step(run.folder, name)
        about_this = deployed is None or step is None or deployed.at <= step.at
        if step is not None and step.status == "failed" and about_this:
            return step
    return None


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


def describe_now(run: Run) -> str:
    """How the application stands at this moment, for the end of the checklist; "" without one."""
    if not configured(run.info.plan, 2):
        return ""
    try:
        state = window_state(run)
    except RunbookError as error:
        return f"\nHow the application stands now cannot be shown: {error}\n"
    return (
        f"\nNow:\n  database     {state.database_says}\n  code         {state.code_says}\n"
        f"  maintenance  {state.maintenance_says}\n"
    )


def shut_sentence(run: Run) -> str:
    """Whether an application that should be shut is; "" where it should not be."""
    if maintenance_state(run) != "on":
        return ""
    mode, known = mode_now(run)
    if mode == "on":
        return "The application is still shut."
    return f"The application should still be shut, but is not known to be ({known})."


def misfit(state: WindowState, *, verdict: str, failed: WindowStep | None = None) -> str:
    """Why the application should not be opened as things stand; "" where nothing is against it.

    `verdict` is that of the verification, "" where there is none; `failed` is a step after it that
    showed the new code not to work.
    """
    if state.database == "unknown":
        return f"the state of the database is not known ({state.database_says})"
    if state.database != "migrated":
        if state.code in ("new", "unknown"):
            return f"the database is as before, and its code is not: {state.code_says}"
        return ""
    if state.code in ("old", "unknown"):
        return f"the database is migrated, and its code is not known to be new: {state.code_says}"
    if verdict != "pass":
        return f"its verification {'failed' if verdict else 'is missing'}"
    if failed is not None:
        what = FAILURES[failed.name]
        return f"{what[:1].lower()}{what[1:]} ({failed.error})"
    return ""


def _database(run: Run) -> tuple[Database, str]:
    """What the ledger says, which is the truth whatever the records say."""
    try:
        target = target_of(run)
        name = run.info.plan.migration.name
        row = target.ledger(name)
        if row is None and (half := target.halfway(name)):
            return "unknown", half
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


def _last_known(run: Run, mode: Mode) -> str:
    """What the records say of maintenance mode, and of when."""
    on, off = read_step(run.folder, "maintenance_on"), read_step(run.folder, "maintenance_off")
    if mode == "not configured":
        return "not known: the plan names neither a command nor a page for it"
    if mode == "on" and on is not None:
        return f"shut {when(on.at)}, last proven {when(on.proven_at or on.at)}"
    if mode == "off":
        return f"opened {when(off.at)}" if off else "it was not shut by this run"
    last = _later(on, off)
    assert last is not None
    reason = last.error or "it was cut off"
    if last is on and on.proven_at:  # shut, and a later proof of it failed
        proven = when(on.proven_at)
        return f"shut {when(on.at)}, last proven {proven}; after that its proof failed ({reason})"
    return f"switching it {'on' if last is on else 'off'} failed {when(last.at)} ({reason})"


def _later(on: WindowStep | None, off: WindowStep | None) -> WindowStep | None:
    return off if off is not None and on is not None and off.at >= on.at else on
