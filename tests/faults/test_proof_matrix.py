"""Mutants of the migration: none that is a fault gets through, and docs/proof.md says so."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from runbook.errors import NotProven
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.targets.sqlite import SqliteTarget
from tests.support.databases import execute
from tests.support.mutants.ask import GUARDS, ask
from tests.support.mutants.bases import BASES, NOTHING, Base
from tests.support.mutants.matrix import batches, run, tally, total
from tests.support.mutants.original import AFTER_COMMIT, KINDS, Mutant
from tests.support.mutants.prepared import hurried, prepare
from tests.support.proof import PAGE, complaints

FULL = os.environ.get("RUNBOOK_FAULTS") == "full"
MUTANTS = 5300 if FULL else 60
NAMES = [base.name for base in BASES]


@pytest.mark.parametrize("name", NAMES)
def test_no_fault_gets_through(name: str) -> None:
    wanted = [b for b in batches(MUTANTS, seed=2) if b.base == name]
    outcomes = run(wanted)
    assert list(complaints(outcomes)) == []
    lines = tally(outcomes)
    for kind in KINDS:
        assert total(lines[kind].values()).mutants == next(
            b.number for b in wanted if b.kind == kind
        )
    assert total(line for groups in lines.values() for line in groups.values()).faults > 0


def test_the_page_is_of_this_matrix() -> None:
    text = PAGE.read_text(encoding="utf-8")
    numbers = re.search(
        r"^([\d,]+) mutants of (\d+) databases, seed \d+: ([\d,]+) faults, of which ([\d,]+) were"
        r" caught and ([\d,]+) got through; ([\d,]+) that change nothing and ([\d,]+) that the plan",
        text,
        re.MULTILINE,
    )
    assert numbers is not None
    mutants, bases, faults, caught, through, same, allowed = (
        int(n.replace(",", "")) for n in numbers.groups()
    )
    assert mutants >= 5000
    assert bases == len(BASES)
    assert (faults, through) == (caught, 0)
    assert faults + same + allowed == mutants
    assert all(f"### {kind[0].upper()}{kind[1:]}\n" in text for kind in KINDS)
    assert f"| {' | '.join(GUARDS)} |" in text
    rows = re.findall(r"^\| .* \| \*\*([\d,]+) of ([\d,]+)\*\* \|", text, re.MULTILINE)
    assert len(rows) > len(KINDS)
    assert all(one == other for one, other in rows)


# -- a proof over nothing --------------------------------------------------------------------------


def refusal(base: Base, folder: Path) -> str:
    """What a migration of the base says, which must refuse."""
    path = folder / "app.db"
    base.make(path)
    target = SqliteTarget(path)
    target.backup(folder / "backup.db")
    with pytest.raises(NotProven) as caught:
        migrate(Job(target, base.plan, "run", folder / "backup.db"))
    return str(caught.value)


def test_a_plan_over_empty_tables_is_not_proven(tmp_path: Path) -> None:
    assert "nothing is proven" in refusal(NOTHING, tmp_path)


MOMENTS = (-1, 0, 5, 7, AFTER_COMMIT)
EMPTIED = [
    (base, moment)
    for number, base in enumerate(BASES)
    for moment in (MOMENTS if FULL else (MOMENTS[number % len(MOMENTS)],))
]


@pytest.mark.parametrize(("base", "moment"), EMPTIED, ids=lambda each: getattr(each, "name", each))
def test_emptied_tables_are_found(base: Base, moment: int, tmp_path: Path) -> None:
    """Every table of the plan and of the migration emptied, at several moments."""
    with hurried():
        prepared = prepare(base, tmp_path, 1)
        tables = prepared.original.before if moment < 2 else prepared.original.after
        everything = tuple(
            f'DELETE FROM "{t.name.replace(chr(34), chr(34) * 2)}"'
            for t in tables
            if t.where in ("resources", "users", "the new tables")
        )
        outcome = ask(prepared, Mutant("data before the gate", "emptied", moment, everything))
    assert outcome.caught
    assert outcome.crash == ""


def test_an_empty_table_beside_others_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    NOTHING.make(path)
    execute(
        path, "INSERT INTO users VALUES ('u1', NULL)", "INSERT INTO projects VALUES (1, 'u1', NULL)"
    )
    target = SqliteTarget(path)
    target.backup(tmp_path / "backup.db")
    assert migrate(Job(target, NOTHING.plan, "run", tmp_path / "backup.db")).committed
