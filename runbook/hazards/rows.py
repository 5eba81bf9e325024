"""Hazards in the rows: times of last change, keys that name no row, broken references."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from runbook.hazards.owners import row_key
from runbook.hazards.parents import missing_references
from runbook.hazards.remedy import comment
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, column_of, plain
from runbook.plan import timestamps
from runbook.plan.plan import Resource
from runbook.plan.shape import formats_found
from runbook.run.findings import Sample
from runbook.sqlite.quoting import fold_name, quote_name, quote_value
from runbook.sqlite.tables import affinity_of, read_tables
from runbook.wording import counted

# Clocks differ by a little; only what lies further ahead is called the future.
TOLERANCE = timedelta(minutes=1)


def probe_times(survey: Survey) -> Iterator[Sighting]:
    """Formats of `updated_at`, and times that have not come yet."""
    for resource in survey.resources:
        if resource.updated_at is None or not survey.has(resource.table, resource.updated_at):
            continue
        column = quote_name(resource.updated_at)
        table = f"main.{quote_name(resource.table)}"
        formats, latest = _formats(survey, resource, table, column)
        yield from _format_hazards(survey, resource, formats)
        yield from _stored_otherwise(survey, resource, formats)
        limit = datetime.now(UTC) + TOLERANCE
        at = limit.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        later = [
            f"({timestamps.matches_sql(name, column)}"
            f" AND {column} > {quote_value(timestamps.write(name, at))})"
            for name in formats
            if name != "unknown" and _may_be_later(latest, timestamps.write(name, at))
        ]
        if not later:
            continue
        where = " OR ".join(later)
        (count,) = survey.row(f"SELECT count(*) FROM {table} WHERE {where}")
        if count:
            yield Sighting(
                "updated_at_future",
                column_of(resource, resource.updated_at),
                count,
                _some_rows(survey, resource, where),
                f"SELECT * FROM {plain(resource.table)} WHERE {where};",
            )


def probe_row_keys(survey: Survey) -> Iterator[Sighting]:
    """Rows that their primary key does not name, because SQLite admits NULLs in it."""
    stored = {fold_name(table.name): table for table in read_tables(survey.connection)}
    for resource in survey.resources:
        table = survey.table(resource.table)
        assert table is not None
        rows = stored[fold_name(resource.table)]
        if rows.rowid is None and not rows.without_rowid:
            yield Sighting(
                "rowid_hidden",
                plain(resource.table),
                remedy=f"ALTER TABLE {plain(resource.table)} RENAME COLUMN oid TO <another name>;",
            )
        if not table.key:
            yield Sighting(
                "table_without_key",
                plain(resource.table),
                remedy=f"Do not run VACUUM on this database while {plain(resource.table)} may"
                " still be rolled back.",
            )
            continue
        if table.without_rowid or all(c.not_null for c in table.key):
            continue
        if rows.stable_rowid:
            continue  # it is never NULL
        where = " OR ".join(f"{quote_name(c.name)} IS NULL" for c in table.key)
        (count,) = survey.row(
            f"SELECT count(*) FROM main.{quote_name(resource.table)} WHERE {where}"
        )
        if count:
            yield Sighting(
                "rows_not_told_apart",
                plain(resource.table),
                count,
                survey.show(f"SELECT rowid FROM main.{quote_name(resource.table)} WHERE {where}"),
                f"SELECT rowid, * FROM {plain(resource.table)} WHERE {where};"
                " -- then fill in the key",
            )


def probe_references(survey: Survey) -> Iterator[Sighting]:
    """Foreign keys of all tables; the owners' own are left to the probe for owners."""
    gone = {(k.table.name, k.parent) for k in missing_references(survey)}  # another hazard
    tables = survey.rows(
        "SELECT DISTINCT m.name FROM main.sqlite_schema AS m, pragma_foreign_key_list(m.name)"
        " WHERE m.type = 'table' ORDER BY m.rowid"
    )
    for (name,) in tables:
        table = str(name)
        try:
            survey.clone.execute(f"PRAGMA foreign_key_check({quote_name(table)})").fetchall()
        except sqlite3.Error as error:
            yield Sighting("foreign_keys_mismatched", plain(table), detail=f"SQLite says: {error}.")
            continue
        keys = survey.rows(
            'SELECT id, "table", group_concat("from"), group_concat("to"), on_delete'
            " FROM pragma_foreign_key_list(?) GROUP BY id",
            table,
        )
        skipped = [
            int(str(k[0])) for k in keys if _is_owner(survey, table, k) or (table, k[1]) in gone
        ]
        if len(skipped) == len(keys):
            continue
        left_out = ", ".join(map(str, skipped)) or "-1"
        check = f"FROM pragma_foreign_key_check(?, 'main') WHERE fkid NOT IN ({left_out})"
        for fkid, parent, count in survey.rows(
            f"SELECT fkid, parent, count(*) {check} GROUP BY fkid, parent", table
        ):
            columns = next(str(k[2]) for k in keys if k[0] == fkid)
            yield Sighting(
                "foreign_keys_broken",
                f"{plain(table)}({columns}) to {plain(str(parent))}",
                int(str(count)),
                survey.show(
                    f"SELECT rowid {check} AND fkid = ?",
                    table,
                    fkid,
                ),
                f"PRAGMA foreign_key_check({quote_name(table)});"
                + comment(f"then correct or delete these rows of {plain(table)}"),
            )


def _is_owner(survey: Survey, table: str, key: tuple[object, ...]) -> bool:
    """Whether this is a resource's own reference from owner to user."""
    users = survey.plan.users
    _, parent, source, goal, _ = key
    return survey.has_users and any(
        fold_name(r.table) == fold_name(table)
        and fold_name(r.owner) == fold_name(str(source))
        and fold_name(str(parent)) == fold_name(users.table)
        and (goal is None or fold_name(str(goal)) == fold_name(users.key))
        for r in survey.resources
    )


def _may_be_later(latest: object, limit: str | int | float) -> bool:
    """False where the latest value, of the one format that the column has, is not beyond it."""
    if isinstance(latest, str) and isinstance(limit, str):
        return latest > limit
    if isinstance(latest, int | float) and isinstance(limit, int | float):
        return latest > limit
    return True


def _formats(
    survey: Survey, resource: Resource, table: str, column: str
) -> tuple[dict[str, int], object]:
    """Formats and, where there is only one, the latest value; one pass in the usual case."""
    kind = timestamps.classify_sql(column)
    first = survey.rows(f"SELECT {kind} FROM {table} WHERE {column} IS NOT NULL LIMIT 1")
    if not first:
        return {}, None
    name = str(first[0][0])
    if name != "unknown":
        values, matching, latest = survey.connection.execute(
            f"SELECT count({column}), sum({timestamps.matches_sql(name, column)}),"
            f" max({column} COLLATE BINARY) FROM {table}"
        ).fetchone()
        if values == matching:
            return {name: values}, latest
    return formats_found(survey.connection, resource), None


def _format_hazards(
    survey: Survey, resource: Resource, formats: dict[str, int]
) -> Iterator[Sighting]:
    assert resource.updated_at is not None
    subject = column_of(resource, resource.updated_at)
    chosen = resource.updated_at_format
    column = quote_name(resource.updated_at)
    counts = sorted(formats.items(), key=lambda item: -item[1])
    shown = tuple(f"{name} ({counted(count, 'row')})" for name, count in counts)
    unknown = formats.get("unknown", 0)
    known = [name for name, _ in counts if name != "unknown"]
    remedy = _format_remedy(survey, resource, known, unknown)
    if unknown:
        where = f"({timestamps.classify_sql(column)}) = 'unknown'"
        yield Sighting(
            "updated_at_unknown",
            subject,
            unknown,
            _some_rows(survey, resource, where),
            remedy,
            level="warn" if chosen else None,
        )
    if len(known) > 1:
        yield Sighting(
            "updated_at_mixed",
            subject,
            sum(formats[name] for name in known[1:]),
            shown,
            remedy,
            level="warn" if chosen else None,
        )
    elif known and chosen and chosen != known[0]:
        yield Sighting(
            "updated_at_mixed",
            subject,
            formats[known[0]],
            shown,
            f'Use updated_at_format = "{known[0]}", which the column has, or accept it.',
            level="warn",
            detail=f'The plan writes "{chosen}", but the column holds "{known[0]}".',
        )


def _format_remedy(survey: Survey, resource: Resource, known: list[str], unknown: int) -> str:
    """The plan's own choice, else a format that rows have and the column keeps, else none at all.

    Where a format is unknown, that is what the application reads and writes: none is proposed.
    """
    if resource.updated_at_format:
        return f'The plan decides: every row is written as "{resource.updated_at_format}".'
    place = f'In the plan, under [[resources]] of "{resource.table}":'
    kept = [name for name in known if stored_class(survey, resource, name) is None]
    if kept and not unknown:
        return f'{place} updated_at_format = "{kept[0]}" (or leave out updated_at)'
    return f"{place} leave out updated_at."


def _stored_otherwise(
    survey: Survey, resource: Resource, formats: dict[str, int]
) -> Iterator[Sighting]:
    """Whether the format that will be written, the plan's or that of all rows, stays what it is."""
    only = next(iter(formats)) if len(formats) == 1 and "unknown" not in formats else None
    kind = resource.updated_at_format or only
    table = survey.table(resource.table)
    column = table.column(resource.updated_at) if table and resource.updated_at else None
    if kind is None or column is None:
        return
    becomes = stored_class(survey, resource, kind)
    if becomes is not None:
        yield Sighting(
            "updated_at_stored_otherwise",
            column_of(resource, column.name),
            remedy=_kept_remedy(survey, resource, kind),
            detail=f'Written would be "{kind}" ({timestamps.storage_class(kind)}); in a column of '
            f"type {column.declared or 'ANY'} it would be {becomes}.",
        )


def _kept_remedy(survey: Survey, resource: Resource, kind: str) -> str:
    """For real seconds, whole ones where the column keeps them, as it makes them itself."""
    place = f'In the plan, under [[resources]] of "{resource.table}":'
    whole = timestamps.EPOCH_SECONDS
    if kind == timestamps.REAL_SECONDS and stored_class(survey, resource, whole) is None:
        return f'{place} updated_at_format = "{whole}" (or leave out updated_at)'
    return f"{place} leave out updated_at."


def stored_class(survey: Survey, resource: Resource, kind: str) -> str | None:
    """What a time in this format becomes in the column, as SQLite says; None: it stays as it is.

    Some times may stay and others not: a column of NUMERIC affinity makes an integer of 5.0.
    """
    table = survey.table(resource.table)
    column = table.column(resource.updated_at) if table and resource.updated_at else None
    if table is None or column is None:
        return None
    written = timestamps.storage_class(kind)
    values = [timestamps.write(kind, f"2026-01-02 03:04:05.{digits}") for digits in ("678", "000")]
    affinity = affinity_of(column.declared)
    declared = {"BLOB": ""}.get(affinity, affinity)
    if table.strict:
        declared = column.declared
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(f"CREATE TABLE t (x {declared}) {'STRICT' if table.strict else ''}")
        for value in values:
            try:
                memory.execute("INSERT INTO t VALUES (?)", (value,))
            except sqlite3.IntegrityError:
                return "refused"
        stored = {name for (name,) in memory.execute("SELECT typeof(x) FROM t")}
    return next(iter(stored - {written}), None)


def _some_rows(survey: Survey, resource: Resource, where: str) -> tuple[Sample, ...]:
    assert resource.updated_at is not None
    key = row_key(survey, resource)
    return survey.show(
        f"SELECT {', '.join((*key, quote_name(resource.updated_at)))}"
        f" FROM main.{quote_name(resource.table)} WHERE {where}",
        keys=len(key),
    )
