"""What a rollback would restore, keep and discard, and what stands in its way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from runbook.audit.assignments import Assignments, find_assignments
from runbook.audit.later_objects import objects_since
from runbook.audit.later_writes import Written, find_written
from runbook.audit.rule_values import RuleCheck
from runbook.audit.samples import SAMPLES
from runbook.errors import Refused
from runbook.migration.job import Job
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape, read_backup_shape
from runbook.run.findings import Sample
from runbook.run.records import Assessment, TableSince
from runbook.script.migration import LEDGER, NEW_TABLES
from runbook.sqlite.cells import provide_functions
from runbook.sqlite.compare_database import table_pairs
from runbook.sqlite.compare_table import Scope, compare_table
from runbook.sqlite.connect import attach_immutable
from runbook.sqlite.difference import TableDifference
from runbook.sqlite.quoting import fold_name
from runbook.sqlite.tables import count_rows, read_tables
from runbook.targets.sqlite import read_ledger


def assess(job: Job) -> Assessment:
    """What taking the job's migration back would restore, keep and discard; nothing is changed.

    Raises:
        Refused: the ledger does not hold the run, or a resource table is not there any more.
    """
    shape = read_backup_shape(job.backup, job.plan)
    with job.target.reading() as connection:
        attach_immutable(connection, job.backup)
        connection.execute("BEGIN")  # one state of the database for all counts
        try:
            written = find_all_written(connection, job, shape)
            others = tuple(_others(connection, job.plan))
            return assessment_of(connection, job.plan, shape, written, others)
        finally:
            connection.execute("ROLLBACK")
            connection.execute("DETACH before")


def find_all_written(connection: sqlite3.Connection, job: Job, shape: Shape) -> tuple[Written, ...]:
    """What was written since to each resource; the backup is attached as `before`.

    Raises:
        Refused: the ledger does not hold the run, or a table was altered or dropped.
    """
    _check_ledger(connection, job)
    provide_functions(connection)  # the script calls them as well
    old = {fold_name(t.name): t for t in read_tables(connection, "before")}
    now = {fold_name(t.name): t for t in read_tables(connection, "main")}
    for resource in job.plan.resources:
        name = fold_name(resource.table)
        missing = {fold_name(c) for c in (*old[name].column_names, "organization_id")}
        missing -= {fold_name(c) for c in now[name].column_names} if name in now else set()
        if missing:
            raise Refused(
                f'The table "{resource.table}" was altered or dropped since the migration '
                f"({', '.join(sorted(missing))} is not there), so it cannot be rolled back; undo "
                "that, or restore the backup."
            )
    return tuple(
        find_written(
            connection, job.plan, shape, old[fold_name(r.table)], partial=job.target.partial
        )
        for r in job.plan.resources
    )


def all_assignments(
    connection: sqlite3.Connection, plan: Plan, shape: Shape, written: tuple[Written, ...]
) -> tuple[Assignments, ...]:
    """Which rows of each resource users put into an organization since."""
    return tuple(find_assignments(connection, plan, shape, each) for each in written)


def assessment_of(
    connection: sqlite3.Connection,
    plan: Plan,
    shape: Shape,
    written: tuple[Written, ...],
    others: tuple[TableSince, ...] = (),
) -> Assessment:
    """The assessment of a migrated database of which `written` is known."""
    objects = objects_since(connection, plan)
    assignments = all_assignments(connection, plan, shape, written)
    rules = RuleCheck(connection, plan, shape, "gate")
    present = {fold_name(t.name) for t in read_tables(connection)}
    rows, changes = (
        {table: count(table) if table in present else 0 for table in NEW_TABLES}
        for count in (lambda table: count_rows(connection, table), rules.count_wrong)
    )
    return Assessment(
        resources=tuple(w.changes for w in written),
        others=others,
        organizations=rows["organizations"],
        memberships=rows["organization_memberships"],
        organizations_since=changes["organizations"],
        memberships_since=changes["organization_memberships"],
        assignments=sum(each.rows for each in assignments),
        objects_kept=objects.kept,
        objects_discarded=objects.discarded,
        obstacles=objects.obstacles,
    )


def _check_ledger(connection: sqlite3.Connection, job: Job) -> None:
    row = read_ledger(connection, job.plan.migration.name)
    if row is None:
        raise Refused(
            f'The ledger does not hold the migration "{job.plan.migration.name}", so there is '
            "nothing to roll back; look at the database if you expected it there."
        )
    if row.run != job.run:
        raise Refused(
            f'The ledger says that the run "{row.run}" migrated this database, not "{job.run}"; '
            "roll back in that run's folder."
        )


_PLACES = {"added": "inserted", "removed": "deleted", "changed": "edited"}


def _samples(difference: TableDifference) -> tuple[Sample, ...]:
    """The keys of the first rows that differ, each once."""
    return tuple(
        dict.fromkeys(Sample(s.key, place=_PLACES[s.change]) for s in difference.samples if s.key)
    )


def _others(connection: sqlite3.Connection, plan: Plan) -> Iterator[TableSince]:
    """Later writes to the tables that a rollback leaves alone.

    SQLite's own tables and those behind virtual tables follow from the others.
    """
    skip = {fold_name(r.table) for r in plan.resources} | {*NEW_TABLES, LEDGER}
    for old, now in table_pairs(connection):
        table = now or old
        assert table is not None
        name = table.name
        if fold_name(name) in skip or name.startswith("sqlite_") or table.kind == "shadow":
            continue
        if old is None:
            rows = count_rows(connection, name)
            yield TableSince(name, rows, inserted=rows)
        elif now is None:
            yield TableSince(name, 0, deleted=count_rows(connection, name, "before"))
        else:
            difference = compare_table(connection, old, now, Scope(samples=SAMPLES))
            if not difference.identical:
                yield TableSince(
                    name,
                    difference.rows_after,
                    edited=difference.rows_changed,
                    inserted=difference.added,
                    deleted=difference.removed,
                    samples=_samples(difference),
                )
