"""Where the witnesses' counts differ: from each other, or from those of the gate at the commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runbook.run.findings import Finding, InvariantResult
from runbook.script.footprint import FootprintLine
from runbook.wording import counted


def disagreements(
    footprint: tuple[FootprintLine, ...], invariants: tuple[InvariantResult, ...]
) -> Iterator[Finding]:
    """Where the witnesses differ, whoever is right: a proof that contradicts itself is none."""
    for line in footprint:
        if len(set(line.counts.values())) == 1 or not line.counts:
            continue
        where = f'"{line.table}"' + (f', column "{line.column}"' if line.column else "")
        now = {who: rows for who, rows in line.counts.items() if who != "gate"}
        if len(set(now.values())) == 1:  # the gate counted at another moment
            yield _since_commit(line, where, line.counts["gate"], min(now.values()))
        else:
            yield _disagreement(line.table, line.column, f"{line.change} in {where}", line.counts)
    for invariant in invariants:
        if len(set(invariant.violations.values())) > 1:
            what = f'violations of "{invariant.title}"'
            yield _disagreement("", "", what, invariant.violations)


def _since_commit(line: FootprintLine, where: str, then: int, now: int) -> Finding:
    """All witnesses agree with each other, and not with what the gate counted at the commit."""
    return Finding(
        "sqlite",
        line.table,
        line.column,
        "written since the commit",
        abs(then - now),
        f"{counted(then, 'row was', 'rows were')} {line.change} in {where} when the migration was "
        f"committed, and now it is {now:,}: it was written to since",
    )


def _disagreement(table: str, column: str, what: str, counts: Mapping[str, int]) -> Finding:
    each = ", ".join(f"{witness} saw {rows:,}" for witness, rows in counts.items())
    rows = max(counts.values()) - min(counts.values())
    return Finding(
        "sqlite",
        table,
        column,
        "witnesses disagree",
        rows,
        f"the witnesses disagree about rows {what}: {each}; trust none of them before you know why",
    )
