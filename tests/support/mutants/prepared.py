"""A base made ready once: its backup, capture and digests, and what an honest migration makes."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from unittest import mock

from runbook.audit.invariants import ask_duckdb
from runbook.audit.snapshot import Capture, capture, digests
from runbook.audit.witness_duckdb import _Sides
from runbook.audit.witness_pandas import recompute
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.run.findings import TableDigest
from runbook.run.records import MigrateRecord
from runbook.script.footprint import Baseline, read_baseline
from runbook.script.migration import LEDGER, NEW_TABLES, render, rule
from runbook.script.new_objects import new_columns, new_objects
from runbook.targets.sqlite import SqliteTarget
from runbook.templates import SqlFile
from tests.support.mutants.bases import Base
from tests.support.mutants.content import Content, read_content
from tests.support.mutants.original import Original, read_tables

INSTANT = datetime(2026, 11, 26, 17, 30, 15, 250000, tzinfo=UTC)
"""The time of every migration here, so that two of them make the same database."""
_WRITTEN = INSTANT.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


class _Stopped(datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return INSTANT


def stop_clock(connection: sqlite3.Connection) -> None:
    """Has `strftime` of this connection take the instant for now."""
    plain = sqlite3.connect(":memory:", check_same_thread=False)

    def strftime(*values: object) -> object:
        values = tuple(_WRITTEN if v == "now" else v for v in values)
        marks = ", ".join("?" * len(values))
        return plain.execute(f"SELECT strftime({marks})", values).fetchone()[0]

    connection.create_function("strftime", -1, strftime, deterministic=True)


class StandingTarget(SqliteTarget):
    """The target, whose clock stands."""

    def _open_writable(self, wait: float) -> sqlite3.Connection:
        connection = super()._open_writable(wait)
        stop_clock(connection)
        return connection


def _remembered(function: Callable[..., Any], key: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which is not asked again about the very same files."""
    answers: dict[Any, Any] = {}

    def ask(*values: Any, **named: Any) -> Any:
        question = key(*values, **named)
        if question not in answers:
            answers[question] = function(*values, **named)
        return answers[question]

    return ask


def _files(plan: Plan, shape: Shape, before: Capture, after: Capture, *rest: object) -> object:
    """What pandas and the invariants of DuckDB read: the tables of the plan and of the migration."""
    ours = {plan.users.table, *(r.table for r in plan.resources), *NEW_TABLES, LEDGER}
    ours |= set(plan.triggers.may_write)
    return before.folder, after.encoding, repr([t for t in after.tables if t.name in ours]), rest


def _shaped(plan: Plan, shape: Shape) -> object:
    return repr(plan), repr(shape)


def _rule(call: str, plan: Plan, shape: Shape, **values: str) -> object:
    return call, repr(plan), repr(shape), repr(values)


def _sides(sides: _Sides) -> object:
    return repr((sides.old, sides.new, sides.columns, sides.encoding, sides.expected))


def _rendered(file: SqlFile, **values: object) -> object:
    """What is given to a template; the functions among it differ by where they were made."""
    plain = {k: v for k, v in values.items() if not callable(v)}
    functions = [v.__qualname__ for v in values.values() if callable(v)]
    return file.body, repr(plain), tuple(functions)


def _scripted(plan: Plan, shape: Shape, run: str = "by hand") -> object:
    return repr(plan), repr(shape), run


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """As long as this is open: no fsync, and a clock that stands.

    Of files that were seen before, the answers are remembered.
    """
    compare = _remembered(_Sides.compare, _sides)
    fill = _remembered(SqlFile.render, _rendered)

    with (
        mock.patch.object(os, "fsync"),
        mock.patch("runbook.migration.migrate.datetime", _Stopped),
        mock.patch("runbook.audit.verify.recompute", _remembered(recompute, _files)),
        mock.patch("runbook.audit.verify.ask_duckdb", _remembered(ask_duckdb, _files)),
        mock.patch("runbook.audit.gate.new_objects", _remembered(new_objects, _shaped)),
        mock.patch("runbook.audit.structure.new_columns", _remembered(new_columns, _shaped)),
        mock.patch("runbook.audit.rule_values.rule", _remembered(rule, _rule)),
        mock.patch("runbook.migration.migrate.render", _remembered(render, _scripted)),
        mock.patch.object(SqlFile, "render", lambda file, **values: fill(file, **values)),
        mock.patch.object(_Sides, "compare", lambda sides: compare(sides)),
    ):
        yield


@dataclass(frozen=True)
class Prepared:
    """A base in a folder; `before.db` is copied for every mutant, `after.db` is honest."""

    base: Base
    folder: Path
    baseline: Baseline
    capture: Capture
    digests: tuple[TableDigest, ...]
    record: MigrateRecord
    before: Content
    after: Content
    original: Original

    @property
    def backup(self) -> Path:
        """The backup of the database."""
        return self.folder / "backup.db"

    def job(self, target: SqliteTarget) -> Job:
        """The migration of a copy."""
        return Job(target, self.base.plan, "run", self.backup)

    def copy(self, name: str) -> Path:
        """A fresh copy of `before` or `after`, with nothing beside it."""
        work = self.folder / "work.db"
        for leftover in self.folder.glob("work.db*"):
            leftover.unlink()
        shutil.copyfile(self.folder / f"{name}.db", work)
        return work


def prepare(base: Base, folder: Path, seed: int) -> Prepared:
    """Makes the base and migrates it once, honestly; call it inside `hurried`."""
    folder.mkdir(parents=True, exist_ok=True)
    before, after, backup = (folder / f"{name}.db" for name in ("before", "after", "backup"))
    base.make(before)
    SqliteTarget(before).backup(backup)
    baseline = read_baseline(backup, base.plan)
    captured = capture(backup, folder / "captured", immutable=True)
    shutil.copyfile(before, after)
    record = migrate(Job(StandingTarget(after), base.plan, "run", backup), baseline=baseline)
    return Prepared(
        base,
        folder,
        baseline,
        captured,
        digests(captured, base.plan, baseline.shape),
        record,
        read_content(before),
        read_content(after),
        _original(base, before, after, baseline, seed),
    )


def _original(base: Base, before: Path, after: Path, baseline: Baseline, seed: int) -> Original:
    with contextlib.closing(sqlite3.connect(before)) as connection:
        objects = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
            " AND name NOT LIKE 'sqlite_%' AND name <> ?",
            (LEDGER,),
        ).fetchall()
    where = _where(base)
    original = Original(
        read_tables(before, where),
        read_tables(after, where),
        tuple(objects),
        render(base.plan, baseline.shape, "run"),
    )
    return replace(original.seeded(seed), script=original.script)


def _where(base: Base) -> Callable[[str], str]:
    resources = {r.table for r in base.plan.resources}

    def where(name: str) -> str:
        if name in resources:
            return "resources"
        if name == base.plan.users.table:
            return "users"
        if name in NEW_TABLES:
            return "the new tables"
        return "the ledger" if name == LEDGER else "other tables"

    return where
