"""Hazards that only trying shows: the migration and its way back, on an empty copy of the schema.

Reading SQL to guess what SQLite will make of it is error-prone; compiling it is exact. The copy
has the same tables, indexes, views and triggers, and no rows, so each trial takes milliseconds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator

from runbook.errors import RunbookError
from runbook.hazards.clone import empty_clone, execute
from runbook.hazards.remedy import comment
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, plain
from runbook.plan.plan import Level, Plan, Unowned
from runbook.plan.shape import Shape, Trigger, read_shape
from runbook.script.migration import Script, index_name, render
from runbook.sqlite.authorizer import note_compiling
from runbook.sqlite.quoting import fold_name, quote_name

_WRITES = {
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}


def probe_by_trial(survey: Survey) -> Iterator[Sighting]:
    """Views, triggers, the script and its way back; the clone is changed by it.

    `survey.complete` must hold, and nothing may be in the migration's way.
    """
    clone = survey.clone
    plan = _without_adoption(survey.plan)
    shape = read_shape(clone, plan)
    views_before = {v: _columns(clone, v) for v in _views(survey) if _compiles_view(clone, v)}
    script = render(plan, shape)
    failed = _run(clone, script)
    if failed:
        yield Sighting(
            "script_fails",
            failed[0],
            remedy=f"SQLite says: {failed[1]}. Change what it names, or the plan.",
        )
        return
    yield from _triggers(survey, shape)
    yield from _shown_by_views(survey, clone, views_before)
    # A broken view refuses the way back; it is reported once, under its own name.
    broken = any(_error(clone, f"EXPLAIN SELECT * FROM {quote_name(v)}") for v in views_before)
    if not broken and not list(probe_views(survey)):
        yield from _way_back(survey, clone)


def probe_views(survey: Survey) -> Iterator[Sighting]:
    """Views that do not work today; the application's functions count as there."""
    with contextlib.closing(empty_clone(survey.entries)) as clone:
        for view in _views(survey):
            error = _error(clone, f"EXPLAIN SELECT * FROM {quote_name(view)}")
            if error:
                yield Sighting(
                    "views_broken",
                    plain(view),
                    remedy=f"DROP VIEW {quote_name(view)};"
                    + comment(f"or repair it; SQLite says: {error}"),
                )


def _without_adoption(plan: Plan) -> Plan:
    """The plan with nothing adopted: the adopter's key has its own probe."""
    return dataclasses.replace(plan, unowned=Unowned())


def _run(clone: sqlite3.Connection, script: Script) -> tuple[str, str] | None:
    """Runs the migration; the step that fails and why, or None."""
    for step in script.steps:
        for statement in step.statements:
            try:
                execute(clone, statement)
            except sqlite3.Error as error:
                return step.title, str(error)
    return None


def _triggers(survey: Survey, shape: Shape) -> Iterator[Sighting]:
    if not shape.triggers:
        return
    levels: dict[str, Level | None] = {"refuse": None, "suspend": "note", "fire": "warn"}
    policy = survey.plan.triggers.policy
    for trigger in shape.triggers:
        writes, error = _written_by(survey, trigger)
        tables = sorted({table for table, _ in writes})
        does = tuple(f"{how} {plain(table)}" for table, how in sorted(writes))
        names = ", ".join(f'"{t}"' for t in tables)
        adds = all(how == "INSERT" and _is_ordinary(survey, table) for table, how in writes)
        suspend = '[triggers] policy = "suspend"'
        remedy = {
            "refuse": f"In the plan: {suspend} (they do not fire)"
            + (f', or policy = "fire" with may_write = [{names}]' if adds else ""),
            "suspend": "Nothing: it is dropped and created again within the migration's own"
            " transaction, and does not fire.",
            "fire": f"Nothing, if these tables may be written; allowed are"
            f" may_write = [{', '.join(map(repr, survey.plan.triggers.may_write))}]."
            if adds
            else f"It does more than add rows to tables, which is refused where it fires: {suspend}"
            " in the plan.",
        }[policy]
        yield Sighting(
            "triggers_fire",
            f"{plain(trigger.name)} on {plain(trigger.table)}",
            samples=does[: survey.samples],
            remedy=remedy,
            level=levels[policy],
            detail=f"It does not work today, as SQLite says: {error}."
            if error
            else f"It writes {', '.join(map(plain, tables))}."
            if tables
            else "It writes nothing.",
        )


def _is_ordinary(survey: Survey, name: str) -> bool:
    """Whether it is a table of rows: a virtual one writes into tables of its own."""
    table = survey.table(name)
    return table is not None and table.kind == "table"


def _written_by(survey: Survey, trigger: Trigger) -> tuple[set[tuple[str, str]], str]:
    """(table, INSERT/UPDATE/DELETE) of the trigger and of those that it fires in turn, or an error.

    SQLite calls the authorizer for each access while the UPDATE is compiled, with the name of
    the trigger that asks for it. Only this trigger is left on the table meanwhile.
    """
    clone = survey.clone
    resource = next(
        r for r in survey.plan.resources if fold_name(r.table) == fold_name(trigger.table)
    )
    others = [
        (e.name, e.sql)
        for e in survey.entries
        if e.kind == "trigger"
        and fold_name(e.table) == fold_name(trigger.table)
        and e.name != trigger.name
    ]
    writes: set[tuple[str, str]] = set()

    def note(
        action: int, table: str | None, _: str | None, schema: str | None, by: str | None
    ) -> None:
        if by and table and action in _WRITES and not table.startswith("sqlite_"):
            writes.add((table, _WRITES[action]))

    columns = ["organization_id", *([resource.updated_at] if resource.updated_at else [])]
    sets = ", ".join(f"{quote_name(c)} = NULL" for c in columns)
    clone.execute("SAVEPOINT alone")
    try:
        for name, _ in others:
            clone.execute(f"DROP TRIGGER IF EXISTS {quote_name(name)}")
        with note_compiling(clone, note):
            execute(clone, f"EXPLAIN UPDATE {quote_name(resource.table)} SET {sets}")
    except sqlite3.Error as error:
        return set(), str(error)
    finally:
        clone.execute("ROLLBACK TO alone")
        clone.execute("RELEASE alone")
    return writes, ""


def _views(survey: Survey) -> list[str]:
    return [e.name for e in survey.entries if e.kind == "view"]


def _compiles_view(connection: sqlite3.Connection, view: str) -> bool:
    return _error(connection, f"EXPLAIN SELECT * FROM {quote_name(view)}") is None


def _columns(connection: sqlite3.Connection, view: str) -> list[str]:
    return [
        d[0] for d in connection.execute(f"SELECT * FROM {quote_name(view)} LIMIT 0").description
    ]


def _shown_by_views(
    survey: Survey, clone: sqlite3.Connection, before: dict[str, list[str]]
) -> Iterator[Sighting]:
    """Views that show the new column; what breaks or means something else has its own probe."""
    for view, columns in before.items():
        after = _columns(clone, view) if _compiles_view(clone, view) else columns
        if after != columns:
            names = ", ".join(quote_name(c) for c in columns)
            new = [c for c in after if c not in columns]
            yield Sighting(
                "views_select_star",
                plain(view),
                samples=tuple(new[: survey.samples]),
                remedy=f"DROP VIEW {quote_name(view)}; and create it again with SELECT {names}"
                " in place of *",
            )


def _way_back(survey: Survey, clone: sqlite3.Connection) -> Iterator[Sighting]:
    """Whether the column can be dropped again."""
    for resource in survey.plan.resources:
        table = quote_name(resource.table)
        clone.execute(f"DROP INDEX IF EXISTS {quote_name(index_name(resource))}")
        error = _error(clone, f"ALTER TABLE {table} DROP COLUMN organization_id")
        if error:
            yield Sighting(
                "column_cannot_be_dropped",
                f"{plain(resource.table)}.organization_id",
                remedy=f"SQLite says: {error}. Change what it names before the migration.",
            )


def _error(connection: sqlite3.Connection, statement: str) -> str | None:
    """What SQLite says against the statement, None where it has nothing to say."""
    try:
        execute(connection, statement)
    except (sqlite3.Error, RunbookError) as error:
        return str(error)
    return None
