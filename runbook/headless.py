"""The stages in order without a person at the notebooks: what `runbook run` does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable

from runbook.confirm import Ask, confirm
from runbook.driver import Kernels, execute, kernels
from runbook.errors import BadInput, NotAllowedNow, NotProven, RunbookError, RunFolderError
from runbook.executed import has_notebook
from runbook.lock import ORPHAN_SECONDS
from runbook.records import (
    MigrateRecord,
    PreflightRecord,
    RehearseRecord,
    ReportRecord,
    RollbackRecord,
    SnapshotRecord,
    VerifyRecord,
)
from runbook.run import Run, file_stem

ORDER = ("preflight", "rehearse", "snapshot", "migrate", "verify", "report")
"""The stages of `runbook run`; monitoring and the way back are commands of their own."""

Say = Callable[[str], object]


def run_stages(
    run: Run,
    *,
    until: str = "report",
    yes: bool = False,
    ask: Ask | None = None,
    say: Say = print,
    show_values: bool = False,
) -> None:
    """Runs every stage up to `until` that is not finished, each as a notebook.

    Args:
        run: the run.
        until: the last stage.
        yes: change the database without asking.
        ask: asks the person at the terminal; None where nobody is there.
        say: prints a line.
        show_values: personal data appears in the report.

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
    with run.locked("run"), kernels(run.folder / "notebooks" / "kernels.log") as pool:
        say(f"Run {run.folder}: {run.info.identity.place}")
        with run.locked(wait=ORPHAN_SECONDS, say=say):
            _tidy(run)
        if run.unsettled("rollback"):
            raise NotAllowedNow(
                "A rollback of this run was begun, and its record does not say whether it happened;"
                f" call `runbook rollback --run-dir {run.folder}` again, which finds out."
            )
        todo = [s for s in stages if s == "report" or not _is_done(run, s, say)]
        try:
            _run(run, stages, todo, pool, yes=yes, ask=ask, say=say, show_values=show_values)
        except RunbookError:
            if "report" in stages:
                try:
                    if run.finished("preflight"):
                        _report(run, pool, say, show_values)
                except RunbookError as error:  # must not hide why the run stopped
                    say(f"  report     not written: {error}")
            raise
    if "verify" in stages and run.result("verify", VerifyRecord).verdict != "pass":
        raise NotProven("The verdict is fail; the report says what was found.")
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


def _run(
    run: Run,
    stages: Iterable[str],
    todo: list[str],
    pool: Kernels,
    *,
    yes: bool,
    ask: Ask | None,
    say: Say,
    show_values: bool,
) -> None:
    if todo:
        pool.start()
    for stage in stages:
        if stage not in todo:
            say(f"  {stage:<10} done already: {summary(run, stage)}")
            continue
        if todo[-1] != stage:
            pool.start()  # for the next one, while this one works
        if stage == "report":
            _report(run, pool, say, show_values)
            continue
        parameters: dict[str, object] = {"run_dir": str(run.folder), "database": "", "plan": ""}
        if stage == "migrate" and (run.unsettled(stage) or not run.finished(stage)):
            parameters |= _confirmed(run, yes, ask)
        execute(run, stage, parameters, pool)
        say(f"  {stage:<10} {summary(run, stage)}")


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


def _report(run: Run, pool: Kernels, say: Say, show_values: bool) -> None:
    parameters: dict[str, object] = {
        "run_dir": str(run.folder),
        "database": "",
        "plan": "",
        "show_values": show_values,
    }
    execute(run, "report", parameters, pool)
    say(f"  {'report':<10} {summary(run, 'report')}")


def roll_back(
    run: Run,
    *,
    yes: bool = False,
    discard_organizations: bool = False,
    restore: bool = False,
    ask: Ask | None = None,
    say: Say = print,
) -> None:
    """Takes the migration of `run` back through its notebook, and writes the report anew.

    Args:
        run: the run.
        yes: change the database without asking.
        discard_organizations: go on although organizations or memberships were made since.
        restore: put the whole backup back instead.
        ask: asks the person at the terminal; None where nobody is there.
        say: prints a line.

    Raises:
        RunbookError: what the stage said; the database is then as it was, or the message says.
    """
    with run.locked("run"), kernels(run.folder / "notebooks" / "kernels.log") as pool:
        pool.start()
        if run.finished("rollback"):
            say(f"  {'rollback':<10} done already: {summary(run, 'rollback')}")
        else:
            parameters: dict[str, object] = {
                "run_dir": str(run.folder),
                "database": "",
                "plan": "",
                "discard_organizations": discard_organizations,
                "restore": restore,
                **_confirmed(run, yes, ask),
            }
            pool.start()
            execute(run, "rollback", parameters, pool)
            say(f"  {'rollback':<10} {summary(run, 'rollback')}")
        _report(run, pool, say, show_values=False)


def summary(run: Run, stage: str) -> str:
    """One line about a finished stage."""
    if stage == "preflight":
        hazards = run.result(stage, PreflightRecord).hazards
        counts = {level: sum(h.level == level for h in hazards) for level in ("warn", "note")}
        return f"nothing blocks; {counts['warn']} warnings, {counts['note']} notes"
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
    word = "taken back" if run.finished("rollback") else f"verdict {written.verdict}"
    return f"{word}: {run.folder / written.report}"
