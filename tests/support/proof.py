"""Writes the mutation matrix into docs/proof.md: `python -m tests.support.proof`.

The number of mutants, a seed and a number of processes may follow, as in
`python -m tests.support.proof 5200 1 2`.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator

from tests.support.mutants.ask import GUARDS, Outcome
from tests.support.mutants.bases import BASES
from tests.support.mutants.matrix import Batch, Tally, batches, cells, run, tally, total
from tests.support.mutants.original import KINDS
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "proof.md"
MUTANTS, SEED = 5300, 1
_BEGIN, _END = "<!-- matrix: written by make proof -->", "<!-- end of the matrix -->"


def main(arguments: list[str]) -> int:
    """Runs the matrix and writes it down; 1 if a fault got through."""
    number, seed, workers = [*map(int, arguments), *(MUTANTS, SEED, 2)[len(arguments) :]]
    began = time.monotonic()

    def progress(batch: Batch, done: list[Outcome]) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {batch.base}, {batch.kind}: {len(done)}")
        for line in complaints(done):
            print("   ", line)
        sys.stdout.flush()

    outcomes = run(batches(number, seed), workers, progress)
    text = PAGE.read_text(encoding="utf-8")
    matrix = "\n".join([_BEGIN, "", *rendered(outcomes, seed), "", _END])
    pattern = re.compile(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: matrix, text), encoding="utf-8")
    wrong = list(complaints(outcomes))
    print(f"{len(outcomes):,} mutants, {len(wrong)} complaints; written to {PAGE}")
    return 1 if wrong else 0


def complaints(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """What must not be: a fault that gets through, an alarm about nothing, an error of no meaning."""
    for outcome in outcomes:
        refused = outcome.caught and "TargetError" in outcome.crash  # in the words of another error
        what = [
            "a fault got through" if outcome.escaped else "",
            "an alarm about nothing" if outcome.false_alarm else "",
            f"an error of no meaning: {outcome.crash}" if outcome.crash and not refused else "",
        ]
        if any(what):
            mutant = outcome.mutant
            yield (
                f"{', '.join(filter(None, what))} ({outcome.base}, {mutant.kind}, {mutant.name},"
                f" at {mutant.moment}, {mutant.sql}, {[g for g, saw in outcome.saw.items() if saw]})"
            )


def rendered(outcomes: list[Outcome], seed: int) -> Iterator[str]:
    """The matrix as Markdown."""
    lines = tally(outcomes)
    whole = total(line for groups in lines.values() for line in groups.values())
    yield (
        f"{whole.mutants:,} mutants of {len(BASES)} databases, seed {seed}: {whole.faults:,} faults, "
        f"of which {whole.caught:,} were caught and {whole.faults - whole.caught:,} got through; "
        f"{whole.unchanged:,} that change nothing and {whole.allowed:,} that the plan allows."
    )
    yield ""
    yield from _table(
        "kind of mutant", ((kind, total(lines[kind].values())) for kind in KINDS), whole
    )
    for kind in KINDS:
        yield ""
        yield f"### {kind[0].upper()}{kind[1:]}"
        yield ""
        yield from _table("what was changed", lines[kind].items(), total(lines[kind].values()))


def _table(name: str, lines: Iterable[tuple[str, Tally]], whole: Tally) -> Iterator[str]:
    heads = [name, "mutants", "no fault", "caught", *GUARDS]
    yield f"| {' | '.join(heads)} |"
    yield f"| --- |{' ---: |' * (len(heads) - 1)}"
    for label, line in lines:
        yield f"| {label} | {' | '.join(cells(line))} |"
    yield f"| **all** | {' | '.join(cells(whole))} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
