"""What came to the database since its verification: asked again right before it is opened.

The verification may be an hour old when the application opens, and much can write meanwhile: old
code behind a maintenance page that was lost, or the script that deploys. The invariants that hold
for as long as the application lives are cheap to ask; so are the numbers of rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runbook.audit.samples import sample_rows
from runbook.plan.shape import Shape, read_backup_shape
from runbook.run.findings import render_sample
from runbook.run.folder import Run
from runbook.run.records import VerifyRecord
from runbook.script.migration import guard_query
from runbook.sqlite.quoting import quote_name
from runbook.targets.open_target import target_of
from runbook.targets.sqlite import read_ledger
from runbook.window.watch import lasting_invariants
from runbook.wording import counted, listed, more

_NONE_MOVED = "No row came or went since the verification"

_NAMED = 5
"""Offending rows that are named; all of them are counted."""


@dataclass(frozen=True)
class Recheck:
    """The `lines` say what was asked; `problem` is what must be decided about, "" for nothing."""

    lines: tuple[str, ...]
    problem: str = ""


def ask_again(run: Run) -> Recheck:
    """Asks the lasting invariants and counts the rows of every table that was verified.

    Raises:
        NotAllowedNow: the database is not verified.
        TargetError: it cannot be read.
    """
    plan = run.info.plan
    counts = run.result("verify", VerifyRecord).rows_after
    shape = read_backup_shape(run.backup, plan)
    with target_of(run).reading() as connection:
        row = read_ledger(connection, plan.migration.name)
        if row is None or row.run != run.info.run:
            return Recheck((), "the ledger does not hold this run's migration any more")
        try:
            asked, violations = _violations(connection, run, shape)
            moved = tuple(_moved(connection, counts))
        except sqlite3.Error as error:
            return Recheck((), f"the database does not answer as it did when verified ({error})")
    rows = f"Since the verification: {listed(moved)}" if moved else _NONE_MOVED
    lines = (f"{counted(asked, 'invariant')} asked again before the application opens", rows)
    return Recheck(lines, "; ".join(violations))


def _violations(connection: sqlite3.Connection, run: Run, shape: Shape) -> tuple[int, list[str]]:
    """How many invariants were asked, and each that is violated, with table, rows and keys."""
    asked, violated = 0, []
    for file in lasting_invariants():
        asked += 1
        for table, query in guard_query(file, run.info.plan, shape):
            (rows,) = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
            if rows:
                keys = [render_sample(s).key for s in sample_rows(connection, query, _NAMED)]
                named = ", ".join(keys) + (f" {more(rows - len(keys))}" if rows > len(keys) else "")
                place = f' in "{table}"' if table else ""
                what = file.name.replace("_", " ")
                violated.append(f"{counted(rows, 'row')}{place}: {what} ({named})")
    return asked, violated


def _moved(connection: sqlite3.Connection, counts: Mapping[str, int]) -> Iterator[str]:
    """Each table that has more or fewer rows than the verification counted."""
    for table, verified in counts.items():
        (rows,) = connection.execute(f"SELECT count(*) FROM {quote_name(table)}").fetchone()
        if rows != verified:
            yield f'{rows - verified:+,} in "{table}"'
