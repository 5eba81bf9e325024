"""The proof that a rollback took back what the migration did, and nothing else.

Before the script: what the database holds, and a guard that lets it write to nothing but what a
rollback may write to. After it, inside the same transaction: every row that was not changed since
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
from runbook.sqlite.cells import provide_functions
from runbook.sqlite.inequality import any_differs, any_of
from runbook.sqlite.quoting import fold_name, quote_name
from runbook.sqlite.tables import SchemaObject, Table, read_objects, read_tables
from runbook.sqlite.trigger_order import changed_order, read_trigger_order
from runbook.templates import sql_file
from runbook.wording import counted

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
        name = fold_name(table)
        if name in _SQLITES_OWN:
            return True
        if action == sqlite3.SQLITE_DELETE:
            return is_new_table(name)
        return action == sqlite3.SQLITE_UPDATE and any(
            r.updated_at is not None
            and (fold_name(r.table), fold_name(r.updated_at)) == (name, fold_name(column))
            for r in self.plan.resources
        )


@dataclass(frozen=True)
class Before:
    """The database just before the rollback began."""

    ledger: frozenset[tuple[object, ...]]
    drop_ledger: bool
    written: tuple[Written, ...]
    expected: frozenset[SchemaObject]
    """The schema as it must be afterwards."""
    trigger_order: dict[str, tuple[str, ...]]
    root_pages: dict[tuple[str, str], int]
    """Where tables and indexes begin; empty in a file in which SQLite itself moves them."""


def read_before(connection: sqlite3.Connection, plan: Plan, written: tuple[Written, ...]) -> Before:
    """What `main` holds before the script runs; `before` is the backup."""
    ledger = frozenset(connection.execute(f"SELECT * FROM main.{LEDGER}").fetchall())
    in_backup = any(
        o.type == "table" and o.name == LEDGER for o in read_objects(connection, "before")
    )
    others = [row for row in ledger if row[0] != plan.migration.name]
    drop_ledger = not in_backup and not others
    resources = {fold_name(r.table) for r in plan.resources}
    expected = expected_objects(read_objects(connection), plan, drop_ledger=drop_ledger) | {
        o
        for o in read_objects(connection, "before")
        if o.type == "table" and fold_name(o.name) in resources
    }
    return Before(
        ledger,
        drop_ledger,
        written,
        frozenset(expected),
        read_trigger_order(connection),
        _root_pages(connection),
    )


def restored_texts(before: Before, rewritten: tuple[SchemaObject, ...]) -> tuple[SchemaObject, ...]:
    """Of the objects that DROP COLUMN rewrites, those that stay, with the text that they must have.

    Tables first, since what stands on them is read with them.
    """
    names = {(each.type, each.name) for each in rewritten}
    texts = (each for each in before.expected if (each.type, each.name) in names)
    return tuple(sorted(texts, key=lambda each: (each.type != "table", each.type, each.name)))


def _root_pages(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    if connection.execute("PRAGMA main.auto_vacuum").fetchone()[0]:
        return {}
    return {
        (kind, name): page
        for kind, name, page in connection.execute(
            "SELECT type, name, rootpage FROM main.sqlite_schema"
        )
    }


def prove_rollback(
    connection: sqlite3.Connection, plan: Plan, before: Before
) -> tuple[Finding, ...]:
    """Everything in `main` that is not as a rollback must leave it; empty: it is proven."""
    provide_functions(connection)
    findings = [*_objects(connection, before), *_ledger(connection, plan, before)]
    new = {fold_name(t.name): t for t in read_tables(connection)}
    for written in before.written:
        now = new.get(fold_name(written.old.name))
        if now is None or now.column_names != written.old.column_names:
            continue  # the schema's finding says it
        findings += _Resource(connection, written, now).findings()
    return tuple(findings)


def _objects(connection: sqlite3.Connection, before: Before) -> Iterator[Finding]:
    """The schema: resources to the byte as in the backup, all else as it was just before."""
    expected = before.expected
    present = set(read_objects(connection))
    for each in sorted(expected ^ present, key=lambda o: (o.type, o.name, o not in expected)):
        missing = each in expected
        says = "is not what it must be again" if missing else "should not be there"
        yield _finding(
            each.name,
            f"{each.type} {'missing' if missing else 'left'}",
            1,
            f'the {each.type} "{each.name}" {says}',
            (schema_sample(each.name, *((each.sql, None) if missing else (None, each.sql))),),
        )
    for table in changed_order(before.trigger_order, read_trigger_order(connection)):
        message = f'the triggers of "{table}" would fire in another order than before'
        yield _finding(table, "trigger order", 1, message)
    for (kind, name), page in sorted(_root_pages(connection).items()):
        if before.root_pages.get((kind, name), page) != page:
            message = f'the {kind} "{name}" begins at another page than before'
            yield _finding(name, f"{kind} moved", 1, message)


def _ledger(connection: sqlite3.Connection, plan: Plan, before: Before) -> Iterator[Finding]:
    """The ledger holds what it held, without the row of this migration."""
    if before.drop_ledger:
        return  # that the table is gone, the schema says
    left = set(connection.execute(f"SELECT * FROM main.{LEDGER}").fetchall())
    wrong = left ^ {row for row in before.ledger if row[0] != plan.migration.name}
    if wrong:
        yield _finding(LEDGER, "changed", len(wrong), "the ledger is not as it was before")


@dataclass(frozen=True)
class _Resource:
    """One resource whose rows are proven, by the files of `sql/rollback_gate/`.

    Row `b` is the one of today, row `a` that of the backup, row `k` the one in the TEMP table of
    `written`, which holds each value as it was just before the rollback.
    """

    connection: sqlite3.Connection
    written: Written
    now: Table

    def findings(self) -> Iterator[Finding]:
        """Untouched rows must be as in the backup, the others as just before."""
        yield from self._number()
        yield from self._untouched()
        if self.written.rows:
            source, what = self.written.source, quote_name(self.written.what)
            moved = self._count(f"SELECT count(*) FROM {source} WHERE {what} = '{UNTOUCHED}'")
            yield from self._moved(moved)
            yield from self._kept(self.written.rows - moved)

    def _render(self, name: str, same_row: str, differs: str, **values: str) -> str:
        written, old = self.written, self.written.old
        return sql_file(f"rollback_gate/{name}").render(
            now=f"main.{quote_name(old.name)}",
            before=f"before.{quote_name(old.name)}",
            written=written.source,
            what=quote_name(written.what),
            key=quote_name((old.key or (old.rowid or "rowid",))[0]),
            same_row=same_row,
            differs=differs,
            **values,
        )

    def _count(self, query: str) -> int:
        return int(self.connection.execute(query).fetchone()[0])

    def _number(self) -> Iterator[Finding]:
        table, held = self.now.name, self.written.changes.rows
        rows = self._count(f"SELECT count(*) FROM main.{quote_name(self.written.old.name)}")
        if rows != held:
            message = f'"{table}" holds {counted(rows, "row")} and held {held:,} just before'
            yield _finding(table, "rows", abs(rows - held), message)

    def _untouched(self) -> Iterator[Finding]:
        """Rows that were not changed since are identical to the backup."""
        same_row, counterpart = self.written.same_row("k", "b"), self.written.counterpart("a", "b")
        differs = any_differs(same_columns(self.now))
        restored = self._count(self._render("restored", same_row, differs, counterpart=counterpart))
        wrong = self.written.changes.rows - self.written.rows - restored
        if wrong:
            query = self._render("not_restored", same_row, differs, counterpart=counterpart)
            yield self._not_restored(wrong, "", sample_rows(self.connection, query, SAMPLES))

    def _moved(self, moved: int) -> Iterator[Finding]:
        """So are those that lie under another rowid now."""
        if not moved:
            return
        query = self._render(
            "restored_elsewhere",
            self.written.same_row("k", "b"),
            any_differs(same_columns(self.now)),
            rowid=quote_name(self.written.old.rowid or ""),
            origin=quote_name(self.written.origin),
        )
        restored = self._count(query)
        if restored != moved:
            yield self._not_restored(moved - restored, ", and whose rowid moved,", ())

    def _not_restored(self, rows: int, which: str, samples: tuple[Sample, ...]) -> Finding:
        table = self.written.old.name
        message = (
            f'of the rows of "{table}" that were not changed since{which} {abs(rows):,} '
            f"{'is' if abs(rows) == 1 else 'are'} not identical to the backup"
        )
        return _finding(table, "not restored", abs(rows), message, samples)

    def _kept(self, expected: int) -> Iterator[Finding]:
        """Rows that were written since are as they were just before."""
        written, table = self.written, self.written.old.name
        # Here row `a` is the TEMP table's, so that both are compared by the same condition.
        same_row, rest = written.same_row("a", "b"), written.rest_of("a")
        parts = []
        for i, names in enumerate(written.columns):
            pairs = [(c, c) for c in self.now.columns if c.name in names]
            parts.append(any_differs(pairs, f"rest{i}" if i else "a"))
        differs = any_of(parts)
        as_before = self._count(self._render("kept", same_row, differs, rest=rest))
        if as_before == expected:
            return
        samples: tuple[Sample, ...] = ()
        if written.old.key:
            query = self._render("not_kept", same_row, differs, rest=rest)
            samples = sample_rows(self.connection, query, SAMPLES)
        rows = expected - as_before
        message = (
            f'of the rows of "{table}" that were written since {counted(rows, "is", "are")} not as '
            "just before"
        )
        yield _finding(table, "not kept", rows, message, samples)


def _finding(
    table: str, change: str, rows: int, message: str, samples: tuple[Sample, ...] = ()
) -> Finding:
    return Finding("gate", table, "", change, rows, message, samples)
