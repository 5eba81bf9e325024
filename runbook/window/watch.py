"""One observation of the migrated database and its application.

Reading must never keep a writer waiting for long. In WAL mode readers keep nobody waiting, so a
query may take its time. With a rollback journal a reader does: there each query has a small
budget of its own, lets go of its lock in between, and is given up when the budget is spent; it
then counts as not answered, never as holding.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from runbook.audit.samples import sample_rows
from runbook.errors import TargetError
from runbook.plan.plan import Plan
from runbook.plan.secrets import Secrets
from runbook.plan.shape import Shape
from runbook.run.findings import Sample
from runbook.run.folder import now
from runbook.run.window_records import NO_FILE, LogPosition, Observation
from runbook.script.migration import guard_query
from runbook.sqlite.connect import CutOff, Locked
from runbook.sqlite.interrupts import time_limit, was_cut_short
from runbook.targets.protocol import Target
from runbook.targets.sqlite import read_ledger
from runbook.templates import SqlFile, sql_files
from runbook.window.logs import NewLines, read_new_lines
from runbook.window.web import ask

LASTING = (
    "organizations_without_owner_membership",
    "owner_memberships_without_owner_role",
    "references_to_nothing",
    "resources_of_missing_organization",
    "users_with_several_personal_organizations",
    "users_without_organization",
)
"""The invariants that hold for as long as the application lives. The others are about the
migration alone: once there are new teams and rows, they need not hold any more. Resources without
an organization are counted for each table by themselves."""

WITHOUT = "resources_without_organization"

_BETWEEN_QUERIES = 0.02
_PATIENCE = 5.0
_OPERATIONS = 2_000  # of SQLite's machine between two readings of the clock


class RolledBack(Exception):
    """The ledger no longer holds the migration."""


@dataclass
class Watcher:
    """Observes one database again and again; keeps nothing in between but its place in the logs."""

    target: Target
    plan: Plan
    shape: Shape
    run: str
    logs: tuple[LogPosition, ...] = ()
    every: float = 0.0
    secrets: Secrets | None = None
    _budget: float = field(default=0.0, init=False)

    def observe(self) -> Observation:
        """One observation.

        Raises:
            RolledBack: the migration is not there any more.
        """
        began = time.monotonic()
        at = now()
        counts = _Counts()
        try:
            with self.target.reading() as connection:
                self._ask(connection, counts)
        except (TargetError, sqlite3.Error) as error:
            # Of a service, or of a lock, the next question may be answered; of no file it is not.
            passing = self.target.file is None or isinstance(error, Locked | CutOff | sqlite3.Error)
            counts.unanswered["database" if passing else NO_FILE] = str(error)
        lines = self._log_lines()
        page = self.plan.window.health
        health = None if page is None else ask(page, limit=min(page.timeout, 10.0))
        return Observation(
            at=at,
            seconds=round(time.monotonic() - began, 3),
            violations=counts.violations,
            unanswered=counts.unanswered,
            without_organization=counts.without,
            samples=tuple(counts.samples[:10]),
            log_lines=lines.matching,
            log_samples=lines.samples,
            health=health,
            longest_read=round(counts.longest, 4),
            every=self.every,
            logs=lines.positions,
        )

    def _log_lines(self) -> NewLines:
        monitor = self.plan.monitor
        new = read_new_lines(monitor.logs, monitor.pattern, self.logs, self.secrets)
        self.logs = new.positions
        return new

    def _ask(self, connection: sqlite3.Connection, counts: _Counts) -> None:
        mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
        monitor = self.plan.monitor
        self._budget = (
            monitor.query_seconds
            if mode == "wal"
            else min(monitor.query_seconds, monitor.blocking_seconds)
        )
        # A writer in the middle of its commit is waited for, so that an answer rarely fails.
        connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")
        row = read_ledger(connection, self.plan.migration.name)
        if row is None or row.run != self.run:
            raise RolledBack
        for file in lasting_invariants():
            for table, query in guard_query(file, self.plan, self.shape):
                rows = self._count(connection, file, table, query, counts)
                if file.name == WITHOUT:
                    if rows is not None:
                        counts.without[table] = rows
                elif rows is not None:
                    counts.violations[file.name] = counts.violations.get(file.name, 0) + rows
                time.sleep(_BETWEEN_QUERIES)

    def _count(
        self, connection: sqlite3.Connection, file: SqlFile, table: str, query: str, counts: _Counts
    ) -> int | None:
        """Violating rows; None where there was no answer in time."""
        what = f"{file.name} in {table}" if table else file.name
        began = time.monotonic()
        try:
            with time_limit(connection, self._budget, _OPERATIONS):
                (rows,) = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
                if rows and len(counts.samples) < 10:
                    place = f"{file.name}: {table}".strip()
                    some = sample_rows(connection, query)
                    counts.samples += [Sample(sample.key, place=place) for sample in some]
        except sqlite3.OperationalError as error:
            if was_cut_short(error):
                counts.unanswered[what] = f"not within {self._budget:g} s"
            else:
                counts.unanswered[what] = str(error)
            return None
        finally:
            counts.longest = max(counts.longest, time.monotonic() - began)
        return int(rows)


@dataclass
class _Counts:
    violations: dict[str, int] = field(default_factory=dict)
    without: dict[str, int] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    longest: float = 0.0


def lasting_invariants() -> Iterator[SqlFile]:
    """The invariants in `LASTING`, after those rows that old code leaves and an index finds."""
    files = {file.name: file for file in sql_files("invariants")}
    yield files[WITHOUT]
    for name in LASTING:
        yield files[name]
