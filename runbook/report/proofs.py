"""The three proofs, judged anew from the counts themselves: invariants, footprint, witnesses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runbook.report.contents import Contents
from runbook.report.problems import problems
from runbook.run.findings import WITNESS_NAMES
from runbook.wording import and_more, counted, listed, number


@dataclass(frozen=True)
class Proof:
    """One of the three proofs: `holds` is None where it was not made."""

    name: str
    holds: bool | None
    sentence: str


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
    outside = any(not _is_violation(f.change) for f in contents.findings)
    foreign = [line.table for line in contents.footprint if not line.allowed]
    if outside or foreign:
        known = problems(contents)
        where = dict.fromkeys([*(p.table for p in known if p.table), *foreign])
        count = counted(len(known) or len(foreign), "problem")
        place = f", in {listed([repr_name(t) for t in where], 4)}" if where else ""
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
    torn = [(what, by) for what, by in several if _contradict(by)]
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


def _contradict(counts: Mapping[str, int]) -> bool:
    """Whether witnesses of the same moment differ; the gate's was before the commit."""
    return len({rows for who, rows in counts.items() if who != "gate"}) > 1


def repr_name(name: str) -> str:
    """A table's name in typographic quotes, so that it is told apart from the sentence."""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{name}\N{RIGHT DOUBLE QUOTATION MARK}"


def _line_name(table: str, column: str) -> str:
    return f"{repr_name(table)}, column {repr_name(column)}" if column else repr_name(table)


def _is_violation(change: str) -> bool:
    return change.startswith("invariant ") or change == "broken reference"
