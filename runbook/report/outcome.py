"""How a run ended: the verdict, what is wrong, and in what state the database is.

The verdict is `pass` only if the verification said so *and* the three proofs, judged here once
more from the counts themselves, hold. Everything else is `fail`, and says why.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from runbook import errors
from runbook.report.contents import Contents, StageStatus
from runbook.run.findings import WITNESS_NAMES
from runbook.wording import and_more, counted, duration, listed, number, when

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
class Proof:
    """One of the three proofs: `holds` is None where it was not made."""

    name: str
    holds: bool | None
    sentence: str


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


# -- the three proofs --------------------------------------------------------------------------


def proofs(contents: Contents) -> tuple[Proof, Proof, Proof]:
    """The three proofs: invariants, footprint, and that the witnesses agree."""
    return invariants_proof(contents), footprint_proof(contents), witnesses_proof(contents)


def invariants_proof(contents: Contents) -> Proof:
    """Whether every invariant holds, according to every witness that was asked."""
    name = "Invariants"
    results = contents.invariants
    violated = [i.title for i in results if not i.holds]
    # A guard that trips inside the transaction leaves a finding and no counts.
    violated += [f.message for f in contents.findings if _is_violation(f.change) and not violated]
    if violated:
        total = f" of {len(results)}" if results else ""
        count = f"{len(violated)}{total} invariant{'s' if len(violated) > 1 else ''} violated"
        return Proof(name, False, f"{count}: {listed(violated, 3)}.")
    if contents.verify is None:
        if not results:
            return Proof(name, None, "Not checked: the run did not get that far.")
        before = counted(len(results), "invariant")
        return Proof(
            name, None, f"{before} held inside the transaction; none was checked after it."
        )
    if not results:
        return Proof(name, False, "The verification checked no invariant at all.")
    who = listed([n for w, n in WITNESS_NAMES.items() if any(w in i.violations for i in results)])
    guarded = sum("gate" in i.violations for i in results)
    gate = f" {guarded} of them were checked before the commit as well." if guarded else ""
    return Proof(
        name,
        True,
        f"{counted(len(results), 'invariant holds', 'invariants hold')}: {who} found no violating "
        f"row.{gate}",
    )


def footprint_proof(contents: Contents) -> Proof:
    """Whether nothing outside the footprint differs."""
    name = "Footprint"
    outside = [f for f in contents.findings if not _is_violation(f.change)]
    foreign = [line for line in contents.footprint if not line.allowed]
    if outside or foreign:
        where = sorted({f.table for f in outside if f.table} | {line.table for line in foreign})
        count = counted(len(outside) + len(foreign), "difference")
        place = f": see {listed([repr_name(t) for t in where], 4)}" if where else ""
        return Proof(name, False, f"{count} outside the footprint{place}.")
    if contents.migrate is None or not contents.migrate.committed:
        return Proof(name, None, "Not compared: the run did not get that far.")
    size = ""
    if contents.snapshot:
        tables, rows = contents.snapshot.tables, contents.snapshot.rows
        size = f" Compared cell by cell: {counted(tables, 'table')}, {counted(rows, 'row')}."
    if contents.migrate.proof == "after commit":
        time = "The comparison was made after the commit, as this kind of database demands."
    elif contents.migrate.proven_after_commit:
        late = counted(len(contents.migrate.proven_after_commit), "table")
        time = f"The gate passed before the commit; {late} followed after it, as planned."
    else:
        time = "The gate compared everything before the commit."
    if contents.snapshot and not (contents.snapshot.tables and contents.snapshot.rows):
        return Proof(name, False, f"Nothing was compared, so nothing is proven.{size}")
    if contents.verify is None:
        early = contents.migrate.proof == "before commit"
        return Proof(name, None, f"{time if early else ''} The verification is missing.".strip())
    return Proof(name, True, f"Nothing outside the footprint differs.{size} {time}")


def witnesses_proof(contents: Contents) -> Proof:
    """Whether the witnesses counted the same rows, wherever more than one of them counted."""
    name = "Witnesses agree"
    if contents.verify is None:
        return Proof(name, None, "Not asked: the run did not get that far.")
    counts = [
        *((_line_name(line.table, line.column), line.counts) for line in contents.footprint),
        *((i.title, i.violations) for i in contents.invariants),
    ]
    several = [(what, by) for what, by in counts if len(by) > 1]
    torn = [(what, by) for what, by in several if len(set(by.values())) > 1]
    if torn:
        what, by = torn[0]
        each = ", ".join(f"{WITNESS_NAMES.get(w, w)} {number(rows)}" for w, rows in by.items())
        more = and_more(len(torn) - 1)
        return Proof(
            name, False, f"The witnesses contradict each other about {what}: {each}{more}."
        )
    if not several:
        return Proof(name, False, "No two witnesses counted the same, so nothing is proven.")
    silent = [n for w, n in WITNESS_NAMES.items() if not any(w in by for _, by in counts)]
    if silent:
        return Proof(
            name, False, f"{listed(silent)} returned no result, so the proof is incomplete."
        )
    return Proof(
        name,
        True,
        f"{listed(list(WITNESS_NAMES.values()))} agree on {counted(len(several), 'count')} of "
        "rows that they made independently of each other.",
    )


def repr_name(name: str) -> str:
    """A table's name in typographic quotes, so that it is told apart from the sentence."""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{name}\N{RIGHT DOUBLE QUOTATION MARK}"


def _line_name(table: str, column: str) -> str:
    return f"{repr_name(table)}, column {repr_name(column)}" if column else repr_name(table)


def _is_violation(change: str) -> bool:
    return change.startswith("invariant ") or change == "broken reference"


# -- the outcome -------------------------------------------------------------------------------


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
    kind = getattr(errors, stage.error_type, None)
    known = isinstance(kind, type) and issubclass(kind, errors.Refused | errors.BadInput)
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
        wrong=_first_finding(contents) or "The migration was taken back on purpose.",
    )


def _after_commit(contents: Contents, proven: tuple[Proof, ...]) -> Outcome | None:
    if contents.migrate is None or not contents.migrate.committed:
        return None
    back = command("runbook rollback", contents)
    tried = contents.stages["rollback"]
    failed_back = f" A rollback was tried and refused: {tried.error}" if tried.error else ""
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
        return Outcome(
            "proven",
            "Migrated, and proven.",
            state=f"{state} Nothing else changed{_until(contents)}.",
        )
    return Outcome(
        "not proven",
        "Migrated, but the verification failed.",
        state=state
        + " It differs from what was proven before the commit, or the proof is at odds.",
        wrong=_first_finding(contents) or " ".join(broken) or stage.error or "The verdict is fail.",
        next_step="Keep the application closed, read the findings, then correct them or roll back.",
        command=back,
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
    if migrate.status == "failed" or contents.migrate is not None:
        return Outcome(
            "refused",
            "Not migrated: the proof before the commit failed."
            if contents.migrate or migrate.error_type == "NotProven"
            else "Not migrated: the migration was refused.",
            state="As it was before the migration: everything was rolled back before the commit.",
            wrong=migrate.error or _first_finding(contents) or "The migration was rolled back.",
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
            f"Not migrated: the {last.title.lower()} did not succeed.",
            state=untouched,
            wrong=reason,
            next_step="Remove the cause and run again; the run continues where it stopped.",
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


def _first_finding(contents: Contents) -> str:
    findings = contents.findings
    if not findings:
        return ""
    more = and_more(len(findings) - 1, "finding")
    first = findings[0].message
    return f"{first[:1].upper()}{first[1:]}{more}."


def command(what: str, contents: Contents) -> str:
    """A command line for this run, each value quoted for a shell."""
    database = f" --database {shlex.quote(contents.database)}" if what.endswith(" run") else ""
    return f"{what}{database} --run-dir {shlex.quote(contents.folder)}"


def lock_sentence(contents: Contents) -> str:
    """How long the write lock was held, and when the migration was committed."""
    if contents.migrate is None or not contents.migrate.committed:
        return "never kept" if contents.migrate else "never taken"
    return duration(contents.migrate.locked_seconds)


def decided_at(contents: Contents) -> str:
    """When it was decided: the commit's time, else the end of the last stage, for people."""
    if contents.migrate and contents.migrate.committed and contents.migrate.ledger:
        return when(contents.migrate.ledger.applied_at)
    ends = [s.finished_at for s in contents.stages.values() if s.finished_at and s.name != "report"]
    return when(max(ends)) if ends else when(contents.created_at)
