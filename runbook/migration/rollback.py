"""The way back as one act: assess, export, run in one transaction, prove, and only then commit.

The stage `rollback` does it to the target, the rehearsal to a copy.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from runbook.audit.later_objects import broken_object, objects_since
from runbook.audit.later_writes import Written, find_written
from runbook.audit.rollback_gate import Before, WriteGuard, look_before, prove_rollback
from runbook.errors import NotProven, Refused, RunbookError
from runbook.migration.export import export_organizations
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape, fired_triggers, look
from runbook.progress import Progress, no_progress
from runbook.run.findings import Finding, StepResult
from runbook.run.records import Assessment, RollbackRecord, TableSince
from runbook.script.migration import LEDGER, NEW_TABLES, Script, Step, template_values
from runbook.script.rollback import render_rollback
from runbook.sqlite.compare_objects import compare_objects
from runbook.sqlite.compare_table import compare_table
from runbook.sqlite.connect import immutable_uri
from runbook.sqlite.quoting import quote_name
from runbook.sqlite.tables import Table, read_tables, stored_tables
from runbook.targets.protocol import Target
from runbook.targets.sqlite import SqliteTarget, read_ledger
from runbook.templates import sql_file
from runbook.wording import and_more


def assess(target: Target, plan: Plan, run: str, backup: Path) -> Assessment:
    """What a rollback of `target` would restore, keep and discard; nothing is changed.

    Raises:
        Refused: the ledger does not hold `run`, or a resource table is not there any more.
    """
    shape = _shape(backup, plan)
    with target.reading() as connection, _attached(connection, backup):
        connection.execute("BEGIN")  # one state of the database for all counts
        try:
            _check_ledger(connection, plan, run)
            written = _find_all_written(connection, plan, shape)
            return _assessment(connection, plan, shape, written, others=True)
        finally:
            connection.execute("ROLLBACK")


def roll_back(
    target: Target,
    plan: Plan,
    run: str,
    backup: Path,
    exports: Path,
    *,
    discard_organizations: bool = False,
    on_proven: Callable[[RollbackRecord], None] = lambda record: None,
    on_script: Callable[[Script], None] = lambda script: None,
    progress: Progress = no_progress,
    wait: float = 30.0,
) -> RollbackRecord:
    """Takes the migration of `run` back, proves it against `backup`, and commits.

    Args:
        target: the migrated database.
        plan: what was migrated.
        run: the run that migrated, as the ledger names it.
        backup: the database's backup from before the migration.
        exports: folder that organizations and memberships are exported to first.
        discard_organizations: go on although organizations or memberships were made since.
        on_proven: told of the result just before the commit, to keep it durably.
        on_script: told of the script before it runs.
        progress: told of each step.
        wait: seconds to wait for the write lock.

    Raises:
        Refused: something stands in the way, or what people made since would be discarded;
            nothing was changed.
        NotProven: the proof failed and everything was rolled back; the error's attribute `record`
            holds the findings.
    """
    shape = _shape(backup, plan)
    guard = WriteGuard(plan)
    before: Before | None = None
    state = RollbackRecord(False, 0, 0, 0, (), (), 0.0)

    def prepare(connection: sqlite3.Connection) -> Script:
        nonlocal before, state
        _check_ledger(connection, plan, run)
        progress("Compare with the backup", 0, 1)
        written = _find_all_written(connection, plan, shape)
        found = _assessment(connection, plan, shape, written, others=False)
        # Under the lock, so that nothing is made after the export; a second thread gains nothing,
        # for SQLite's memory is shared between connections.
        progress("Export organizations", 0, 1)
        files = _named(export_organizations(connection, exports), exports)
        state = dataclasses.replace(
            state,
            restored=found.restored,
            kept=found.kept,
            discarded=found.discarded,
            assessment=found,
            exported=files,
        )
        _refuse(state, found, discard_organizations)
        broken = broken_object(connection)
        if broken:
            state = dataclasses.replace(state, note=f"{broken}; it was broken before, and stays so")
        before = look_before(connection, plan, written)
        script = render_rollback(
            plan,
            shape,
            [w.old for w in written],
            run=run,
            suspended=fired_triggers(connection, plan),
            drop_ledger=before.drop_ledger,
            moved=[w.resource.table for w in written if w.moved],
            broken=broken,
        )
        on_script(script)
        connection.set_authorizer(guard)
        return script

    def check(connection: sqlite3.Connection, steps: tuple[StepResult, ...]) -> None:
        nonlocal state
        connection.set_authorizer(None)
        assert before is not None
        findings = prove_rollback(connection, plan, before)
        state = dataclasses.replace(state, steps=steps, findings=findings)
        if findings:
            raise _not_proven(findings, state)
        on_proven(state)

    def explain(
        connection: sqlite3.Connection, step: Step, error: sqlite3.Error
    ) -> Exception | None:
        connection.set_authorizer(None)
        if not guard.denied:
            return None
        message = f'the step "{step.title}" tried to {guard.denied[-1]}, outside what it may change'
        finding = Finding("gate", "", "", "write denied", 1, message)
        return _not_proven((finding,), dataclasses.replace(state, findings=(finding,)))

    applied = target.apply(prepare, backup, check, explain, progress, wait)
    return dataclasses.replace(
        state,
        done=True,
        steps=applied.steps,
        waited_seconds=applied.waited_seconds,
        proof_seconds=applied.gate_seconds,
        locked_seconds=applied.locked_seconds,
    )


def restore_backup(
    target: Target,
    plan: Plan,
    run: str,
    backup: Path,
    exports: Path,
    *,
    on_proven: Callable[[RollbackRecord], None] = lambda record: None,
    progress: Progress = no_progress,
    wait: float = 30.0,
) -> RollbackRecord:
    """The other way back: puts the whole backup in place of the database, in one transaction.

    Every later write is lost; the record's assessment counts them, as they were when it began.

    Raises:
        Refused: the database could not be locked, or the target cannot do it; it is as it was.
        NotProven: what is there afterwards is not the backup.
    """
    found = assess(target, plan, run, backup)
    if not isinstance(target, SqliteTarget):
        raise Refused(
            f"Only a SQLite file can be restored by the runbook; {target.restore_by_hand(backup)}, "
            f"but that would erase {found.lost_by_restore:,} rows written since, which a rollback "
            "without --restore-backup keeps."
        )
    with target.reading() as connection:
        files = export_organizations(connection, exports)
    record = RollbackRecord(
        done=False,
        restored=found.restored,
        kept=0,
        discarded=found.lost_by_restore,
        findings=(),
        steps=(),
        locked_seconds=0.0,
        exported=_named(files, exports),
        how="restore",
        assessment=found,
        proof="after commit",
    )
    on_proven(record)
    seconds = target.restore(backup, progress, wait)
    with target.reading() as connection, _attached(connection, backup):
        findings = tuple(_differences(connection))
    record = dataclasses.replace(record, locked_seconds=seconds, findings=findings)
    if findings:
        raise _not_proven(findings, record)
    return dataclasses.replace(record, done=True)


def _named(files: tuple[Path, ...], exports: Path) -> tuple[str, ...]:
    """The files' names from the run folder on."""
    return tuple(str(file.relative_to(exports.parent)) for file in files)


# -- before ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _attached(connection: sqlite3.Connection, backup: Path) -> Iterator[None]:
    connection.execute("ATTACH ? AS before", (immutable_uri(backup),))
    try:
        yield
    finally:
        connection.execute("DETACH before")


def _shape(backup: Path, plan: Plan) -> Shape:
    """The database's shape from before the migration."""
    connection = sqlite3.connect(immutable_uri(backup), uri=True, isolation_level=None)
    try:
        return look(connection, plan)
    finally:
        connection.close()


def _check_ledger(connection: sqlite3.Connection, plan: Plan, run: str) -> None:
    row = read_ledger(connection, plan.migration.name)
    if row is None:
        raise Refused(
            f'The ledger does not hold the migration "{plan.migration.name}", so there is nothing '
            "to roll back; inspect the database if you expected it there."
        )
    if row.run != run:
        raise Refused(
            f'The ledger says that the run "{row.run}" migrated this database, not "{run}"; roll '
            "back in that run's folder."
        )


def _find_all_written(
    connection: sqlite3.Connection, plan: Plan, shape: Shape
) -> tuple[Written, ...]:
    old = {t.name.casefold(): t for t in read_tables(connection, "before")}
    now = {t.name.casefold(): t for t in read_tables(connection, "main")}
    for resource in plan.resources:
        name = resource.table.casefold()
        missing = {c.casefold() for c in (*old[name].column_names, "organization_id")}
        missing -= {c.casefold() for c in now[name].column_names} if name in now else set()
        if missing:
            raise Refused(
                f'The table "{resource.table}" was altered or dropped since the migration '
                f"({', '.join(sorted(missing))} is not there), so it cannot be rolled back; undo "
                "that, or restore the backup."
            )
    return tuple(
        find_written(connection, plan, shape, r, old[r.table.casefold()]) for r in plan.resources
    )


def _assessment(
    connection: sqlite3.Connection,
    plan: Plan,
    shape: Shape,
    written: tuple[Written, ...],
    *,
    others: bool,
) -> Assessment:
    objects = objects_since(connection, plan)
    rows, since = _new_tables(connection, plan, shape)
    return Assessment(
        resources=tuple(w.since for w in written),
        others=tuple(_others(connection, plan)) if others else (),
        organizations=rows["organizations"],
        memberships=rows["organization_memberships"],
        organizations_since=since["organizations"],
        memberships_since=since["organization_memberships"],
        objects_kept=objects.kept,
        objects_discarded=objects.discarded,
        obstacles=objects.obstacles,
    )


def _new_tables(
    connection: sqlite3.Connection, plan: Plan, shape: Shape
) -> tuple[dict[str, int], dict[str, int]]:
    """Rows of the two new tables, and how many of them are not as the migration made them."""
    rows, since = dict.fromkeys(NEW_TABLES, 0), dict.fromkeys(NEW_TABLES, 0)
    present = {t.name.casefold(): t for t in read_tables(connection)}
    migration = template_values(plan, shape)["migration"]
    instant = f"(SELECT substr(applied_at, 1, 19) FROM main.{LEDGER} WHERE migration = {migration})"
    for name, audit in (
        ("organizations", "organizations_by_rule"),
        ("organization_memberships", "memberships_by_rule"),
    ):
        if name not in present:
            continue
        file = sql_file(f"audit/{audit}")
        query = file.render(
            **template_values(plan, shape), before="before", after="main", now_specified=instant
        )
        wrong = " OR ".join(f"wrong.{c}" for c in file.columns)
        rows[name], since[name] = connection.execute(
            f"SELECT count(*), count(*) FILTER (WHERE {wrong}) FROM ({query}) AS wrong"
        ).fetchone()
    return rows, since


def _others(connection: sqlite3.Connection, plan: Plan) -> Iterator[TableSince]:
    """Later writes to the tables that a rollback leaves alone.

    SQLite's own tables and those behind virtual tables follow from the others; nobody writes them.
    """
    skip = {r.table.casefold() for r in plan.resources} | {*NEW_TABLES, LEDGER}
    for old, now in _table_pairs(connection):
        name = (old or now).name  # type: ignore[union-attr]
        if name.casefold() in skip or name.startswith("sqlite_"):
            continue
        if (old or now).kind == "shadow":  # type: ignore[union-attr]
            continue
        if old is None or now is None:
            schema = "main" if old is None else "before"
            (rows,) = connection.execute(
                f"SELECT count(*) FROM {schema}.{quote_name(name)}"
            ).fetchone()
            yield TableSince(
                name, rows if old is None else 0, **{"inserted" if old is None else "deleted": rows}
            )
            continue
        found = compare_table(connection, old, now, samples=0)
        if not found.identical:
            yield TableSince(
                name,
                found.rows_after,
                edited=found.rows_changed,
                inserted=found.added,
                deleted=found.removed,
            )


def _table_pairs(connection: sqlite3.Connection) -> Iterator[tuple[Table | None, Table | None]]:
    """Every stored table of the backup with its counterpart; None where there is none."""
    old = {t.name.casefold(): t for t in stored_tables(read_tables(connection, "before"))}
    now = {t.name.casefold(): t for t in stored_tables(read_tables(connection, "main"))}
    for name in sorted(old.keys() | now.keys()):
        yield old.get(name), now.get(name)


def _refuse(record: RollbackRecord, found: Assessment, discard_organizations: bool) -> None:
    """Raises Refused if something stands in the way."""
    message = ""
    if found.obstacles:
        first, *others = found.obstacles
        more = and_more(len(others), "obstacle")
        message = f"The rollback cannot be done now: {first}{more}."
    elif (found.discarded or found.objects_discarded) and not discard_organizations:
        extra = f", {', '.join(found.objects_discarded)}" if found.objects_discarded else ""
        message = (
            f"The migration did not make {found.organizations_since:,} of the organizations and "
            f"{found.memberships_since:,} of the memberships as they are now{extra}, and a "
            "rollback would discard them; they are exported to "
            f"{', '.join(record.exported)}, so pass "
            "--discard-organizations if they may be discarded."
        )
    if message:
        raise Refused(message, record=record)


# -- after -----------------------------------------------------------------------------------


def _differences(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Whatever is not exactly as in the backup, after a full restore."""
    for difference in compare_objects(connection, "before", "main"):
        message = f'the {difference.type} "{difference.name}" is not as in the backup'
        yield Finding("gate", difference.name, "", difference.change, 1, message)
    for old, now in _table_pairs(connection):
        if old is not None and now is not None:
            found = compare_table(connection, old, now, samples=0)
            rows = found.added + found.removed + found.rows_changed
            if rows:
                message = f'{rows:,} rows of "{old.name}" are not as in the backup'
                yield Finding("gate", old.name, "", "changed", rows, message)


def _not_proven(findings: tuple[Finding, ...], record: RollbackRecord) -> RunbookError:
    first, *others = findings
    more = and_more(len(others), "finding")
    return NotProven(f"The proof of the rollback failed: {first.message}{more}.", record=record)
