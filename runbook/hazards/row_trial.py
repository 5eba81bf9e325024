"""Constraints that only rows violate: the migration's new time tried on a copy of the rows.

CHECK (updated_at <= closed_at), or UNIQUE (owner, updated_at), holds in an empty schema and fails
in certain rows. The rows are copied into a temporary table with the same definition, and changed
there as the migration will change them. A foreign key that goes by the time fails in rows, too.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

from runbook.hazards.clone import Entry
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, column_of, plain
from runbook.plan import timestamps
from runbook.plan.plan import Resource
from runbook.plan.shape import Shape, read_shape
from runbook.run.findings import Sample
from runbook.script.migration import row_key
from runbook.sqlite.quoting import fold_name, quote_name, quote_value, same_name
from runbook.sqlite.table_text import mentions

_ASKED = 50
"""So many rows are changed one by one, to hear from SQLite which constraint it is."""


_LEFT_OUT = 'In the plan, under [[resources]] of "{}": leave out updated_at.'


def probe_rows(survey: Survey) -> Iterator[Sighting]:
    """Rows in which the migration's time would violate a constraint; the database is only read."""
    if not survey.complete:
        return
    shape = read_shape(survey.connection, survey.plan)
    for resource in survey.resources:
        if resource.updated_at is not None and _concerned(survey, resource):
            with contextlib.suppress(sqlite3.OperationalError):  # functions have their own probe
                yield from _refused(survey, shape, resource)
        if resource.updated_at is not None:
            yield from _referring(survey, shape, resource)


def _referring(survey: Survey, shape: Shape, resource: Resource) -> Iterator[Sighting]:
    """Foreign keys from or to the time of last change, of which rows would refer to nothing."""
    assert resource.updated_at is not None
    changing = {fold_name(c) for c in (resource.updated_at, *shape.derived.get(resource.table, ()))}
    keys: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for child, number, parent, column, goal in survey.rows(
        'SELECT m.name, f.id, f."table", f."from", coalesce(f."to", (SELECT k.name FROM'
        " pragma_table_xinfo(f.\"table\", 'main') AS k WHERE k.pk = f.seq + 1), '')"
        " FROM main.sqlite_schema AS m, pragma_foreign_key_list(m.name, 'main') AS f"
        " WHERE m.type = 'table' ORDER BY m.rowid, f.id, f.seq"
    ):
        key = (str(child), str(number), str(parent))
        keys.setdefault(key, []).append((str(column), str(goal)))
    for (child, _, parent), columns in keys.items():
        own = same_name(child, resource.table)
        leaves = own and any(fold_name(c) in changing for c, _ in columns)
        arrives = same_name(parent, resource.table) and any(
            fold_name(c) in changing for _, c in columns
        )
        if not (leaves or arrives):
            continue
        # The migration fills in its time where there was none.
        referring = " AND ".join(
            f"{quote_name(c)} IS NOT NULL"
            for c, _ in columns
            if not (own and fold_name(c) in changing)
        )
        (count,) = survey.row(
            f"SELECT count(*) FROM main.{quote_name(child)} WHERE {referring or 'TRUE'}"
        )
        if count:
            names, goals = (", ".join(plain(c[n]) for c in columns) for n in (0, 1))
            yield Sighting(
                "rows_refuse",
                column_of(resource, resource.updated_at),
                count,
                remedy=_LEFT_OUT.format(resource.table),
                detail=f"FOREIGN KEY constraint failed: {plain(child)}({names}) refers to"
                f" {plain(parent)}({goals}).",
            )


def _entry(survey: Survey, resource: Resource) -> Entry:
    return next(
        e for e in survey.entries if e.kind == "table" and same_name(e.name, resource.table)
    )


def _unique_indexes(survey: Survey, resource: Resource) -> list[Entry]:
    names = {
        str(name)
        for (name,) in survey.rows(
            "SELECT name FROM pragma_index_list(?, 'main') WHERE \"unique\" AND origin = 'c'",
            resource.table,
        )
    }
    return [e for e in survey.entries if e.kind == "index" and e.name in names]


def _concerned(survey: Survey, resource: Resource) -> bool:
    """Whether a constraint, an index or another column mentions the time of last change."""
    column = resource.updated_at
    assert column is not None
    if mentions(_entry(survey, resource).sql, column) > 1:
        return True
    if any(mentions(entry.sql, column) for entry in _unique_indexes(survey, resource)):
        return True
    return bool(
        survey.rows(
            "SELECT 1 FROM pragma_index_list(?, 'main') AS i"
            ", pragma_index_info(i.name, 'main') AS c"
            ' WHERE i."unique" AND lower(c.name) = lower(?)',
            resource.table,
            column,
        )
    )


def _refused(survey: Survey, shape: Shape, resource: Resource) -> Iterator[Sighting]:
    """One sighting for each constraint, while a temporary table has the rows."""
    assert resource.updated_at is not None
    connection = survey.connection
    table = f"temp.{quote_name(resource.table)}"
    column = quote_name(resource.updated_at)
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    new = timestamps.write_sql(shape.format_of(resource), quote_value(at))
    with _copied(survey, shape, resource):
        connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {new}")
        remaining = f"FROM {table} WHERE {column} IS NOT ({new})"
        (count,) = connection.execute(f"SELECT count(*) {remaining}").fetchone()
        if not count:
            return
        keys = [quote_name(k) for k in row_key(resource, shape)]
        where = " AND ".join(f"{k} IS ?" for k in keys)
        listed = ", ".join(keys)
        rows = connection.execute(f"SELECT {listed} {remaining} LIMIT {_ASKED}").fetchall()
        reasons: dict[str, list[Sample]] = {}
        for values in rows:
            try:
                connection.execute(
                    f"UPDATE OR ABORT {table} SET {column} = {new} WHERE {where}", values
                )
            except sqlite3.IntegrityError as error:
                named = f"SELECT {listed} FROM {table} WHERE {where}"
                shown = survey.show(named, *values, keys=len(keys))
                reasons.setdefault(str(error), []).extend(shown)
        for reason, samples in reasons.items():
            yield Sighting(
                "rows_refuse",
                column_of(resource, resource.updated_at),
                count if len(reasons) == 1 else len(samples),
                tuple(samples[: survey.samples]),
                _LEFT_OUT.format(resource.table),
                detail=f"{reason}, in {plain(resource.table)}.",
            )


@contextlib.contextmanager
def _copied(survey: Survey, shape: Shape, resource: Resource) -> Iterator[None]:
    """Meanwhile a temporary table of the same name and definition has the same rows."""
    connection, name = survey.connection, quote_name(resource.table)
    table = survey.table(resource.table)
    assert table is not None
    # SQLite keeps these texts from the name on, behind words of its own.
    definition = _entry(survey, resource).sql.removeprefix("CREATE TABLE ")
    columns = [quote_name(c.name) for c in table.columns if not c.generated]
    if row_key(resource, shape) == ("rowid",) and not table.without_rowid:
        columns.insert(0, "rowid")
    listed = ", ".join(columns)
    (query_only,) = survey.row("PRAGMA query_only")
    (ignored,) = survey.row("PRAGMA ignore_check_constraints")
    connection.execute("PRAGMA query_only = OFF")
    try:
        connection.execute(f"CREATE TEMP TABLE {definition}")
        for entry in _unique_indexes(survey, resource):
            text = entry.sql.removeprefix("CREATE UNIQUE INDEX ")
            connection.execute(f"CREATE UNIQUE INDEX temp.{text}")
        # What violates a constraint today already is not what this is about.
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(
            f"INSERT OR IGNORE INTO temp.{name}({listed}) SELECT {listed} FROM main.{name}"
        )
        connection.execute("PRAGMA ignore_check_constraints = OFF")
        yield
    finally:
        connection.execute(f"PRAGMA ignore_check_constraints = {ignored}")
        connection.execute(f"DROP TABLE IF EXISTS temp.{name}")
        connection.execute(f"PRAGMA query_only = {query_only}")
