"""Views and triggers compiled before and after: what breaks, and what would mean something else.

Each is compiled on three empty copies of the schema: as it is, with organization_id in the
resources, and with a column in the same places whose name nobody uses. What compiled must still
compile. And where the program that SQLite makes of it differs between the last two, the view or
trigger reads the new column by its name, as NATURAL JOIN does: it would mean something else from
then on. A column that is only shown by SELECT * makes no difference here.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from runbook.hazards.clone import Entry, compile_error, empty_clone, execute
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, plain
from runbook.sqlite.quoting import fold_name, quote_name, same_name
from runbook.sqlite.sql_text import (
    Columns,
    natural_as_using,
    with_columns_named,
    without_new_columns,
)

NEW_COLUMN = "organization_id"
_POINTER = re.compile(r"^vtab:.*")
_REWRITES = (
    (natural_as_using,),
    (with_columns_named,),
    (without_new_columns,),
    (natural_as_using, with_columns_named),
    (with_columns_named, without_new_columns),
)

Program = tuple[tuple[object, ...], ...]


@dataclass(frozen=True)
class Statement:
    """One use of a view or trigger; `alone` are the triggers that must not fire meanwhile."""

    sql: str
    alone: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """What is wrong with an object after the migration; an empty `error`: its meaning changes."""

    entry: Entry
    error: str


@dataclass
class Trial:
    """The three copies, the objects as they would be repaired, and what each is used for."""

    survey: Survey
    before: sqlite3.Connection
    named: sqlite3.Connection
    unnamed: sqlite3.Connection
    texts: dict[str, str]
    uses: dict[str, tuple[Statement, ...]] = field(default_factory=dict)

    @property
    def after(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        """The copies that have the new column."""
        return self.named, self.unnamed

    def close(self) -> None:
        """Closes all three."""
        for connection in (self.before, *self.after):
            connection.close()


def probe_compiled(survey: Survey) -> Iterator[Sighting]:
    """Views and triggers that would break or mean something else; `survey.complete` must hold."""
    trial = _begin(survey)
    try:
        faults = _faults(trial)
        repaired: list[Fault] = []
        while progress := [fault for fault in faults if _repair(trial, fault)]:
            repaired += progress  # what stands on them may be right again
            faults = _faults(trial)
        order = {entry.name: place for place, entry in enumerate(_objects(survey))}
        for fault in sorted(repaired, key=lambda f: order[f.entry.name]):
            yield _sighting(fault, _replaced(trial, fault.entry))
        for fault in faults:
            yield _sighting(fault, "")
    finally:
        trial.close()


def _begin(survey: Survey) -> Trial:
    """The copies with their columns, and the statements that compile today."""
    before, *copies = [empty_clone(survey.entries) for _ in range(3)]
    for number, resource in enumerate(survey.plan.resources):
        table = quote_name(resource.table)
        for copy, name in zip(copies, (NEW_COLUMN, f"runbook column {number}"), strict=True):
            copy.execute(f"ALTER TABLE {table} ADD COLUMN {quote_name(name)} TEXT")
    texts = {e.name: e.sql for e in _objects(survey)}
    named, unnamed = copies
    trial = Trial(survey, before, named, unnamed, texts)
    for entry in _objects(survey):
        used = _view_uses(trial, entry) if entry.kind == "view" else _trigger_uses(survey, entry)
        trial.uses[entry.name] = tuple(s for s in used if _compiled(trial.before, s)[1] is None)
    return trial


def _objects(survey: Survey) -> list[Entry]:
    """Views first, since triggers may stand on them."""
    views = [e for e in survey.entries if e.kind == "view"]
    return views + [e for e in survey.entries if e.kind == "trigger"]


def _view_uses(trial: Trial, entry: Entry) -> list[Statement]:
    """The view as it is read, and its columns of today by name."""
    name = quote_name(entry.name)
    everything = Statement(f"SELECT * FROM {name}")
    if compile_error(trial.before, everything.sql) is not None:
        return []
    columns = [d[0] for d in trial.before.execute(f"SELECT * FROM {name} LIMIT 0").description]
    by_name = ", ".join(map(quote_name, columns))
    return [Statement(f"SELECT {by_name} FROM {name}"), everything]


def _trigger_uses(survey: Survey, entry: Entry) -> list[Statement]:
    """One INSERT, UPDATE and DELETE that could fire the trigger, and nothing else there."""
    table = survey.table(entry.table)
    if table is None:
        return []
    name = quote_name(table.name)
    columns = [quote_name(c.name) for c in table.columns if not c.generated]
    siblings = tuple(
        e.name
        for e in survey.entries
        if e.kind == "trigger" and same_name(e.table, entry.table) and e.name != entry.name
    )
    sets = ", ".join(f"{c} = {c}" for c in columns)
    return [
        Statement(sql, siblings)
        for sql in (
            f"INSERT INTO {name} DEFAULT VALUES",
            f"UPDATE {name} SET {sets}",
            f"DELETE FROM {name}",
        )
    ]


def _faults(trial: Trial) -> list[Fault]:
    """What compiled before and does not now, or now reads the new column by its name."""
    faults = []
    for entry in _objects(trial.survey):
        fault = _fault(trial, entry)
        if fault is not None:
            faults.append(fault)
    return faults


def _fault(trial: Trial, entry: Entry) -> Fault | None:
    for statement in trial.uses[entry.name]:
        named, error = _compiled(trial.named, statement)
        if error is not None:
            return Fault(entry, error)
        if entry.kind == "view" and statement.sql.startswith("SELECT *"):
            continue  # it shows the new column, which is another matter
        unnamed, _ = _compiled(trial.unnamed, statement)
        if named != unnamed:
            return Fault(entry, "")
    return None


def _compiled(copy: sqlite3.Connection, statement: Statement) -> tuple[Program, str | None]:
    """SQLite's program for the statement, without what differs between any two databases."""
    copy.execute("SAVEPOINT compiled")
    try:
        for trigger in statement.alone:
            copy.execute(f"DROP TRIGGER IF EXISTS {quote_name(trigger)}")
        rows = execute(copy, f"EXPLAIN {statement.sql}")
    except sqlite3.Error as error:
        return (), str(error)
    finally:
        copy.execute("ROLLBACK TO compiled")
        copy.execute("RELEASE compiled")
    return (
        tuple(
            (op, p1, p2, p3, _POINTER.sub("vtab", str(p4)), p5)
            for _, op, p1, p2, p3, p4, p5, *_ in rows
            if op not in ("Transaction", "Explain")
        ),
        None,
    )


def _repair(trial: Trial, fault: Fault) -> bool:
    """Whether another text of the object mends it; the copies then have that text."""
    before = trial.texts[fault.entry.name]
    for rewrites in _REWRITES:
        text: str | None = before
        for rewrite in rewrites:
            text = rewrite(text, _columns(trial, rewrite is natural_as_using)) if text else None
        if not text or text == before:
            continue
        for copy in (trial.before, *trial.after):
            copy.execute("SAVEPOINT repaired")
        trial.texts[fault.entry.name] = text
        kept = all(_remake(copy, trial, fault.entry) for copy in (trial.before, *trial.after))
        kept = kept and _fault(trial, fault.entry) is None
        for copy in (trial.before, *trial.after):
            if not kept:
                copy.execute("ROLLBACK TO repaired")
            copy.execute("RELEASE repaired")
        if kept:
            return True
        trial.texts[fault.entry.name] = before
    return False


def _columns(trial: Trial, views_too: bool) -> Columns:
    """Folded name to today's columns: of the resources, or of every table and view."""
    ours = {fold_name(r.table) for r in trial.survey.plan.resources}
    return {
        fold_name(table.name): tuple(c.name for c in table.columns if views_too or not c.generated)
        for table in trial.survey.tables
        if views_too or fold_name(table.name) in ours
    }


def _remake(copy: sqlite3.Connection, trial: Trial, entry: Entry) -> bool:
    """Drops the object and makes it anew from its text; whether SQLite agreed."""
    try:
        for statement in _statements(trial, entry):
            execute(copy, statement)
    except sqlite3.Error:
        return False
    return True


def _statements(trial: Trial, entry: Entry) -> Iterator[str]:
    """What makes the object anew. A view's triggers go with it, and triggers fire in their order,
    the one made last first: so those that were made later are made anew as well."""
    entries = trial.survey.entries
    if entry.kind == "view":
        later = [e for e in entries if e.kind == "trigger" and same_name(e.table, entry.name)]
        yield f"DROP VIEW {quote_name(entry.name)}"
        yield trial.texts[entry.name]
    else:
        own = [e for e in entries if e.kind == "trigger" and same_name(e.table, entry.table)]
        later = own[own.index(entry) :]
        for trigger in later:
            yield f"DROP TRIGGER {quote_name(trigger.name)}"
    for trigger in later:
        yield trial.texts[trigger.name]


def _replaced(trial: Trial, entry: Entry) -> str:
    """The remedy: a script that makes the object anew."""
    statements = ";\n".join(_statements(trial, entry))
    return f"BEGIN;\n{statements};\nCOMMIT;"


def _sighting(fault: Fault, script: str) -> Sighting:
    entry = fault.entry
    subject = plain(entry.name)
    if entry.kind == "trigger":
        subject += f" on {plain(entry.table)}"
    general = "Name the columns that it joins and writes by, and make it anew."
    if not fault.error:
        return Sighting("new_column_read", subject, remedy=script or general)
    code = "views_break" if entry.kind == "view" else "writes_break"
    remedy = script or f"Make it anew with its columns named: SQLite says: {fault.error}."
    return Sighting(code, subject, remedy=remedy, detail=f"SQLite would say: {fault.error}.")
