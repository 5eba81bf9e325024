"""What each view returns, before and after: names of columns, number of rows, and every value.

A new column changes what NATURAL JOIN, USING and SELECT * mean, without any error. So every view
that worked is read on both sides. Where it reads what the migration itself writes into the rows,
such as `updated_at`, the old values are put back for that moment, inside a savepoint: what then
differs is due to the new schema alone.
"""

from __future__ import annotations

import contextlib
import marshal
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from runbook.audit.view_program import same_program
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.run.findings import Finding, Witness
from runbook.script.migration import LEDGER
from runbook.sqlite.authorizer import note_compiling
from runbook.sqlite.cells import provide_functions, row_sql
from runbook.sqlite.interrupts import time_limit, was_cut_short
from runbook.sqlite.quoting import fold_name, quote_name
from runbook.sqlite.tables import Table, read_tables
from runbook.templates import sql_file
from runbook.wording import counted

SECONDS = 120.0
"""How long one view may take on both sides; what is not finished by then is named."""

PATIENCE = 0.1
"""Seconds for which rows are compared before it is asked whether there is need for it."""

_NEW_COLUMN = "organization_id"
_ROWS_AT_ONCE = 2_000
_SCHEMA_TABLES = ("sqlite_master", "sqlite_schema")


@dataclass(frozen=True)
class ViewsCompared:
    """What was found, how many views were compared, and which were not, with the reason."""

    findings: tuple[Finding, ...] = ()
    compared: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """One view that compiles: its columns and the (table, column) pairs, casefolded, it reads."""

    name: str
    columns: tuple[str, ...]
    reads: frozenset[tuple[str, str]]

    def reads_any(self, tables: frozenset[str]) -> bool:
        """Whether it reads any of these tables."""
        return any(table in tables for table, _ in self.reads)


class _LeftOut(Exception):
    """This view cannot be compared; the message says why."""


class _Changed(Exception):
    """This view is not what it was; the message says how."""


# Many parameters because the tests vary the last two, and the gate gives the others.
def compare_views(
    connection: sqlite3.Connection,
    plan: Plan,
    shape: Shape,
    witness: Witness = "gate",
    seconds: float = SECONDS,
) -> ViewsCompared:
    """Compares every view of `before` with its counterpart in `main`.

    A view that failed before may fail after, and one of another text is found by its text.
    The gate may write to `main` inside a savepoint, to put old times back; after the commit, views
    that read `updated_at` are compared by their columns only.
    """
    names = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM before.sqlite_schema WHERE type = 'view' AND (name, sql) IN"
            " (SELECT name, sql FROM main.sqlite_schema WHERE type = 'view') ORDER BY rowid"
        ).fetchall()
    ]
    if not names:
        return ViewsCompared()
    provide_functions(connection)
    comparison = _Comparison(connection, plan, witness, seconds)
    views = [view for name in names if (view := _compiled(connection, "before", name))]
    footprint = _footprint(plan, shape)
    later = [view for view in views if view.reads & footprint]
    for view in views:
        if view not in later:
            comparison.compare(view)
        elif witness != "gate":
            comparison.compare(view, columns_only="it reads what the migration writes")
    if later and witness == "gate":
        with _old_values(connection, plan) as problem:
            for view in later:
                comparison.compare(view, columns_only=problem)
    return ViewsCompared(
        tuple(comparison.findings), len(comparison.compared), tuple(comparison.left_out)
    )


@dataclass(frozen=True)
class _Comparison:
    connection: sqlite3.Connection
    plan: Plan
    witness: Witness
    seconds: float
    findings: list[Finding] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def compare(self, view: View, columns_only: str = "") -> None:
        """Compares one view; `columns_only` is why its rows are not."""
        try:
            self._columns(view)
            reason = columns_only or self._moving(view)
            if reason:
                raise _LeftOut(f"only its columns were compared, because {reason}")
            with time_limit(self.connection, self.seconds):
                self._rows(view)
        except _Changed as change:
            message = f'the view "{view.name}" {change}'
            self.findings.append(Finding(self.witness, view.name, "", "view changed", 1, message))
        except _LeftOut as reason:
            self.left_out.append(f'the view "{view.name}": {reason}')
        else:
            self.compared.append(view.name)

    def _columns(self, view: View) -> None:
        """Every column of before, in order; new ones may only be those of the migration."""
        name = f"main.{quote_name(view.name)}"
        try:
            cursor = self.connection.execute(f"SELECT * FROM {name} LIMIT 0")
        except sqlite3.Error as error:
            raise _Changed(f"does not work any more ({error})") from error
        after = [column[0] for column in cursor.description]
        left = iter(after)
        missing = [c for c in view.columns if not any(c == each for each in left)]
        new = [c for c in after if c not in view.columns and not _is_new_column(c)]
        if missing or new:
            raise _Changed(f"had the columns {_listed(view.columns)} and has {_listed(after)}")

    def _moving(self, view: View) -> str:
        """Why this view may well return other rows; empty where it may not."""
        if view.reads_any(frozenset(_SCHEMA_TABLES)):
            return "it reads the schema"
        written = {LEDGER, "organizations", "organization_memberships"}
        if self.plan.triggers.policy == "fire":
            written |= {fold_name(t) for t in (*self.plan.triggers.may_write, "sqlite_sequence")}
        if view.reads_any(frozenset(written)):
            return "it reads tables that the migration writes"
        return ""

    def _rows(self, view: View) -> None:
        one, other = (f"{schema}.{quote_name(view.name)}" for schema in ("before", "main"))
        columns = [quote_name(c) for c in view.columns]
        try:
            if self._same_sequence(view, one, other):
                return
            different = self._different(columns, one, other)
            if not different:
                return
            if self._different(columns, one, one):
                raise _LeftOut("it does not return the same rows twice")
        except sqlite3.Error as error:
            self._explain(error, columns, one)
        rows = [self._count(source) for source in (one, other)]
        if rows[0] != rows[1]:
            raise _Changed(
                f"returned {counted(rows[0], 'row')} before and returns {rows[1]:,} now; {_WHY}"
            )
        raise _Changed(f"returns {counted(different, 'row')} that it did not return before; {_WHY}")

    def _explain(self, error: sqlite3.Error, columns: list[str], one: str) -> None:
        """Raises what an error means: it failed before too, or only now, or took too long."""
        if was_cut_short(error):
            raise _LeftOut(f"reading it took more than {self.seconds:g} s") from error
        try:
            for _ in self.connection.execute(f"SELECT {_cells(columns)} FROM {one}"):
                pass
        except sqlite3.Error as before:
            if was_cut_short(before):
                raise _LeftOut(f"reading it took more than {self.seconds:g} s") from before
            raise _LeftOut(f"it failed before as well ({before})") from before
        raise _Changed(f"fails now ({error}) and did not before") from error

    def _same_sequence(self, view: View, one: str, other: str) -> bool:
        """Whether both give the same rows in the same order: nearly always so, and quick.

        Of many rows the first are compared, if SQLite does the very same steps for all of them.
        """
        chosen = ", ".join(map(quote_name, view.columns))
        until: float | None = time.monotonic() + PATIENCE
        cursors = [
            self.connection.execute(f"SELECT {chosen} FROM {source}") for source in (one, other)
        ]
        try:
            while True:
                # The oldest form of marshal, whose bytes tell 1 from 1.0 and 'a' from x'61'.
                pair = [marshal.dumps(cursor.fetchmany(_ROWS_AT_ONCE), 0) for cursor in cursors]
                if pair[0] != pair[1]:
                    return False
                if pair[0] == _NOTHING:
                    return True
                if until is not None and time.monotonic() > until:
                    until = None  # it is asked once
                    if same_program(self.connection, view.name, view.columns):
                        return True
        except sqlite3.OperationalError as error:
            if "decode" in str(error):
                return False  # text that is not UTF-8 is for SQLite to compare
            raise
        finally:
            for cursor in cursors:
                cursor.close()

    def _different(self, columns: list[str], one: str, other: str) -> int:
        """Rows, as a multiset, that are on one side only; the larger number of both."""
        query = sql_file("audit/view_difference").render(
            cells=_cells(columns),
            chosen=", ".join(f"c{n}" for n in range(len(row_sql(columns)))),
            one=one,
            other=other,
        )
        more, fewer = self.connection.execute(query).fetchone()
        return int(max(more, fewer))

    def _count(self, source: str) -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM {source}").fetchone()[0])


_WHY = (
    "the new column organization_id changes what it means, as NATURAL JOIN, USING and * do, or its "
    "new index the order in which rows are read, which LIMIT and group_concat() show: name its "
    "columns, and the order, and run again, unless the application wrote after the snapshot"
)
_NOTHING = marshal.dumps([], 0)


def _compiled(connection: sqlite3.Connection, schema: str, name: str) -> View | None:
    """The view, with what SQLite says that it reads; None where it does not compile."""
    reads: set[tuple[str, str]] = set()

    def note(action: int, one: str | None, two: str | None, *_: str | None) -> None:
        if action == sqlite3.SQLITE_READ and one:
            reads.add((fold_name(one), fold_name(two or "")))
        elif action == sqlite3.SQLITE_PRAGMA:
            reads.add((_SCHEMA_TABLES[0], ""))

    source = f"{quote_name(schema)}.{quote_name(name)}"
    try:
        with note_compiling(connection, note):
            cursor = connection.execute(f"SELECT * FROM {source} LIMIT 0")
        columns = tuple(column[0] for column in cursor.description)
    except sqlite3.Error:
        return None
    if any(table.startswith("pragma_") for table, _ in reads):
        reads.add((_SCHEMA_TABLES[0], ""))
    return View(name, columns, frozenset(reads))


def _footprint(plan: Plan, shape: Shape) -> frozenset[tuple[str, str]]:
    """(table, column), casefolded, of everything that the migration overwrites in rows."""
    return frozenset(
        (fold_name(resource.table), fold_name(column))
        for resource in plan.resources
        if resource.updated_at
        for column in (resource.updated_at, *shape.derived.get(resource.table, ()))
    )


@contextlib.contextmanager
def _old_values(connection: sqlite3.Connection, plan: Plan) -> Iterator[str]:
    """`updated_at` as it was, for as long as this is open; yields what stood in the way, if so."""
    connection.execute("SAVEPOINT old_values")
    try:
        yield _put_back(connection, plan)
    finally:
        connection.execute("ROLLBACK TO old_values")
        connection.execute("RELEASE old_values")


def _put_back(connection: sqlite3.Connection, plan: Plan) -> str:
    """Puts the backup's times into `main`; why that could not be done, or an empty text."""
    tables = {fold_name(t.name): t for t in read_tables(connection, "before")}
    for resource in plan.resources:
        if not resource.updated_at:
            continue
        table = tables[fold_name(resource.table)]
        pairs = _pairs(connection, table)
        if not pairs:
            return f'the rows of "{table.name}" cannot be told apart'
        name, column = quote_name(table.name), quote_name(resource.updated_at)
        triggers = connection.execute(
            "SELECT name FROM main.sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) ="
            " lower(?)",
            (table.name,),
        ).fetchall()
        try:
            for (trigger,) in triggers:
                connection.execute(f"DROP TRIGGER main.{quote_name(trigger)}")
            connection.execute(
                f"UPDATE main.{name} AS r SET {column} = b.{column} FROM before.{name} AS b"
                f" WHERE {pairs}"
            )
        except sqlite3.Error as error:
            return f"the old times cannot be put back for the comparison ({error})"
    return ""


def _pairs(connection: sqlite3.Connection, table: Table) -> str:
    """The condition that row `b` of the backup is row `r`; empty where nothing tells rows apart.

    Rows are found by their rowid, which is fast, unless another row than then lies there.
    """

    def same(names: tuple[str, ...], how: str = "=") -> str:
        return " AND ".join(f"r.{quote_name(n)} {how} +b.{quote_name(n)}" for n in names)

    if table.rowid is None:
        return same(table.key) if table.without_rowid else ""
    by_rowid = same((table.rowid,))
    if table.stable_rowid or not table.key:
        return by_rowid  # without a key, what has moved was refused before the first step
    name = quote_name(table.name)
    moved = connection.execute(
        f"SELECT 1 FROM before.{name} AS b LEFT JOIN main.{name} AS r ON {by_rowid}"
        f" WHERE r.{quote_name(table.rowid)} IS NULL OR NOT ({same(table.key, 'IS')}) LIMIT 1"
    ).fetchone()
    return same(table.key) if moved else by_rowid


def _is_new_column(name: str) -> bool:
    """Whether SELECT * shows the new column under this name; a second one is numbered."""
    head, _, number = fold_name(name).partition(":")
    return head == _NEW_COLUMN and (not number or number.isdigit())


def _cells(columns: list[str]) -> str:
    return ", ".join(f"{cell} AS c{n}" for n, cell in enumerate(row_sql(columns)))


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)
