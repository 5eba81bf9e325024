"""Small real databases, migrated by the rendered script and looked at by the three witnesses."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook.audit.invariants import InvariantAnswer, ask_duckdb, ask_sqlite
from runbook.audit.snapshot import Capture, capture
from runbook.audit.witness_pandas import PandasWitness, recompute
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape, read_shape
from runbook.script.migration import render
from runbook.templates import split_statements

PLAN = Plan()
SCHEMA = """
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT, nickname);
CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT, title, updated_at TEXT);
CREATE TABLE other (a, b);
"""
ROWS = """
INSERT INTO users VALUES
  ('u1', 'ada@example.org', 'Ada'), ('u2', 'bob@example.org', NULL), ('u3', NULL, 1.0),
  ('u4', 'nobody@example.org', x'00');
INSERT INTO projects VALUES
  ('p1', 'u1', 'One', '2020-01-01 00:00:00'), ('p2', 'u1', 2, '2020-01-02 00:00:00'),
  ('p3', 'u2', 3.5, '2020-01-03 00:00:00'), ('p4', 'u3', NULL, '2020-01-04 00:00:00'),
  ('p5', 'u2', x'ff', '2020-01-05 00:00:00'), ('p6', 'u1', 'Six', '2020-01-06 00:00:00');
INSERT INTO other VALUES (1, 2);
"""


@dataclass(frozen=True)
class Migrated:
    """A database before and after its migration, and what is known of it."""

    plan: Plan
    shape: Shape
    before: Path
    after: Path
    applied_at: str


@dataclass(frozen=True)
class WitnessAnswers:
    """What the three witnesses said."""

    asked: Mapping[str, InvariantAnswer]
    duckdb: Mapping[str, int]
    pandas: PandasWitness

    @property
    def violated(self) -> dict[str, int]:
        """The violated invariants with their counts, on which all three must agree."""
        sqlite = {name: answer.violations for name, answer in self.asked.items()}
        assert self.duckdb == sqlite
        assert self.pandas.invariants == sqlite
        return {name: count for name, count in sqlite.items() if count}


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def execute(path: Path, *statements: str, values: Sequence[object] = ()) -> None:
    """Runs statements, foreign keys not enforced, so that anything can be planted."""
    with contextlib.closing(connect(path)) as connection:
        for text in statements:
            for statement in split_statements(text):
                connection.execute(statement, values)


def migrate(folder: Path, *statements: str, plan: Plan = PLAN, encoding: str = "UTF-8") -> Migrated:
    """Makes a database of the statements and migrates a copy, in one transaction."""
    before, after = folder / "before.db", folder / "after.db"
    execute(before, f"PRAGMA encoding = '{encoding}';", *statements)
    return migrate_file(before, after, plan)


def migrate_file(before: Path, after: Path, plan: Plan) -> Migrated:
    shutil.copyfile(before, after)
    with contextlib.closing(connect(after)) as connection:
        shape = read_shape(connection, plan)
        connection.execute("BEGIN IMMEDIATE")
        for step in render(plan, shape).steps:
            for statement in step.statements:
                connection.execute(statement)
        (at,) = connection.execute("SELECT applied_at FROM runbook_ledger").fetchone()
        connection.execute("COMMIT")
    return Migrated(plan, shape, before, after, at)


def witnesses(done: Migrated, after: Path | None = None) -> WitnessAnswers:
    """Asks all three of them about `after`, by default the migrated database itself."""
    after = after or done.after
    sides = _snapshots(done, after)
    with contextlib.closing(connect(after)) as connection:
        connection.execute("ATTACH ? AS before", (str(done.before),))
        asked = ask_sqlite(connection, done.plan, done.shape)
    return WitnessAnswers(
        asked,
        ask_duckdb(done.plan, done.shape, *sides),
        recompute(done.plan, done.shape, *sides, done.applied_at),
    )


def recomputed(done: Migrated, *planted: str) -> PandasWitness:
    """What pandas alone says of the migrated database, or of a copy with something planted."""
    after = _copy(done, *planted) if planted else done.after
    return recompute(done.plan, done.shape, *_snapshots(done, after), done.applied_at)


def _snapshots(done: Migrated, after: Path) -> tuple[Capture, Capture]:
    old, new = done.before.parent / "snapshots-before", after.parent / f"snapshots-{after.stem}"
    return capture(done.before, old), capture(after, new)


def broken(done: Migrated, *statements: str) -> WitnessAnswers:
    """What the witnesses say of a copy in which something was planted."""
    return witnesses(done, _copy(done, *statements))


def _copy(done: Migrated, *statements: str) -> Path:
    copy = done.after.with_name("broken.db")
    shutil.copyfile(done.after, copy)
    execute(copy, *statements)
    return copy
