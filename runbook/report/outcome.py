"""How a run ended: the verdict, what is wrong, and in what state the database is.

The verdict is `pass` only if the verification said so *and* the three proofs, judged here once
more from the counts themselves, hold. Everything else is `fail`, and says why.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from runbook import errors
from runbook.report.contents import Contents
from runbook.report.problems import problem_sentence, problems
from runbook.report.proofs import Proof
from runbook.report.stage_status import StageStatus
from runbook.run.records import RollbackRecord
from runbook.window.series import describe
from runbook.wording import and_more, counted, duration, listed, when

Verdict = Literal["pass", "fail"]
Code = Literal[
    "proven",
    "not migrated",
    "blocked",
    "stopped",
    "refused",
    "unknown",
    "not verified",
    "not proven",
    "rolled back",
]


@dataclass(frozen=True)
class Outcome:
    """How the run ended, in words.

    `wrong` and `next_step` are empty where nothing is wrong or left to do; `command` is what the
    next step types.
    """

    code: Code
    headline: str
    state: str
    wrong: str = ""
    next_step: str = ""
    command: str = ""

    @property
    def verdict(self) -> Verdict:
        """Whether the migration is proven; anything else is a failure."""
        return "pass" if self.code == "proven" else "fail"

    @property
    def word(self) -> str:
        """The outcome in capitals."""
        plain = {"proven": "PASS"} | dict.fromkeys(("not proven", "refused", "stopped"), "FAIL")
        return plain.get(self.code, self.code.upper())


def judge(contents: Contents, proven: tuple[Proof, ...]) -> Outcome:
    """How the run ended."""
    return (
        _unknown(contents)
        or _rolled_back(contents)
        or _after_commit(contents, proven)
        or _before_commit(contents)
    )


def _unknown(contents: Contents) -> Outcome | None:
    """Where nobody can tell from the records whether the migration or its reversal happened."""
    reasons = [s for s in contents.stages.values() if s.exit_code == 3]
    for name in ("migrate", "rollback"):
        stage = contents.stages[name]
        if stage.status in ("started", "proven", "damaged") or (
            stage.status == "failed" and not _rolled_itself_back(stage)
        ):
            reasons.append(stage)
    if not reasons:
        return None
    stage = reasons[0]
    reasons_by_status = {
        "started": f"The {stage.title.lower()} was begun and never recorded as finished.",
        "proven": "The proof was made, and the run was stopped before the commit was recorded.",
        "damaged": f"The record of the {stage.title.lower()} is damaged.",
    }
    return Outcome(
        "unknown",
        "A person must check: the records do not show how this run ended.",
        state=(
            "Wholly before or wholly after, because everything happens in one transaction. The "
            "table runbook_ledger in the database knows: it holds this run if the migration "
            "was committed."
        ),
        wrong=reasons_by_status.get(stage.status, stage.error),
        next_step="Run the same command again: it asks the ledger and goes on from what it finds.",
        command=command("runbook run", contents),
    )


def _rolled_itself_back(stage: StageStatus) -> bool:
    """Whether the stage failed in the way after which the database is known to be as before."""
    known = issubclass(errors.named(stage.error_type), errors.Refused | errors.BadInput)
    return known and stage.exit_code in (1, 2)


def _rolled_back(contents: Contents) -> Outcome | None:
    record = contents.rollback
    if record is None or not record.done or contents.stages["rollback"].status != "finished":
        return None
    done = f"{counted(record.restored, 'row')} restored to their original values"
    if record.kept:
        done += f", {counted(record.kept, 'row')} kept that users wrote since"
    if record.discarded:
        done += f", {counted(record.discarded, 'row')} discarded"
        done += f" after their export to {listed(record.exported, 3)}" if record.exported else ""
    return Outcome(
        "rolled back",
        "The migration was taken back.",
        state=f"As before the migration: {done}. The rollback was proven against the backup.",
        wrong=_first_problem(contents) or _why(record),
    )


def _why(record: RollbackRecord) -> str:
    reason = record.confirmation.reason if record.confirmation else ""
    return f"The migration was taken back on purpose{f': {reason}' if reason else ''}."


def _after_commit(contents: Contents, proven: tuple[Proof, ...]) -> Outcome | None:
    if contents.migrate is None or not contents.migrate.committed:
        return None
    back = command("runbook rollback", contents)
    tried = contents.stages["rollback"]
    how = "interrupted" if tried.was_interrupted else "tried and refused"
    failed_back = f" A rollback was {how}: {tried.error}" if tried.error else ""
    state = "Migrated: the migration is committed." + failed_back
    verify, stage = contents.verify, contents.stages["verify"]
    if verify is None or stage.status == "started":
        return Outcome(
            "not verified",
            "Migrated, but not yet verified.",
            state=state,
            wrong=stage.error
            or (
                "The record of the verification is damaged."
                if stage.status == "damaged"
                else "The three witnesses have not been asked yet."
            ),
            next_step="Run the verification; until then nothing is checked after the commit.",
            command=command("runbook run", contents),
        )
    broken = [proof.sentence for proof in proven if proof.holds is not True]
    broken += _not_fit_to_open(contents)
    # A proof whose records are damaged or gone cannot be followed by anybody later.
    broken += contents.damage
    if contents.snapshot is None:
        broken.append("The record of the snapshot is missing.")
    if verify.verdict == "pass" and not broken and stage.status == "finished":
        return _proven(contents, f"{state} Nothing else changed{_until(contents)}.")
    return Outcome(
        "not proven",
        "Migrated, but the verification failed.",
        state=state
        + " It differs from what was proven before the commit, or the proof is at odds.",
        wrong=_first_problem(contents) or " ".join(broken) or stage.error or "The verdict is fail.",
        next_step="Keep the application closed, read the findings, then correct them or roll back.",
        command=back,
    )


def _proven(contents: Contents, state: str) -> Outcome:
    """A pass; what monitoring found afterwards does not change it, and is said."""
    violated = next((each for each in contents.observations if each.violated), None)
    if violated is None:
        return Outcome("proven", "Migrated, and proven.", state=state)
    return Outcome(
        "proven",
        "Migrated, and proven; monitoring has found a violation since.",
        state=state,
        wrong=f"Monitoring, {when(violated.at)}: {describe(violated)}.",
        next_step="Find what writes without the organization, and correct these rows; then go "
        "on monitoring, or roll back.",
        command=command("runbook monitor", contents),
    )


def _not_fit_to_open(contents: Contents) -> list[str]:
    """What was found when the invariants were asked again before the application opened."""
    asked = contents.window.get("recheck")
    if asked is None or asked.status == "done":
        return []
    return [f"Before the opening, {when(asked.at)}: {asked.error or 'it was cut off'}."]


def _until(contents: Contents) -> str:
    """Up to when a verdict of pass speaks: what was asked last before the application opened."""
    asked = contents.window.get("recheck")
    verified = f" until the verification, {when(contents.stages['verify'].finished_at)}"
    if asked is None:
        return verified
    again = "; ".join(line[:1].lower() + line[1:] for line in asked.details)
    return f"{verified}; {again}, {when(asked.at)}"


def _before_commit(contents: Contents) -> Outcome:
    untouched = "As it was: the run has written nothing to it."
    again = command("runbook run", contents)
    migrate = contents.stages["migrate"]
    if migrate.was_interrupted:
        return _stopped(contents, untouched, again)
    if migrate.status == "failed" or contents.migrate is not None:
        refused = issubclass(errors.named(migrate.error_type), errors.Refused)
        return Outcome(
            "refused",
            "Not migrated: the proof before the commit failed."
            if contents.migrate or migrate.error_type == "NotProven"
            else f"Not migrated: the migration {'was refused' if refused else migrate.ending}.",
            state="As it was before the migration: everything was rolled back before the commit.",
            wrong=migrate.error or _first_problem(contents) or "The migration was rolled back.",
            next_step="Correct what is named here, take a new snapshot, and run again.",
            command=again,
        )
    if contents.preflight and contents.preflight.blocked:
        blocks = [h for h in contents.preflight.hazards if h.level == "block"]
        return Outcome(
            "blocked",
            f"Not migrated: {counted(len(blocks), 'hazard')} must be removed first.",
            state=untouched,
            wrong=f"{blocks[0].title}{and_more(len(blocks) - 1)}.",
            next_step="Apply the remedies below and run again.",
            command=again,
        )
    return _stopped(contents, untouched, again)


def _stopped(contents: Contents, untouched: str, again: str) -> Outcome:
    """A run that nothing blocked and that did not come to the migration."""
    stopped = [s for s in contents.stages.values() if s.status in ("failed", "damaged", "started")]
    stopped = [s for s in stopped if s.name != "report"]
    if stopped:
        last = stopped[-1]
        reason = last.error or (
            f"The record of the {last.title.lower()} is damaged."
            if last.status == "damaged"
            else f"The {last.title.lower()} was begun and never finished."
        )
        return Outcome(
            "stopped",
            f"Not migrated: the {last.title.lower()} {last.ending}.",
            state=untouched,
            wrong=reason,
            next_step=f"{'Run' if last.was_interrupted else 'Remove the cause and run'} again; "
            "the run continues where it stopped.",
            command=again,
        )
    return Outcome(
        "not migrated",
        "Not migrated yet.",
        state=untouched,
        wrong="The run has not come to the migration.",
        next_step="Go on with the run.",
        command=again,
    )


def _first_problem(contents: Contents) -> str:
    return problem_sentence(problems(contents))


def command(what: str, contents: Contents) -> str:
    """A command line for this run, with the whole path of its folder, quoted for a shell."""
    database = f" --database {shlex.quote(contents.database)}" if what.endswith(" run") else ""
    return f"{what}{database} --run-dir {shlex.quote(contents.path)}"


def lock_sentence(contents: Contents) -> str:
    """How long the write lock was held, and when the migration was committed."""
    if contents.migrate is None or not contents.migrate.committed:
        return "never kept" if contents.migrate else "never taken"
    held = contents.migrate.locked_seconds  # 0 where the process died before it could say so
    return duration(held) if held else "not known"


def decided_at(contents: Contents) -> str:
    """When it was decided: the commit's time, else the end of the last stage, for people."""
    if contents.migrate and contents.migrate.committed and contents.migrate.ledger:
        return when(contents.migrate.ledger.applied_at)
    ends = [s.finished_at for s in contents.stages.values() if s.finished_at and s.name != "report"]
    return when(max(ends)) if ends else when(contents.created_at)
