"""Pandas frames of the records, for the notebooks: readable columns, nothing to compute.

Each is a pure view of a record. A frame without rows keeps its columns, so that an empty table of
findings looks like what it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from runbook.records import (
    Assessment,
    Backup,
    Finding,
    FootprintLine,
    Hazard,
    InvariantSeen,
    MigrateRecord,
    RehearseRecord,
    RollbackRecord,
    StepTaken,
    TableDigest,
)
from runbook.report.checklist import ChecklistLine
from runbook.report.view import read_view
from runbook.run import Run

WITNESSES = ("gate", "sqlite", "duckdb", "pandas")


class Table(pd.DataFrame):
    """A frame that is shown without its row numbers and with its texts whole; else a frame."""

    @property
    def _constructor(self) -> type[Table]:
        return Table

    def _repr_html_(self) -> str:
        """HTML for a notebook; every value is escaped."""
        with pd.option_context("display.max_colwidth", None):
            return self.to_html(index=False, border=0, na_rep="", max_rows=200, notebook=True)

    def __repr__(self) -> str:
        """Text for a terminal."""
        return str(self.to_string(index=False, na_rep="", max_rows=200, max_colwidth=60))


def run(run: Run) -> Table:
    """Which database this run is about, and who runs it."""
    about = run.info
    return _pairs(
        {
            "database": _from_here(about.identity.place),
            "kind": about.identity.kind,
            "bytes": about.identity.bytes,
            "run folder": _from_here(str(run.folder)),
            "ticket": about.ticket or "none",
        }
    )


def hazards(found: Iterable[Hazard]) -> Table:
    """One row for each hazard, the blocking ones first."""
    return _table(
        ("level", "hazard", "where", "count", "samples", "what it means", "what to do"),
        (
            (
                h.level,
                h.title,
                _from_here(h.subject),
                h.count,
                ", ".join(h.samples),
                h.meaning,
                h.remedy,
            )
            for h in found
        ),
    )


def footprint(lines: Iterable[FootprintLine]) -> Table:
    """What may change: rows predicted, and rows that each witness saw."""
    rows = list(lines)
    witnesses = [w for w in WITNESSES if any(w in line.seen for line in rows)]
    frame = _table(
        ("table", "change", "column", "rule", "rows predicted", *witnesses, "allowed"),
        (
            (
                line.table,
                line.change,
                line.column,
                line.rule,
                line.predicted,
                *(line.seen.get(w) for w in witnesses),
                line.allowed,
            )
            for line in rows
        ),
    )
    counts = ["rows predicted", *witnesses]
    return Table(frame.astype(dict.fromkeys(counts, "Int64")))


def advice(found: Mapping[str, int | float | str]) -> Table:
    """What only the data can tell."""
    return _pairs({name.replace("_", " "): value for name, value in found.items()})


def steps(taken: Iterable[StepTaken]) -> Table:
    """The steps in order, with rows written and seconds."""
    return _table(
        ("step", "rows written", "seconds"), ((s.title, s.rows, f"{s.seconds:.3f}") for s in taken)
    )


def rehearsal(record: RehearseRecord) -> Table:
    """How long the real migration will take, and what the rehearsal showed."""
    return _pairs(
        {
            "write lock will be held (s)": f"{record.locked_seconds:.3f}",
            "database grows by (bytes)": record.bytes_after - record.bytes_before,
            "taken back, equal to before": record.rolled_back_equal,
        }
    )


def backup(taken: Backup) -> Table:
    """The backup, and that it was restored once."""
    return _pairs(
        {
            "file": taken.file,
            "bytes": taken.bytes,
            "SHA-256": taken.sha256,
            "restored and compared": taken.restored_equal,
            "tables": taken.tables_compared,
        }
    )


def digests(found: Iterable[TableDigest]) -> Table:
    """The digests of every table; the column `outside` must recur after the migration."""
    return _table(
        ("table", "rows", "all columns", "outside the footprint"),
        ((d.table, d.rows, d.all_columns, d.outside) for d in found),
    )


def migration(record: MigrateRecord) -> Table:
    """Whether it was committed, when, and how long the write lock was held."""
    return _pairs(
        {
            "committed": record.committed,
            "run's timestamp (UTC)": record.ledger.applied_at if record.ledger else "none",
            "proof": record.proof,
            "seconds of waiting for the lock": f"{record.waited_seconds:.3f}",
            "seconds of proof": f"{record.gate_seconds:.3f}",
            "seconds of write lock": f"{record.locked_seconds:.3f}",
        }
    )


def assessment(found: Assessment) -> Table:
    """What a rollback does to each table, and what a full restore of the backup would lose."""
    return _table(
        ("table", "restored", "kept: edited", "kept: inserted", "kept: deleted", "lost by restore"),
        (
            (t.table, t.restored, t.edited, t.inserted, t.deleted, t.written)
            for t in (*found.resources, *found.others)
        ),
    )


def discarded(found: Assessment) -> Table:
    """The two tables that go: how many rows there are, and how many people made since."""
    return _table(
        ("table", "rows", "not made by the migration"),
        (
            ("organizations", found.organizations, found.organizations_since),
            ("organization_memberships", found.memberships, found.memberships_since),
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
            "exported first": ", ".join(record.exported),
            "proof": record.proof,
        }
    )


def invariants(found: Iterable[InvariantSeen]) -> Table:
    """Violating rows by witness; all zero is what is wanted."""
    rows = list(found)
    witnesses = [w for w in WITNESSES if any(w in i.violations for i in rows)]
    return _table(
        ("invariant", *witnesses, "holds"),
        ((i.title, *(i.violations.get(w) for w in witnesses), i.holds) for i in rows),
    )


def findings(found: Iterable[Finding]) -> Table:
    """One row for each finding."""
    return _table(
        ("witness", "table", "column", "change", "rows", "finding"),
        ((f.witness, f.table, f.column, f.change, f.rows, f.message) for f in found),
    )


def differences(found: Iterable[Finding]) -> Table:
    """The offending rows that were kept, before and after side by side, to be filtered."""
    return _table(
        ("witness", "table", "change", "row", "column", "before", "after"),
        (
            (f.witness, f.table, f.change, s.key, s.column or f.column, s.before, s.after)
            for f in found
            for s in f.samples
        ),
    )


def checklist(run: Run) -> Table:
    """The eight lines of the specification, with the evidence for each."""
    lines: Sequence[ChecklistLine] = read_view(run.folder).checklist
    return _table(
        ("line", "action", "state", "evidence"),
        ((line.number, line.action, line.state, " ".join(line.evidence)) for line in lines),
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    return Table([list(row) for row in rows], columns=list(columns))


def _from_here(place: str) -> str:
    """A path as seen from the notebook's folder, where it is one."""
    return os.path.relpath(place) if Path(place).exists() else place


def _pairs(values: Mapping[str, Any]) -> Table:
    return Table({"what": list(values), "value": list(values.values())})
