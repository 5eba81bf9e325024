"""Triggers that may fire, and would write into `updated_at` over the migration's own time.

What they write depends on the clock, so the run's one timestamp would be in some rows and not in
others. Whether they really do is tried on a few rows, because their WHEN may well say no.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from runbook.hazards.clone import Entry
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, column_of, plain
from runbook.plan import timestamps
from runbook.plan.plan import Resource
from runbook.plan.shape import Shape, Trigger, read_shape
from runbook.sqlite.authorizer import note_compiling
from runbook.sqlite.quoting import fold_name, quote_name, same_name

_ROWS = 200
_ORDER = {"table": 0, "index": 1, "view": 2, "trigger": 3}


def probe_touching(survey: Survey) -> Iterator[Sighting]:
    """Triggers that set `updated_at` of a resource; only where the plan lets triggers fire."""
    if survey.plan.triggers.policy != "fire" or not survey.complete:
        return
    shape = read_shape(survey.connection, survey.plan)
    for trigger in shape.triggers:
        resource = next(r for r in survey.plan.resources if same_name(r.table, trigger.table))
        for touched in _touched(survey, resource, trigger):
            if _does_not_fire(survey, shape, resource, touched, trigger):
                continue
            assert touched.updated_at
            yield Sighting(
                "trigger_sets_updated_at",
                f"{plain(trigger.name)} on {plain(trigger.table)}",
                detail=f"It sets {column_of(touched, touched.updated_at)}.",
            )


def _touched(survey: Survey, resource: Resource, trigger: Trigger) -> list[Resource]:
    """The resources whose `updated_at` the trigger, or one that it fires, has an UPDATE for."""
    writes: set[tuple[str, str]] = set()

    def note(action: int, table: str | None, column: str | None, _: object, by: object) -> None:
        if by and action == sqlite3.SQLITE_UPDATE and table and column:
            writes.add((fold_name(table), fold_name(column)))
        elif by and action == sqlite3.SQLITE_INSERT and table:
            writes.add((fold_name(table), ""))

    with contextlib.closing(_clone(survey, only=trigger)) as clone:
        try:
            with note_compiling(clone, note):
                clone.execute(_update(resource, "NULL"))
        except sqlite3.Error:
            return []  # other probes name what does not compile
    return [
        r
        for r in survey.plan.resources
        if r.updated_at and (fold_name(r.table), fold_name(r.updated_at)) in writes
    ]


def _does_not_fire(
    survey: Survey, shape: Shape, resource: Resource, touched: Resource, trigger: Trigger
) -> bool:
    """Whether an update of some rows as the migration's leaves the time that it wrote.

    Tried where the trigger is on the very table whose time it sets, which its WHEN can look at.
    """
    if resource != touched or not resource.updated_at:
        return False
    at = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    stamp = timestamps.write(shape.format_of(resource), at)
    name, column = quote_name(resource.table), quote_name(resource.updated_at)
    with contextlib.closing(_clone(survey, only=None)) as clone:
        try:
            _copy_rows(survey, clone, resource)
            (rows,) = clone.execute(f"SELECT count(*) FROM {name}").fetchone()
            clone.execute(trigger.sql)
            clone.execute(_update(resource, "?"), (stamp,))
            (other,) = clone.execute(
                f"SELECT count(*) FROM {name} WHERE {column} IS NOT ?", (stamp,)
            ).fetchone()
        except sqlite3.Error:
            return False
    return bool(rows) and not other


def _copy_rows(survey: Survey, clone: sqlite3.Connection, resource: Resource) -> None:
    """Some rows of the resource, those without a time among them."""
    table = survey.table(resource.table)
    assert table is not None
    names = ", ".join(quote_name(c.name) for c in table.columns if not c.generated)
    name = quote_name(table.name)
    marks = ", ".join("?" for c in table.columns if not c.generated)
    for condition in ("TRUE", f"{quote_name(resource.updated_at or '')} IS NULL"):
        rows = survey.rows(f"SELECT {names} FROM main.{name} WHERE {condition} LIMIT {_ROWS}")
        clone.executemany(f"INSERT OR IGNORE INTO {name} ({names}) VALUES ({marks})", rows)


def _update(resource: Resource, value: str) -> str:
    column = quote_name(resource.updated_at or "")
    return (
        f"UPDATE {quote_name(resource.table)} SET organization_id = NULL"
        f"{f', {column} = {value}' if resource.updated_at else ''}"
    )


def _clone(survey: Survey, only: Trigger | None) -> sqlite3.Connection:
    """An empty copy of the schema with the new column, and with one trigger on its table only."""
    clone = sqlite3.connect(":memory:", isolation_level=None)

    def wanted(entry: Entry) -> bool:
        if entry.kind != "trigger":
            return True
        if only is None:
            return False
        return entry.name == only.name or not same_name(entry.table, only.table)

    for entry in sorted(filter(wanted, survey.entries), key=lambda e: _ORDER[e.kind]):
        with contextlib.suppress(sqlite3.Error):  # a module that is not there, shadow tables
            clone.execute(entry.sql)
    for resource in survey.plan.resources:
        with contextlib.suppress(sqlite3.Error):  # it is there already, which has its own probe
            clone.execute(
                f"ALTER TABLE {quote_name(resource.table)} ADD COLUMN organization_id TEXT"
            )
    return clone
