"""Hazards of what rows compute: generated columns that cannot be read, and checks not met.

Functions that only the application has, and values that an expression cannot take, are met by
whoever reads the column or changes the row. The file is sound all the same.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

from runbook.hazards.clone import Entry, empty_clone
from runbook.hazards.collations import stopped
from runbook.hazards.remedy import with_way_back
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Column, Survey, Table, plain
from runbook.run.findings import Sample
from runbook.sqlite.quoting import fold_name, quote_name, quote_value, same_name
from runbook.sqlite.soundness import is_damage
from runbook.sqlite.table_text import (
    check_expressions,
    column_part,
    generated_definition,
    generated_expression,
    mentions,
    not_generated,
)

_FUNCTION = re.compile(r"(?:no such|unknown) function: ([^(]+)")


def probe_generated(survey: Survey) -> Iterator[Sighting]:
    """Generated columns whose expression fails, because of a function or of certain rows.

    STORED columns of tables that nobody changes are never computed, so those may be as they are.
    """
    ours = [r.table for r in survey.plan.resources]
    for table, entry in _tables(survey):
        changed = any(same_name(table.name, name) for name in ours)
        for column in table.columns:
            expression = generated_expression(entry.sql, column.name) if column.generated else ""
            if not expression or (_stored(survey, table, column) and not changed):
                continue
            error = _error(survey, table, expression)
            if error is None:
                continue
            missing = _FUNCTION.search(str(error))
            if missing:
                yield _function(survey, table, entry, column, missing[1])
            elif not is_damage(error):
                yield _rows(survey, table, column, expression, str(error))


def probe_checks(survey: Survey) -> Iterator[Sighting]:
    """Rows that do not meet a CHECK; neither the migration nor its way back minds them."""
    for table, entry in _tables(survey):
        for expression in check_expressions(entry.sql):
            where = f"FROM main.{quote_name(table.name)} WHERE NOT ({expression})"
            try:
                (count,) = survey.row(f"SELECT count(*) {where}")
            except sqlite3.OperationalError:
                continue  # a function or a value: not met by us either
            if count:
                yield Sighting(
                    "checks_unmet",
                    plain(table.name),
                    count,
                    show_rows(survey, table, f"NOT ({expression})"),
                    f"SELECT * FROM {quote_name(table.name)} WHERE NOT ({expression});"
                    " -- then correct these rows, or accept them",
                    detail=f"CHECK ({expression}).",
                )


def row_columns(table: Table) -> list[str]:
    """The quoted columns that name a row of the table: its key, or its rowid."""
    alias = row_alias(table)
    return [quote_name(c.name) for c in table.key] or ([alias] if alias else ["NULL"])


def show_rows(survey: Survey, table: Table, where: str, *values: object) -> tuple[Sample, ...]:
    """A few rows of the table, by what names them."""
    columns = row_columns(table)
    query = f"SELECT {', '.join(columns)} FROM main.{quote_name(table.name)} WHERE {where}"
    return survey.show(query, *values, keys=len(columns))


def row_alias(table: Table) -> str | None:
    """A name of the rowid that no column hides; None where there is none."""
    if table.without_rowid:
        return None
    hidden = {fold_name(c.name) for c in table.columns}
    return next((a for a in ("rowid", "_rowid_", "oid") if a not in hidden), None)


def _tables(survey: Survey) -> Iterator[tuple[Table, Entry]]:
    for entry in survey.entries:
        table = survey.table(entry.name) if entry.kind == "table" else None
        if table is not None and table.kind == "table":
            yield table, entry


def _stored(survey: Survey, table: Table, column: Column) -> bool:
    return bool(
        survey.rows(
            "SELECT 1 FROM pragma_table_xinfo(?) WHERE name = ? AND hidden = 3",
            table.name,
            column.name,
        )
    )


def _error(survey: Survey, table: Table, expression: str) -> sqlite3.Error | None:
    """What SQLite says when it computes the expression for every row."""
    try:
        survey.rows(f"SELECT count(({expression})) FROM main.{quote_name(table.name)} NOT INDEXED")
    except sqlite3.Error as error:
        return None if stopped(error) else error
    return None


def _function(
    survey: Survey, table: Table, entry: Entry, column: Column, function: str
) -> Sighting:
    """The hazard of a function that only the application has; its column can be left out."""
    name, subject = quote_name(table.name), f"{plain(table.name)}.{plain(column.name)}"
    indexes = [
        e
        for e in survey.entries
        if e.kind == "index" and same_name(e.table, table.name) and mentions(e.sql, column.name)
    ]
    if _stored(survey, table, column):
        remedy = _plain_column(entry, column)
        return _calls(subject, function, remedy)
    before = [f"DROP INDEX {quote_name(e.name)};" for e in indexes]
    before.append(f"ALTER TABLE {name} DROP COLUMN {quote_name(column.name)};")
    after = [f"ALTER TABLE {name} ADD COLUMN {generated_definition(entry.sql, column.name)};"]
    after += [f"{e.sql};" for e in indexes]
    script = "\n".join(before)
    with closing(empty_clone(survey.entries)) as clone:
        try:
            clone.executescript(script)
        except sqlite3.Error:  # a view or trigger has the column, or is broken
            script = f"PRAGMA writable_schema = ON;\n{script}\nPRAGMA writable_schema = OFF;"
    return _calls(subject, function, with_way_back([script], after))


def _plain_column(entry: Entry, column: Column) -> str:
    """A script that makes a STORED column an ordinary one with the same values, and the way back.

    A row holds both in the same way, so that only the text changes.
    """
    old = column_part(entry.sql, column.name)
    new = not_generated(old)
    back = replaced_in_schema(entry, new, old)
    return with_way_back(replaced_in_schema(entry, old, new), back)


def replaced_in_schema(entry: Entry, there: str, then: str) -> list[str]:
    """Statements that change a part of a table's text, and nothing else."""
    return [
        "PRAGMA writable_schema = ON;",
        f"UPDATE sqlite_schema SET sql = replace(sql, {quote_value(there)}, {quote_value(then)})"
        f" WHERE type = 'table' AND name = {quote_value(entry.name)};",
        "PRAGMA writable_schema = RESET;",
    ]


def _calls(subject: str, function: str, remedy: str) -> Sighting:
    return Sighting(
        "functions_missing",
        subject,
        samples=(f"{function}()",),
        remedy=remedy,
        detail=f"The generated column calls {function}(), which only the application has.",
    )


def _rows(survey: Survey, table: Table, column: Column, expression: str, error: str) -> Sighting:
    """The hazard of rows for which the column cannot be computed."""
    name = quote_name(table.name)
    alias = row_alias(table)
    keys = [alias] if alias else row_columns(table)
    where = " AND ".join(f"{k} IS ?" for k in keys)
    one = f"SELECT ({expression}) FROM main.{name} WHERE {where}"
    shown: list[Sample] = []
    count = 0
    # Only where something fails, so that it may take its time.
    for values in survey.rows(f"SELECT {', '.join(keys)} FROM main.{name}"):
        try:
            survey.rows(one, *values)
        except sqlite3.Error:
            count += 1
            if len(shown) < survey.samples:
                shown += show_rows(survey, table, where, *values)
    return Sighting(
        "generated_unreadable",
        f"{plain(table.name)}.{plain(column.name)}",
        count,
        tuple(shown),
        _json_remedy(survey, table, expression)
        or f"Correct what {expression} reads in these rows.",
        detail=f"SQLite says: {error}.",
    )


def _json_remedy(survey: Survey, table: Table, expression: str) -> str:
    """A statement that keeps malformed JSON as a JSON string, where that is what is wrong."""
    name = quote_name(table.name)
    statements = []
    for column in table.columns:
        if column.generated or not mentions(expression, column.name):
            continue
        c = quote_name(column.name)
        wrong = f"typeof({c}) = 'text' AND NOT json_valid({c})"
        (count,) = survey.row(f"SELECT count(*) FROM main.{name} WHERE {wrong}")
        if count:
            statements.append(
                f"UPDATE {name} SET {c} = json_quote({c}) WHERE {wrong};"
                " -- keeps the malformed text, as a JSON string; or correct it"
            )
    return "\n".join(statements)
