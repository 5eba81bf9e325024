"""The proof that a rollback took back what the migration did, and nothing else.

Before the script: what the database holds, and a guard that lets it write to nothing but what a
rollback may write to. After it, inside the same transaction: every row that were not changed since
is strictly identical to the backup again, every other row is as it was just before, and the schema
is the backup's to the byte, but for objects that the application changed since.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from runbook.audit.later_objects import expected_objects
from runbook.audit.later_writes import UNTOUCHED, Written, same_columns
from runbook.audit.samples import SAMPLES, sample_rows
from runbook.plan.plan import Plan
from runbook.run.findings import Finding, Sample, schema_sample
from runbook.script.footprint import is_new_table
from runbook.script.migration import LEDGER
from runbook.sqlite.cells import provide_atan2
from runbook.sqlite.inequality import any_differs
from runbook.sqlite.quoting import quote_name
from runbook.sqlite.tables import SchemaObject, Table, read_objects, read_tables

_WRITES = {
    sqlite3.SQLITE_INSERT: "insert into",
    sqlite3.SQLITE_UPDATE: "update",
    sqlite3.SQLITE_DELETE: "delete from",
}
# SQLite itself keeps these up to date when a table or an index goes.
_SQLITES_OWN = {
    "sqlite_master",
    "sqlite_schema",
    "sqlite_stat1",
    "sqlite_stat2",
    "sqlite_stat3",
    "sqlite_stat4",
}


@dataclass
class WriteGuard:
    """Denies every statement that could write where a rollback has nothing to write.

    SQLite asks when it compiles a statement, for triggers and foreign keys too, so that no row
    of any other table needs to be compared afterwards.
    """

    plan: Plan
    denied: list[str] = field(default_factory=list)

    def __call__(
        self, action: int, table: str | None, column: str | None, schema: str | None, by: str | None
    ) -> int:
        """SQLite's question, asked for each thing that a statement would do."""
        verb = _WRITES.get(action)
        if verb is None or schema == "temp" or self._may(action, table or "", column or ""):
            return sqlite3.SQLITE_OK
        self.denied.append(f'{verb} "{table}"')
        return sqlite3.SQLITE_DENY

    def _may(self, action: int, table: str, column: str) -> bool:
        name = table.casefold()
        if name in _SQLITES_OWN:
            return True
        if action == sqlite3.SQLITE_DELETE:
            return is_new_table(name)
        return action == sqlite3.SQLITE_UPDATE and any(
            r.updated_at is not None
            and (r.table.casefold(), r.updated_at.casefold()) == (name, column.casefold())
            for r in self.plan.resources
        )


@dataclass(frozen=True)
class Before:
    """The database just before the rollback began."""

    objects: tuple[SchemaObject, ...]
    ledger: frozenset[tuple[object, ...]]
    drop_ledger: bool
    written: tuple[Written, ...]


def look_before(connection: sqlite3.Connection, plan: Plan, written: tuple[Written, ...]) -> Before:
    """What `main` holds before the script runs; `before` is the backup."""
    ledger = frozenset(connection.execute(f"SELECT * FROM main.{LEDGER}").fetchall())
    in_backup = any(
        o.type == "table" and o.name == LEDGER for o in read_objects(connection, "before")
    )
    others = [row for row in ledger if row[0] != plan.migration.name]
    return Before(read_objects(connection), ledger, not in_backup and not others, written)


def prove_rollback(
    connection: sqlite3.Connection, plan: Plan, before: Before
) -> tuple[Finding, ...]:
    """Everything in `main` that is not as a rollback must leave it; empty: it is proven."""
    provide_atan2(connection)
    findings = [*_objects(connection, plan, before), *_ledger(connection, plan, before)]
    new = {t.name.casefold(): t for t in read_tables(connection)}
    for written in before.written:
        now = new.get(written.old.name.casefold())
        if now is None or now.column_names != written.old.column_names:
            continue  # the schema's finding says it
        findings += _rows(connection, written, now)
    return tuple(findings)


def _objects(connection: sqlite3.Connection, plan: Plan, before: Before) -> Iterator[Finding]:
    """The schema: resources to the byte as in the backup, all else as it was just before."""
    resources = {r.table.casefold() for r in plan.resources}
    expected = expected_objects(before.objects, plan, drop_ledger=before.drop_ledger)
    expected |= {
        o
        for o in read_objects(connection, "before")
        if o.type == "table" and o.name.casefold() in resources
    }
    found = set(read_objects(connection))
    for each in sorted(expected ^ found, key=lambda o: (o.type, o.name)):
        missing = each in expected
        says = "is not what it must be again" if missing else "should not be there"
        yield _finding(
            each.name,
            f"{each.type} {'missing' if missing else 'left'}",
            1,
            f'the {each.type} "{each.name}" {says}',
            (schema_sample(each.name, *((each.sql, None) if missing else (None, each.sql))),),
        )


def _ledger(connection: sqlite3.Connection, plan: Plan, before: Before) -> Iterator[Finding]:
    """The ledger holds what it held, without the row of this migration."""
    if before.drop_ledger:
        return  # that the table is gone, the schema says
    left = set(connection.execute(f"SELECT * FROM main.{LEDGER}").fetchall())
    wrong = left ^ {row for row in before.ledger if row[0] != plan.migration.name}
    if wrong:
        yield _finding(LEDGER, "changed", len(wrong), "the ledger is not as it was before")


def _rows(connection: sqlite3.Connection, written: Written, now: Table) -> Iterator[Finding]:
    """The rows of one resource: untouched ones as in the backup, the others as just before."""
    table = written.old.name
    main, backup = (f"{schema}.{quote_name(table)}" for schema in ("main", "before"))
    what = f"k.{quote_name(written.what)}"
    key = quote_name((written.old.key or (written.old.rowid or "rowid",))[0])
    same = f"({any_differs(same_columns(now))}) IS NOT TRUE"
    is_written = f"EXISTS (SELECT 1 FROM {written.source} AS k WHERE {written.same_row('k', 'b')})"

    def count(sql: str) -> int:
        return int(connection.execute(f"SELECT count(*) FROM {sql}").fetchone()[0])

    rows = count(main)
    if rows != written.since.rows:
        message = f'"{table}" holds {rows:,} rows and held {written.since.rows:,} just before'
        yield _finding(table, "rows", abs(rows - written.since.rows), message)
    restored = count(
        f"{main} AS b CROSS JOIN {backup} AS a ON {written.counterpart('a', 'b')}"
        f" WHERE NOT {is_written} AND {same}"
    )
    expected = written.since.rows - written.rows
    if restored != expected:
        yield _finding(
            table,
            "not restored",
            abs(expected - restored),
            f'{expected - restored:,} rows of "{table}" that were not changed since are not '
            "identical to the backup",
            sample_rows(
                connection,
                f"SELECT b.{key} AS {key} FROM {main} AS b WHERE NOT {is_written} AND NOT EXISTS"
                f" (SELECT 1 FROM {backup} AS a WHERE {written.counterpart('a', 'b')} AND {same})",
                SAMPLES,
            ),
        )
    if not written.rows:
        return
    moved = count(f"{written.source} AS k WHERE {what} = '{UNTOUCHED}'")
    if moved:
        rowid = quote_name(written.old.rowid or "")
        origin = f"k.{quote_name(written.origin)}"
        found = count(
            f"{written.source} AS k CROSS JOIN {main} AS b ON {written.same_row('k', 'b')}"
            f" CROSS JOIN {backup} AS a ON a.{rowid} = {origin}"
            f" WHERE {what} = '{UNTOUCHED}' AND {same}"
        )
        if found != moved:
            yield _finding(
                table,
                "not restored",
                moved - found,
                f'{moved - found:,} rows of "{table}" that were not changed since, and whose rowid '
                "moved, are not identical to the backup",
            )
    # Row `a` is here the TEMP table's, which holds each value as it was just before.
    kept = written.rows - moved
    as_before = count(
        f"{written.source} AS a CROSS JOIN {main} AS b ON {written.same_row('a', 'b')}"
        f" WHERE a.{quote_name(written.what)} <> '{UNTOUCHED}' AND {same}"
    )
    if as_before != kept:
        yield _finding(
            table,
            "not kept",
            kept - as_before,
            f'{kept - as_before:,} rows of "{table}" that were written since are not as they were '
            "just before",
            sample_rows(
                connection,
                f"SELECT a.{key} AS {key} FROM {written.source} AS a WHERE"
                f" a.{quote_name(written.what)} <> '{UNTOUCHED}' AND NOT EXISTS"
                f" (SELECT 1 FROM {main} AS b WHERE {written.same_row('a', 'b')} AND {same})",
                SAMPLES,
            )
            if written.old.key
            else (),
        )


def _finding(
    table: str, change: str, rows: int, message: str, samples: tuple[Sample, ...] = ()
) -> Finding:
    return Finding("gate", table, "", change, rows, message, samples)
