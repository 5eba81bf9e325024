"""One mutant made in a copy of a database, and every guard asked of it, each for itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from runbook.audit.compare_at_begin import header_findings
from runbook.audit.gate import Expectation, prove
from runbook.audit.invariants import ask_sqlite
from runbook.audit.snapshot import capture, digests
from runbook.audit.verify import Before, verify
from runbook.audit.witness_pandas import recompute
from runbook.errors import NotProven, Refused, RunbookError
from runbook.migration.migrate import migrate
from runbook.progress import Progress
from runbook.run.findings import Finding, StepResult
from runbook.script.footprint import Baseline
from runbook.script.migration import GUARD, Script
from runbook.sqlite.connect import open_readonly, open_with_backup
from runbook.sqlite.header import read_file_header, read_header
from runbook.targets.protocol import Applied, Prepare, R, Work
from tests.support.mutants.content import Content, only_adds, quoted, read_content
from tests.support.mutants.original import AT_BEGIN, Mutant
from tests.support.mutants.prepared import Prepared, StandingTarget

Guard = Literal[
    "constraints", "gate", "SQLite", "DuckDB", "pandas", "invariants", "digests", "agreement"
]
GUARDS: tuple[Guard, ...] = (
    "constraints",
    "gate",
    "SQLite",
    "DuckDB",
    "pandas",
    "invariants",
    "digests",
    "agreement",
)
AFTERWARDS = GUARDS[2:]
"""Those that are asked of a committed database."""

Class = Literal["fault", "no change", "allowed"]
Saw = dict[Guard, bool]


class Stillborn(Exception):
    """SQLite does not take the mutant's statement, so there is no mutant."""


@dataclass(frozen=True)
class Outcome:
    """What a mutant came to.

    `is_a` says what it is by comparison of the databases alone; `saw` holds every guard that was
    asked; `caught` is whether the proof as a whole refused it; `crash` is what escaped a guard as
    an error of no meaning.
    """

    mutant: Mutant
    base: str
    is_a: Class
    saw: Saw
    caught: bool
    crash: str = ""

    @property
    def escaped(self) -> bool:
        """Whether a fault went unnoticed."""
        return self.is_a == "fault" and not self.caught

    @property
    def false_alarm(self) -> bool:
        """Whether something was found although nothing was changed.

        What a guard notes for itself is no part of the result: spoiled, it may refuse what is right.
        """
        notes = self.mutant.statement is not None and GUARD in "".join(self.mutant.sql)
        return self.is_a != "fault" and self.caught and not notes


class _MutatedTarget(StandingTarget):
    """Runs the work with the mutant in it, notes what was found, and commits all the same."""

    def __init__(self, path: Path, mutant: Mutant) -> None:
        super().__init__(path)
        self.mutant = mutant
        self.saw: Saw = {"constraints": False, "gate": False, "invariants": False}

    def apply(
        self,
        work: Work[R] | Prepare[R],
        backup: Path,
        progress: Progress = lambda *_: None,
        wait: float = 30.0,
    ) -> Applied[R]:
        assert isinstance(work, Work)
        honest = work

        def begin(connection: sqlite3.Connection) -> None:
            try:
                if honest.begin is not None:
                    honest.begin(connection)
            except NotProven:
                self.saw["gate"] = True

        def prove_(connection: sqlite3.Connection, steps: tuple[StepResult, ...]) -> Any:
            try:
                return honest.prove(connection, steps)
            except NotProven as error:
                self.saw["gate"] = True
                return error.record

        script = self._mutated(work.script)
        return super().apply(
            replace(work, begin=begin, prove=prove_, script=script), backup, progress, wait
        )

    def _mutated(self, script: Script) -> Script:
        if self.mutant.statement is None:
            return script
        steps = list(script.steps)
        step, number = self.mutant.statement
        statements = list(steps[step].statements)
        statements[number : number + 1] = self.mutant.sql
        steps[step] = replace(steps[step], statements=tuple(statements))
        return replace(script, steps=tuple(steps))

    def _run(
        self, connection: sqlite3.Connection, work: Work[R], progress: Progress
    ) -> tuple[StepResult, ...]:
        """As the target does it, but a guard that trips is noted, and the way goes on."""
        for number, step in enumerate(work.script.steps):
            for statement in step.statements:
                try:
                    connection.execute(statement)
                except sqlite3.Error as error:
                    if statement in self.mutant.sql and isinstance(error, sqlite3.OperationalError):
                        raise Stillborn(str(error)) from error
                    if isinstance(work.explain(connection, step, error), NotProven):
                        self.saw["invariants"] = True
                        continue
                    self.saw["constraints"] = True
                    raise
            if self.mutant.statement is None and number == self.mutant.moment:
                _execute(connection, self.mutant)
        return ()


def ask(prepared: Prepared, mutant: Mutant, *, all_guards: bool = True) -> Outcome:
    """Makes the mutant and asks everybody, or before the commit only those who stand there.

    Raises:
        Stillborn: there is no such mutant of this database.
    """
    if mutant.is_before:
        return _ask_before(prepared, mutant, all_guards)
    return _ask_after(prepared, mutant)


def _ask_before(prepared: Prepared, mutant: Mutant, all_guards: bool) -> Outcome:
    work = prepared.copy("before")
    changed_at_begin = False
    if mutant.moment == AT_BEGIN:
        write(work, mutant)
        changed_at_begin = _read(work) != prepared.before
    target = _MutatedTarget(work, mutant)
    crash, saw = "", target.saw
    try:
        record = migrate(prepared.job(target), baseline=prepared.baseline)
    except RunbookError as error:  # before the script began, or a statement was refused
        saw["gate"] = saw["gate"] or not saw["constraints"]
        if not isinstance(error, NotProven | Refused):
            return Outcome(mutant, prepared.base.name, "fault", saw, True, repr(error))
        return Outcome(mutant, prepared.base.name, "fault", saw, True)
    except (sqlite3.Error, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return Outcome(mutant, prepared.base.name, "fault", saw, False, repr(error))
    caught = any(saw.values())
    content = read_content(work)
    is_a: Class = "fault" if changed_at_begin else _class(prepared, content)
    if all_guards and record is not None:
        later, _, crash = _witnesses(prepared, work)
        saw |= {guard: answer or saw.get(guard, False) for guard, answer in later.items()}
    return Outcome(mutant, prepared.base.name, is_a, saw, caught, crash)


def _ask_after(prepared: Prepared, mutant: Mutant) -> Outcome:
    work = prepared.copy("after")
    write(work, mutant)
    is_a = _class(prepared, _read(work))
    saw: Saw = {}
    crash = ""
    try:
        with closing(open_readonly(work)) as connection:
            header = read_header(connection)
        saw["gate"] = any(header_findings(read_file_header(prepared.backup), header, "gate"))
        if not saw["gate"]:
            with open_with_backup(work, prepared.backup) as connection:
                saw["gate"] = bool(prove(connection, _expectation(prepared)).findings)
    except RunbookError:
        saw["gate"] = True
    except Exception as error:
        crash = f"gate: {error!r}"
    later, caught, crashed = _witnesses(prepared, work)
    if is_a == "allowed" and caught:  # rows more or less are seen, also where triggers may add some
        is_a = "fault"
    return Outcome(mutant, prepared.base.name, is_a, saw | later, caught, crashed or crash)


def _read(work: Path) -> Content:
    try:
        return read_content(work)
    except sqlite3.DatabaseError as error:  # not even SQLite can open it
        raise Stillborn(str(error)) from error


def _class(prepared: Prepared, content: Content) -> Class:
    if content == prepared.after:
        return "no change"
    triggers = prepared.base.plan.triggers
    may = frozenset(triggers.may_write if triggers.policy == "fire" else ())
    return "allowed" if only_adds(content, prepared.after, prepared.before, may) else "fault"


def write(path: Path, mutant: Mutant) -> None:
    """Makes the mutant in a file, as another process would."""
    if mutant.name == "encoding":
        _rebuild(path, mutant.sql[0])
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        _execute(connection, mutant)


def _execute(connection: sqlite3.Connection, mutant: Mutant) -> None:
    try:
        for statement in mutant.sql:
            connection.execute(statement)
    except sqlite3.Error as error:
        raise Stillborn(str(error)) from error


def _rebuild(path: Path, encoding: str) -> None:
    """The same rows and texts in a file of another encoding."""
    other = path.with_name("work.db-rebuilt")
    with (
        closing(sqlite3.connect(path)) as old,
        closing(sqlite3.connect(other, isolation_level=None)) as new,
    ):
        new.execute(f"PRAGMA encoding = '{encoding}'")
        for name in ("journal_mode", "user_version", "application_id"):
            new.execute(f"PRAGMA {name} = {old.execute(f'PRAGMA {name}').fetchone()[0]}")
        objects = old.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        own = [row for row in objects if not row[1].startswith("sqlite_")]
        for kind, name, sql in sorted(own, key=lambda row: row[0] != "table"):
            new.execute(sql)
            if kind == "table":
                _copy_rows(old, new, name)
        if any(
            name == "sqlite_sequence" for (name,) in old.execute("SELECT name FROM sqlite_schema")
        ):
            new.execute("DELETE FROM sqlite_sequence")
            _copy_rows(old, new, "sqlite_sequence")
    other.replace(path)


def _copy_rows(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> None:
    columns = [
        quoted(name)
        for name, hidden in old.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (table,))
        if not hidden
    ]
    listed, marks = ", ".join(columns), ", ".join("?" * len(columns))
    new.executemany(
        f"INSERT INTO {quoted(table)} ({listed}) VALUES ({marks})",
        old.execute(f"SELECT {listed} FROM {quoted(table)}"),
    )


def _expectation(prepared: Prepared) -> Expectation:
    ledger = prepared.record.ledger
    assert ledger is not None
    baseline = Baseline(prepared.baseline.shape, prepared.record.footprint)
    return Expectation(prepared.base.plan, baseline, ledger)


def _witnesses(prepared: Prepared, work: Path) -> tuple[Saw, bool, str]:
    """Who saw something in a committed file, whether that fails the verification, and a crash."""
    expected = _expectation(prepared)
    before = Before(prepared.backup, prepared.capture, prepared.digests)
    try:
        record = verify(work, expected, before, prepared.folder / "after")
    except RunbookError:
        return _each(prepared, work, expected), True, ""
    except Exception as error:
        return _each(prepared, work, expected), False, f"verify: {error!r}"
    return _by_guard(record.findings), record.verdict == "fail", ""


def _by_guard(findings: tuple[Finding, ...]) -> Saw:
    saw: Saw = dict.fromkeys(AFTERWARDS, False)
    names: dict[str, Guard] = {"sqlite": "SQLite", "duckdb": "DuckDB", "pandas": "pandas"}
    for finding in findings:
        if finding.change.startswith("invariant "):
            saw["invariants"] = True
        elif finding.change == "witnesses disagree":
            saw["agreement"] = True
        elif finding.change == "digest differs":
            saw["digests"] = True
        else:
            saw[names[finding.witness]] = True
    return saw


def _each(prepared: Prepared, work: Path, expected: Expectation) -> Saw:
    """Each witness for itself, where the verification did not come to ask them.

    Whoever cannot read what is there counts as not asked, unless it says so in its own words.
    """
    plan, shape, old = prepared.base.plan, prepared.baseline.shape, prepared.capture
    folder = prepared.folder / "after"

    def invariants() -> bool:
        with open_with_backup(work, prepared.backup) as connection:
            return any(a.violations for a in ask_sqlite(connection, plan, shape).values())

    def sqlite() -> bool:
        with open_with_backup(work, prepared.backup) as connection:
            return bool(prove(connection, expected, "sqlite").findings)

    def recomputed() -> bool:
        at = expected.ledger.applied_at
        return bool(recompute(plan, shape, old, capture(work, folder), at).findings)

    def digested() -> bool:
        now = {d.table: d.outside for d in digests(capture(work, folder), plan, shape)}
        return any(now.get(d.table) != d.outside for d in prepared.digests)

    questions: dict[Guard, Callable[[], bool]] = {
        "SQLite": sqlite,
        "invariants": invariants,
        "pandas": recomputed,
        "digests": digested,
    }
    saw: Saw = {}
    for guard, question in questions.items():
        try:
            saw[guard] = question()
        except RunbookError:
            saw[guard] = True
        except Exception:
            continue
    return saw
