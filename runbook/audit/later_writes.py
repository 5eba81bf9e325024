"""What was written to a resource table since the migration, row by row, without keeping the rest.

Rows of which nothing was written are many and are only counted; the others go into a TEMP table
(`Written.tables`) with every value, so that a later look can tell whether they stayed as they were.

A row is untouched if every value outside the footprint equals the backup's, strictly, and it still
carries the migration's own instant and the organization that the migration gave it. It is looked
for under its rowid first, which is fast, and then under its declared key, because rowids move when
a database is dumped and loaded, and in some cases by VACUUM. A migration in parts that has not
ended has not come to every row yet: what is as it was before is untouched then as well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from runbook.audit.samples import sample_rows
from runbook.errors import Refused
from runbook.plan.plan import Plan, Resource
from runbook.plan.shape import Shape
from runbook.run.findings import Sample
from runbook.run.records import TableSince
from runbook.script.footprint import outside_columns
from runbook.script.migration import rule, template_values
from runbook.sqlite.inequality import any_differs
from runbook.sqlite.quoting import fold_name, quote_name, same_name
from runbook.sqlite.tables import Column, Table
from runbook.templates import sql_file

UNTOUCHED = "untouched"

_COLUMNS_AT_ONCE = 1_000
"""So many columns of a resource go into one TEMP table, which has a few more than they."""


@dataclass(frozen=True)
class Written:
    """The rows of one resource that are not under their rowid as the migration left them.

    The first of `tables` is the TEMP table that names them: `row` their rowid now (or a running
    number), `origin` their rowid in the backup where it is another, `what` one of `inserted`,
    `edited`, `stamped` (nothing but `updated_at` was written), `moved` (nothing but the
    organization) and `untouched`, and the columns of the resource under their own names. The names
    of the first three are made free of those. SQLite admits 2,000 columns to a table, so those of a
    very wide one go into several, of which the others have `row` and the remaining columns.
    """

    resource: Resource
    old: Table
    tables: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    row: str
    origin: str
    what: str
    rows: int
    changes: TableSince
    partial: bool = False
    """Whether the migration has not ended, so that rows may have no organization yet."""

    @property
    def source(self) -> str:
        """The TEMP table that names the rows, as statements name it."""
        return f"temp.{quote_name(self.tables[0])}"

    def rest_of(self, kept: str) -> str:
        """Joins of the other TEMP tables, as `rest1` and so on, with `kept` of the first one."""
        row = quote_name(self.row)
        return "".join(
            f" JOIN temp.{quote_name(table)} AS rest{i} ON rest{i}.{row} = {kept}.{row}"
            for i, table in enumerate(self.tables[1:], 1)
        )

    @property
    def moved(self) -> bool:
        """Whether an untouched row was found under another rowid."""
        return self.rows > self.changes.edited + self.changes.inserted

    def same_row(self, kept: str, row: str) -> str:
        """The condition that `kept`, of the TEMP table, is the row `row` of the resource."""
        if self.old.rowid is not None:
            return f"{kept}.{quote_name(self.row)} = {row}.{quote_name(self.old.rowid)}"
        # The plus keeps the column's affinity and collation out of it, and the index usable.
        keys = (quote_name(k) for k in self.old.key)
        return " AND ".join(f"{kept}.{k} = +{row}.{k} COLLATE BINARY" for k in keys)

    def counterpart(self, old: str, row: str) -> str:
        """The condition that `old`, of the backup, has the rowid (or the key) of `row`."""
        names = (self.old.rowid,) if self.old.rowid is not None else self.old.key
        return " AND ".join(f"{old}.{quote_name(n)} = {row}.{quote_name(n)}" for n in names)


def find_written(
    connection: sqlite3.Connection,
    plan: Plan,
    shape: Shape,
    old: Table,
    *,
    partial: bool = False,
) -> Written:
    """Finds what was written since to the resource whose table in the backup is `old`.

    The migrated database is `main` and its backup is attached as `before`; the ledger still holds
    the migration's row. `partial` says that the migration came to some rows only.

    Raises:
        Refused: the rows cannot be told apart, because columns hide the rowid and there is no key.
    """
    if old.rowid is None and not old.without_rowid:
        raise Refused(
            f'The rows of "{old.name}" cannot be told apart: columns named rowid, _rowid_ and oid '
            "hide the rowid; restore the backup instead."
        )
    written = _nothing_written(plan, old, partial)
    tables, row = written.tables, quote_name(written.row)
    _create(connection, written)
    test, values = _what_became(connection, plan, shape, written)
    main, before = (f"{schema}.{quote_name(old.name)}" for schema in ("main", "before"))
    by_rowid = sql_file("later_writes/by_rowid").render(
        written=written.source,
        rowid=f"b.{quote_name(old.rowid)}" if old.rowid else "NULL",
        missing=f"a.{quote_name(old.rowid or old.key[0])} IS NULL",
        what_became=test,
        values=_values_now(written.columns[0]),
        now=main,
        before=before,
        counterpart=written.counterpart("a", "b"),
    )
    connection.execute(by_rowid, values)
    if old.rowid is None:
        keys = ", ".join(quote_name(k) for k in old.key)
        index = quote_name(f"{tables[0]}_key")
        connection.execute(f"CREATE INDEX temp.{index} ON {quote_name(tables[0])} ({keys})")
    elif old.key and not old.stable_rowid:
        _find_by_key(connection, written, main, before, test, values)
    for name, some in zip(tables[1:], written.columns[1:], strict=True):
        connection.execute(
            f"INSERT INTO temp.{quote_name(name)} SELECT k.{row}, {_values_now(some)}"
            f" FROM {written.source} AS k CROSS JOIN {main} AS b ON {written.same_row('k', 'b')}"
        )
    return _counted(connection, written, main, before, values)


def _nothing_written(plan: Plan, old: Table, partial: bool) -> Written:
    """The names of the TEMP tables for one resource, and no rows yet."""
    taken = {fold_name(c) for c in (*old.column_names, "organization_id")}
    row, origin, what = (_free(name, taken) for name in ("row", "origin", "what"))
    number, resource = next(
        (i, r) for i, r in enumerate(plan.resources) if same_name(r.table, old.name)
    )
    columns = _columns_of_each(old, resource)
    name = f"runbook_written_{number}"
    tables = (name, *(f"{name}_{i}" for i in range(1, len(columns))))
    return Written(
        resource, old, tables, columns, row, origin, what, 0, TableSince(old.name, 0), partial
    )


def _columns_of_each(old: Table, resource: Resource) -> tuple[tuple[str, ...], ...]:
    """The columns of each TEMP table; what names a row and what is exported stands in the first."""
    names = [*old.column_names, "organization_id"]
    known = (*old.key, resource.owner, resource.updated_at, "organization_id")
    first = {fold_name(name) for name in known if name}
    if len(names) > _COLUMNS_AT_ONCE:
        names.sort(key=lambda name: fold_name(name) not in first)
    at = max(_COLUMNS_AT_ONCE, len(first))
    rest = range(at, len(names), _COLUMNS_AT_ONCE)
    return (tuple(names[:at]), *(tuple(names[i : i + _COLUMNS_AT_ONCE]) for i in rest))


def _create(connection: sqlite3.Connection, written: Written) -> None:
    """The TEMP tables. No declared types: without affinity every value is kept exactly as it is."""
    own: Sequence[str] = (written.origin, written.what)
    for table, columns in zip(written.tables, written.columns, strict=True):
        listed = ", ".join(quote_name(c) for c in (*own, *columns))
        connection.execute(f"DROP TABLE IF EXISTS temp.{quote_name(table)}")
        connection.execute(
            f"CREATE TEMP TABLE {quote_name(table)} ({quote_name(written.row)} INTEGER PRIMARY KEY,"
            f" {listed})"
        )
        own = ()


def _values_now(columns: Sequence[str]) -> str:
    """The values of row `b`, without affinity."""
    return ", ".join(f"+b.{quote_name(name)}" for name in columns)


# Many parameters because they are the parts of one statement.
def _find_by_key(
    connection: sqlite3.Connection,
    written: Written,
    main: str,
    before: str,
    test: str,
    values: dict[str, str | int],
) -> None:
    """Rows that are not the same as what stands under their rowid are looked for by their key."""
    old, rowid = written.old, written.old.rowid
    assert rowid is not None
    inserted, found_again = sql_file("later_writes/by_key").statements(
        written=written.source,
        what=quote_name(written.what),
        origin=quote_name(written.origin),
        has_key=" AND ".join(f"{quote_name(k)} IS NOT NULL" for k in old.key),
        rowid=quote_name(rowid),
        what_became=test,
        now=main,
        before=before,
        same_row=written.same_row("k", "b"),
        same_key=" AND ".join(f"a.{quote_name(k)} = +b.{quote_name(k)}" for k in old.key),
    )
    connection.execute(inserted)
    connection.execute(found_again, values)


def _what_became(
    connection: sqlite3.Connection, plan: Plan, shape: Shape, written: Written
) -> tuple[str, dict[str, str | int]]:
    """What became of row `b` that was row `a`, as an SQL expression, and the values it binds."""
    old, resource = written.old, written.resource
    outside = set(outside_columns(plan, shape, old.name, old.column_names))
    # What is generated from other columns says nothing that they do not say.
    others = [(c, c) for c in old.columns if c.name in outside and c.generated == "no"]
    values: dict[str, str | int] = {}
    as_before = ""
    if written.partial:
        stamp = resource.updated_at
        stamps = [(c, c) for c in old.columns if stamp and same_name(c.name, stamp)]
        as_before = f"b.organization_id IS NULL AND NOT ({any_differs(stamps)})"
    if resource.updated_at:
        values["instant"] = instant(connection, plan, shape, resource)
    owner = f"a.{quote_name(resource.owner)}"
    test = sql_file("later_writes/what_became").render(
        edited=any_differs(others),
        as_before=as_before,
        stamped=_stamped(resource) if resource.updated_at else "",
        organization=rule("organization_of(owner, 'before.')", plan, shape, owner=owner),
    )
    return test.strip(), values


def instant(
    connection: sqlite3.Connection, plan: Plan, shape: Shape, resource: Resource
) -> str | int:
    """The migration's own instant as it was written into the resource's `updated_at`."""
    values = template_values(plan, shape)
    resources = values["resources"]
    assert isinstance(resources, list)
    now = next(r["now"] for r in resources if r["plain"] == resource.table)
    sql = f"SELECT {now} FROM main.runbook_ledger WHERE migration = {values['migration']}"
    value: str | int = connection.execute(sql).fetchone()[0]
    return value


def _stamped(resource: Resource) -> str:
    assert resource.updated_at
    value = f"b.{quote_name(resource.updated_at)}"
    return f"+{value} IS NOT :instant COLLATE BINARY OR typeof({value}) <> typeof(:instant)"


def _counted(
    connection: sqlite3.Connection,
    written: Written,
    main: str,
    before: str,
    values: dict[str, str | int],
) -> Written:
    """`written` with its counts."""
    what = quote_name(written.what)
    of = dict(
        connection.execute(f"SELECT {what}, count(*) FROM {written.source} GROUP BY 1").fetchall()
    )
    rows, rows_before = (
        int(connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0]) for t in (main, before)
    )
    updated_at = written.resource.updated_at
    undated = 0
    if updated_at:
        undated = connection.execute(
            f"SELECT count(*) FROM {written.source} AS b"
            f" WHERE {what} = 'edited' AND NOT ({_stamped(written.resource)})",
            values,
        ).fetchone()[0]
    inserted = of.get("inserted", 0)
    edited = sum(of.get(w, 0) for w in ("edited", "stamped", "moved"))
    changes = TableSince(
        table=written.old.name,
        rows=rows,
        edited=edited,
        inserted=inserted,
        deleted=rows_before - (rows - inserted),
        restored=rows - inserted - edited if updated_at else 0,
        moved=of.get("moved", 0),
        undated=undated,
    )
    samples = tuple(_samples(connection, written, main, before, deleted=changes.deleted > 0))
    changes = replace(changes, samples=samples)
    return replace(written, rows=sum(of.values()), changes=changes)


def _samples(
    connection: sqlite3.Connection, written: Written, main: str, before: str, *, deleted: bool
) -> Iterator[Sample]:
    """The keys of the first rows of each kind that somebody wrote."""
    old, what = written.old, quote_name(written.what)
    names = old.key or ((old.rowid,) if old.rowid else ())
    now = ", ".join(quote_name(k) for k in old.key) or f"{quote_name(written.row)} AS rowid"
    for place, kinds in (("inserted", "'inserted'"), ("edited", "'edited', 'stamped', 'moved'")):
        query = f"SELECT {now} FROM {written.source} WHERE {what} IN ({kinds})"
        for sample in sample_rows(connection, query, keys=len(names)):
            yield replace(sample, place=place)
    if deleted:
        keys = ", ".join(f"a.{quote_name(k)}" for k in names)
        same = " AND ".join(f"b.{quote_name(k)} = a.{quote_name(k)}" for k in names)
        still = f"SELECT 1 FROM {main} AS b WHERE {same}"
        gone = f"SELECT {keys} FROM {before} AS a WHERE NOT EXISTS ({still})"
        for sample in sample_rows(connection, gone, keys=len(names)):
            yield replace(sample, place="deleted")


def _free(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name = "_" + name
    return name


def same_columns(table: Table) -> tuple[tuple[Column, Column], ...]:
    """Every column of a table, paired with itself."""
    return tuple((c, c) for c in table.columns)
