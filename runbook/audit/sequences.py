"""The counters of AUTOINCREMENT where the plan lets triggers add rows.

Only the counters of tables that the plan lets be written may move, and only to the largest rowid
that the table holds or held; every other counter is as it was. `sqlite_sequence` is an ordinary
table that anybody may write to, so nothing of this is certain by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from runbook.audit.findings import SEQUENCES
from runbook.plan.plan import Plan
from runbook.run.findings import Finding, Witness
from runbook.sqlite.quoting import fold_name

Rows = Iterable[tuple[object, object]]
"""Name and number of each counter, as they are stored."""


def moving(plan: Plan) -> frozenset[str]:
    """The tables, casefolded, whose counters may move."""
    if plan.triggers.policy != "fire":
        return frozenset()
    return frozenset(fold_name(table) for table in plan.triggers.may_write)


def sequence_findings(
    plan: Plan,
    before: Rows,
    after: Rows,
    largest: Callable[[str], int | None],
    witness: Witness,
) -> Iterator[Finding]:
    """Counters that are not what they must be.

    Args:
        plan: which tables may be written.
        before: every counter before the migration.
        after: every counter now.
        largest: the largest rowid that a table holds now; None where it holds no row.
        witness: who compares.
    """
    was, now = Counter(map(_typed, before)), Counter(map(_typed, after))
    may = moving(plan)
    for name in sorted({name for name, *_ in was | now}):
        old, new = (sorted(_rows(side, name)) for side in (was, now))
        if old == new:
            continue
        if fold_name(name) in may:
            right = max((int(n) for kind, n in old if kind == "int"), default=0)
            right = max(right, largest(name) or 0)
            if new == [("int", str(right))]:
                continue
            said = f"must be {right}, the largest rowid that it held"
        else:
            said = f"was {_shown(old)}"
        message = f'the counter of "{name}" in {SEQUENCES} is {_shown(new)} and {said}'
        drift = fold_name(name) not in may
        yield Finding(witness, SEQUENCES, "seq", "changed", 1, message, drift=drift)


def _typed(row: tuple[object, object]) -> tuple[str, str, str]:
    return str(row[0]), type(row[1]).__name__, str(row[1])


def _rows(side: Counter[tuple[str, str, str]], name: str) -> Iterator[tuple[str, str]]:
    return ((kind, number) for each, kind, number in side.elements() if each == name)


def _shown(rows: list[tuple[str, str]]) -> str:
    return ", ".join(number for _, number in rows) or "missing"
