"""Hazards in the schema: what is missing, what is in the way, and what is merely worth knowing."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

from runbook.hazards.clone import Entry
from runbook.hazards.halfway import NEW_INDEXES, probe_half_done
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, column_of, plain
from runbook.script.migration import GUARD, LEDGER, NEW_TABLES, index_name
from runbook.sqlite.quoting import fold_name, quote_name, quote_value, same_name
from runbook.sqlite.sql_text import tokens

NEW_COLUMN = "organization_id"
_LEDGER_COLUMNS = {"migration", "run", "checksum", "applied_at"}


def probe_missing(survey: Survey) -> Iterator[Sighting]:
    """Tables and columns that the plan names and the database lacks."""
    plan = survey.plan
    wanted = [(plan.users.table, [plan.users.key, plan.users.email], "[users]")]
    wanted += [(r.table, [r.owner, r.updated_at], "[[resources]]") for r in plan.resources]
    for table, columns, place in wanted:
        present = survey.table(table)
        if present is None:
            there = sorted(t.name for t in survey.tables if t.kind == "table")
            names = [plain(n) for n in there if not n.startswith("sqlite_")]
            yield Sighting(
                "table_missing",
                plain(table),
                samples=tuple(names[: survey.samples]),
                remedy=f"Correct table under {place} in the plan; the database has: "
                f"{', '.join(names) or 'no table at all'}.",
            )
            continue
        if present.kind != "table":
            yield Sighting(
                "not_a_table",
                plain(table),
                remedy=f"{plain(table)} is a {present.kind}; name a table under {place}.",
            )
            continue
        for column in columns:
            if column is not None and present.column(column) is None:
                names = [plain(c.name) for c in present.columns]
                yield Sighting(
                    "column_missing",
                    f"{plain(table)}.{plain(column)}",
                    samples=tuple(names[: survey.samples]),
                    remedy=f"Correct it under {place} in the plan (or leave it out where it is"
                    f" optional); {plain(table)} has: {', '.join(names)}.",
                )


def probe_in_the_way(survey: Survey) -> Iterator[Sighting]:
    """The migration's own objects: from an earlier run, from a hand, or somebody else's."""
    applied = list(_already_migrated(survey))
    yield from applied
    if applied:
        return
    known = list(probe_half_done(survey))
    yield from known
    # What a half-done migration or the application's organizations consist of has its own way out.
    own = {str(name) for sighting in known for name in sighting.samples}
    resources = survey.plan.resources
    names = [*NEW_TABLES, *NEW_INDEXES, *(index_name(r) for r in resources), GUARD]
    folded = {fold_name(n) for n in names}
    for entry in survey.entries:
        if entry.kind == "trigger" or entry.name in own:
            continue
        subject = f"{entry.kind} {plain(entry.name)}"
        if same_name(entry.name, LEDGER) and not _is_ledger(survey, entry):
            yield Sighting("ledger_taken", subject, remedy=_renamed(survey, entry))
        elif fold_name(entry.name) in folded:
            yield Sighting("names_taken", subject, remedy=_renamed(survey, entry))
    for resource in resources:
        table = survey.table(resource.table)
        column = table.column(NEW_COLUMN) if table and not known else None
        if column:
            yield Sighting(
                "column_taken",
                column_of(resource, column.name),
                remedy=f"ALTER TABLE {quote_name(resource.table)} RENAME COLUMN"
                f" {quote_name(column.name)} TO {quote_name(column.name + '_old')};",
            )
    yield from _full(survey)


def _most_columns(connection: sqlite3.Connection) -> int:
    """How many columns a table may have: SQLite's default where the driver cannot be asked."""
    if not hasattr(connection, "getlimit"):  # a driver in the place of the standard library's
        return 2000
    return connection.getlimit(sqlite3.SQLITE_LIMIT_COLUMN)


def _full(survey: Survey) -> Iterator[Sighting]:
    """Resources with as many columns as SQLite admits."""
    most = _most_columns(survey.connection)
    for resource in survey.resources:
        table = survey.table(resource.table)
        if table is not None and len(table.columns) >= most:
            yield Sighting(
                "columns_full",
                plain(table.name),
                len(table.columns),
                remedy=f"Move a column of {plain(table.name)} into a table of its own, with the"
                f" application: SQLite admits {most:,} columns, and organization_id needs one.",
            )


def _is_ledger(survey: Survey, entry: Entry) -> bool:
    """Whether the table is one of ours, from another migration of this database."""
    table = survey.table(entry.name) if entry.kind == "table" else None
    return table is not None and {c.name for c in table.columns} >= _LEDGER_COLUMNS


def _renamed(survey: Survey, entry: Entry) -> str:
    """A script that gives the object another name; what it holds and does stays."""
    taken = {fold_name(e.name) for e in survey.entries} | {fold_name(t.name) for t in survey.tables}
    new, number = f"{entry.name}_old", 1
    while fold_name(new) in taken:
        number += 1
        new = f"{entry.name}_old{number}"
    name, renamed = quote_name(entry.name), quote_name(new)
    if entry.kind == "table":
        return f"ALTER TABLE {name} RENAME TO {renamed};"
    read = tokens(entry.sql)
    # SQLite keeps these texts as CREATE [UNIQUE] INDEX name, or CREATE VIEW name.
    place = next(t for t in read if t.is_name and same_name(t.name, entry.name))
    text = f"{entry.sql[: place.start]}{renamed}{entry.sql[place.end :]}"
    # A view takes its triggers with it.
    own = (e for e in survey.entries if e.kind == "trigger" and same_name(e.table, entry.name))
    triggers = [f"\n{_fired_by(e.sql, renamed)};" for e in own if entry.kind == "view"]
    return f"DROP {entry.kind.upper()} {name};\n{text};{''.join(triggers)}"


def _fired_by(trigger: str, renamed: str) -> str:
    """The text of a trigger, fired by the view of another name."""
    read = tokens(trigger)
    place = next(n for n, t in enumerate(read) if n > 2 and t.word == "ON") + 1
    if read[place + 1].word == ".":
        place += 2
    return f"{trigger[: read[place].start]}{renamed}{trigger[read[place].end :]}"


def probe_oddities(survey: Survey) -> Iterator[Sighting]:
    """What is unusual about the plan's own tables, for the reader's information."""
    plan = survey.plan
    for name in (plan.users.table, *(r.table for r in plan.resources)):
        table = survey.table(name)
        if table is None or table.kind != "table":
            continue
        subject = plain(table.name)
        if generated := [c.name for c in table.columns if c.generated]:
            yield Sighting("generated_columns", subject, len(generated), tuple(generated))
        if table.strict:
            yield Sighting("strict_tables", subject)
        if table.without_rowid:
            yield Sighting("without_rowid_tables", subject)
        special = [
            str(i)
            for (i,) in survey.rows(
                "SELECT i.name FROM pragma_index_list(?) AS i WHERE i.partial"
                " OR EXISTS (SELECT 1 FROM pragma_index_info(i.name) WHERE cid = -2)",
                table.name,
            )
        ]
        if special:
            yield Sighting("special_indexes", subject, len(special), tuple(special))
    yield from _cascades(survey)
    yield from _odd_names(survey)


def _already_migrated(survey: Survey) -> Iterator[Sighting]:
    ledger = survey.table(LEDGER)
    if not ledger or not {c.name for c in ledger.columns} >= _LEDGER_COLUMNS:
        return
    for run, at in survey.rows(
        f"SELECT run, applied_at FROM main.{LEDGER} WHERE migration = ?",
        survey.plan.migration.name,
    ):
        yield Sighting(
            "already_migrated",
            survey.plan.migration.name,
            samples=(f"run {run}, applied at {at} UTC",),
            remedy=f"Go on in the folder of the run {run}, or take it back there; SELECT * FROM "
            f"{LEDGER} WHERE migration = {quote_value(survey.plan.migration.name)}; shows its "
            "entry.",
        )


def _cascades(survey: Survey) -> Iterator[Sighting]:
    """References with CASCADE, SET NULL or SET DEFAULT to the plan's tables."""
    plan = survey.plan
    ours = {fold_name(plan.users.table), *(fold_name(r.table) for r in plan.resources)}
    texts_of: dict[str, list[str]] = {}
    for table, parent, source, delete, update in survey.rows(
        'SELECT m.name, f."table", group_concat(f."from"), f.on_delete, f.on_update'
        " FROM main.sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f"
        " WHERE m.type = 'table' GROUP BY m.name, f.id ORDER BY m.rowid, f.id"
    ):
        acts = [
            f"ON {event} {action}"
            for event, action in (("DELETE", delete), ("UPDATE", update))
            if action not in ("NO ACTION", "RESTRICT")
        ]
        name = fold_name(str(table))
        if acts and fold_name(str(parent)) in ours and name not in NEW_TABLES:
            text = f"{plain(str(table))}({source}) {' '.join(acts)}"
            texts_of.setdefault(str(parent), []).append(text)
    for parent, texts in texts_of.items():
        yield Sighting("cascades", plain(parent), len(texts), tuple(texts[: survey.samples]))


def _odd_names(survey: Survey) -> Iterator[Sighting]:
    plan = survey.plan
    names = [plan.users.table, plan.users.key, plan.users.email]
    for resource in plan.resources:
        names += [resource.table, resource.owner, resource.updated_at]
    odd = list(dict.fromkeys(n for n in names if n is not None and _needs_quotes(n)))
    if odd:
        yield Sighting(
            "odd_names", "plan", len(odd), tuple(quote_name(n) for n in odd[: survey.samples])
        )


def _needs_quotes(name: str) -> bool:
    """Whether SQLite does not read the name as it stands: keywords, spaces, signs."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return True
    scratch = sqlite3.connect(":memory:")
    try:
        scratch.execute(f"CREATE TABLE {name} ({name})")
    except sqlite3.Error:
        return True
    finally:
        scratch.close()
    return False
