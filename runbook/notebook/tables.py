"""Pandas frames of the records, for the notebooks: readable columns, nothing to compute.

Each is a pure view of a record. A frame without rows keeps its columns and says that nothing was
found.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from runbook.notebook.parameters import as_truth
from runbook.notebook.table import Table, shown, table
from runbook.report.change_lines import change_lines, witness_name
from runbook.report.checklist import ChecklistLine
from runbook.report.contents import read_contents
from runbook.report.masking import mask_emails, mask_finding, mask_hazard
from runbook.report.outcome import judge
from runbook.report.proofs import proofs
from runbook.report.view_model import read_view
from runbook.run.findings import (
    WITNESSES,
    Finding,
    Hazard,
    InvariantResult,
    Sample,
    StepResult,
    TableDigest,
    render_sample,
    sample_line,
)
from runbook.run.folder import Run
from runbook.run.records import (
    Assessment,
    Backup,
    MigrateRecord,
    RehearseRecord,
    ReportRecord,
    RollbackRecord,
    VerifyRecord,
)
from runbook.script.footprint import FootprintLine
from runbook.wording import duration, size

T = TypeVar("T")

MOST_SAMPLES = 3
"""Samples of one hazard; the record and the report have up to ten."""


def run(run: Run, chosen: str = "") -> Table:
    """Which run this is, about which database and plan, who works in it, and how far it is.

    `chosen` says why it is this one, where it was not named.
    """
    about, session = run.info, run.session
    begun = f" (begun by {about.operator})" if session.operator != about.operator else ""
    contents = read_contents(run.folder)
    return _pairs(
        {
            "run folder": _from_here(str(run.folder)),
            **({"chosen as": chosen} if chosen else {}),
            "database": _from_here(about.identity.place),
            "kind": about.identity.kind,
            "size": _bytes(about.identity.bytes),
            "plan": _from_here(about.plan_file)
            if about.plan_file
            else "the specification's schema",
            "operator": f"{session.operator}{begun}",
            "ticket": session.ticket or "none",
            "state": f"{judge(contents, proofs(contents)).headline} {_sentence(run.allowed_now())}",
        }
    )


def hazards(run: Run, items: Iterable[Hazard], *, show_values: bool = False) -> Table:
    """One row for each hazard, the blocking ones first; masked unless `show_values`."""
    if not as_truth("show_values", show_values):
        items = [mask_hazard(hazard, run.info.plan) for hazard in items]
    return table(
        ("level", "hazard", "where", "count", "samples", "what it means"),
        (
            (h.level, h.title, _from_here(h.subject), h.count, _first(h.samples), h.meaning)
            for h in items
        ),
        nothing="No hazards were found.",
    )


def remedies(items: Iterable[Hazard], *, show_values: bool = False) -> Table:
    """What to do about each hazard about which something is to be done."""
    return table(
        ("hazard", "where", "what to do"),
        (
            (f"{h.level}: {h.title}", _from_here(h.subject), h.remedy)
            for h in _maskable(items, show_values)
            if h.remedy and not h.remedy.startswith("Nothing")
        ),
        nothing="Nothing has to be done.",
    )


def footprint(lines: Iterable[FootprintLine]) -> Table:
    """What may change, grouped by object as a plan is read: one line for each change.

    Before anybody has counted, each has its reason; then, who counted and whether the prediction
    came true. Numbers that differ stand in the line itself.
    """
    rows = list(lines)
    nothing = "Not known: a hazard blocks the run, or it was stopped before this."
    changes = change_lines(rows)
    if not any(change.counts for change in changes):
        frame = table(("change", "why"), ((c.text, c.rule) for c in changes), nothing=nothing)
    else:
        frame = table(
            ("change", "counted by", "as predicted"),
            ((c.text, ", ".join(map(witness_name, c.counts)), c.as_predicted) for c in changes),
            nothing=nothing,
        )
    frame.attrs["fixed"] = ("change",)
    return frame


def advice(values: Mapping[str, int | float | str]) -> Table:
    """What only the data can show."""
    return _pairs(
        {
            name.replace("_", " ").replace(".", " "): (
                _bytes(value) if name.endswith("_bytes") and isinstance(value, int) else value
            )
            for name, value in values.items()
        }
    )


def steps(taken: Iterable[StepResult]) -> Table:
    """The steps in order, with rows written and seconds."""
    return table(
        ("step", "rows written", "seconds"),
        ((s.title, s.rows, s.seconds) for s in taken),
        nothing="No step was run.",
    )


def rehearsal(record: RehearseRecord) -> Table:
    """How long the real migration will take, and what the rehearsal showed."""
    return _pairs(
        {
            "write lock will be held": duration(record.locked_seconds),
            "database grows by": _bytes(record.bytes_after - record.bytes_before),
            "taken back, identical to before": record.rolled_back_equal,
        }
    )


def backup(taken: Backup) -> Table:
    """The backup, and that it was restored once."""
    return _pairs(
        {
            "file": taken.file,
            "size": _bytes(taken.bytes),
            "SHA-256": taken.sha256,
            "restored once, identical to the byte": taken.restored_equal,
            "tables in it": taken.tables_compared,
        }
    )


def digests(items: Iterable[TableDigest]) -> Table:
    """The digests of every table; the column `outside` must recur after the migration."""
    return table(
        ("table", "rows", "all columns", "outside the footprint"),
        ((d.table, d.rows, d.all_columns, d.outside) for d in items),
    )


def migration(record: MigrateRecord) -> Table:
    """Whether it was committed, when, and how long the write lock was held."""
    return _pairs(
        {
            "committed": record.committed,
            "run's timestamp (UTC)": record.ledger.applied_at if record.ledger else "none",
            "proven": record.proof,
            "waited for the write lock": duration(record.waited_seconds),
            "proof took": duration(record.gate_seconds),
            "write lock held": duration(record.locked_seconds),
            **({"note": record.note} if record.note else {}),
        }
    )


def assessment(assessed: Assessment) -> Table:
    """What a rollback does to each table, and what a full restore of the backup would lose."""
    return table(
        ("table", "restored", "kept: edited", "kept: inserted", "kept: deleted", "lost by restore"),
        (
            (t.table, t.restored, t.edited, t.inserted, t.deleted, t.written)
            for t in (*assessed.resources, *assessed.others)
        ),
    )


def discarded(assessed: Assessment) -> Table:
    """What goes: the rows of two tables and one column, and how many people made since."""
    return table(
        ("table", "rows", "not made by the migration"),
        (
            ("organizations", assessed.organizations, assessed.organizations_since),
            ("organization_memberships", assessed.memberships, assessed.memberships_since),
            (
                "organization_id of the resources",
                sum(t.rows for t in assessed.resources),
                assessed.assignments,
            ),
        ),
    )


def rollback(record: RollbackRecord) -> Table:
    """What the rollback did."""
    return _pairs(
        {
            "taken back": record.done,
            "rows restored": record.restored,
            "rows kept as users wrote them": record.kept,
            "rows discarded": record.discarded,
            "exported first": "\n".join(record.exported),
            "proven": record.proof,
            **({"note": record.note} if record.note else {}),
        }
    )


def invariants(items: Iterable[InvariantResult]) -> Table:
    """Violating rows by witness; all zero is what is wanted."""
    rows = list(items)
    witnesses = [w for w in WITNESSES if any(w in i.violations for i in rows)]
    return table(
        ("invariant", *witnesses, "holds"),
        ((i.title, *(i.violations.get(w) for w in witnesses), i.holds) for i in rows),
    )


def findings(items: Iterable[Finding], *, show_values: bool = False) -> Table:
    """One row for each finding; e-mail addresses are masked unless `show_values`."""
    return table(
        ("witness", "table", "column", "change", "rows", "finding"),
        (
            (f.witness, f.table, f.column, f.change, f.rows, f.message)
            for f in _maskable(items, show_values)
        ),
    )


def differences(run: Run, items: Iterable[Finding], *, show_values: bool = False) -> Table:
    """The offending rows that were kept, before and after side by side, to be filtered.

    They are masked as in the report unless `show_values`, because notebooks are archived, too.
    """
    if not as_truth("show_values", show_values):
        items = [mask_finding(finding, run.info.plan) for finding in items]
    return table(
        ("witness", "table", "change", "row", "column", "before", "after"),
        (
            (f.witness, f.table, f.change, s.key, s.column or f.column, s.before, s.after)
            for f in items
            for s in map(render_sample, f.samples)
        ),
    )


def checklist(run: Run) -> Table:
    """The eight lines of the specification, with the evidence for each."""
    lines: Sequence[ChecklistLine] = read_view(run.folder).checklist
    return table(
        ("line", "action", "state", "details"),
        ((line.number, line.action, line.state, "\n".join(line.details)) for line in lines),
    )


def verdict(record: VerifyRecord) -> Table:
    """The verdict, and what it stands on."""
    held = sum(i.holds for i in record.invariants)
    return _pairs(
        {
            "verdict": record.verdict,
            "invariants that hold": f"{held} of {len(record.invariants)}",
            "tables compared": len(record.digests),
            "findings": len(record.findings),
        }
    )


def report(run: Run, record: ReportRecord) -> Table:
    """Where the report is, and its verdict."""
    return _pairs(
        {"verdict": record.verdict, "report": _from_here(str(run.folder / record.report))}
    )


def _maskable(items: Iterable[T], show_values: bool) -> Iterable[T]:
    """The records, with e-mail addresses masked unless `show_values`."""
    return items if as_truth("show_values", show_values) else map(mask_emails, items)


def _first(samples: Sequence[Sample]) -> str:
    """The first samples, and whether there are more; the column `count` says how many."""
    lines = ", ".join(map(sample_line, samples[:MOST_SAMPLES]))
    return lines + ", \u2026" * (len(samples) > MOST_SAMPLES)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _from_here(place: str) -> str:
    """A path as seen from the notebook's folder, where it is one."""
    return os.path.relpath(place) if Path(place).exists() else place


def _bytes(count: int) -> str:
    return size(count) if abs(count) < 1000 else f"{size(count)} ({count:,} bytes)"


def _pairs(values: Mapping[str, Any]) -> Table:
    return table(("what", "value"), ((name, shown(value)) for name, value in values.items()))
