"""What a check of the whole file found, as hazards: `.recover` is for damaged pages alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from runbook.hazards.generated_columns import replaced_in_schema, row_alias, show_rows
from runbook.hazards.remedy import word
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, Table, plain, survey
from runbook.plan.plan import Plan
from runbook.sqlite.connect import readable_text
from runbook.sqlite.quoting import quote_name, same_name
from runbook.sqlite.soundness import Method, Soundness, check_soundness, method_for
from runbook.sqlite.table_text import column_part, retyped
from runbook.sqlite.tables import affinity_of


def method_of(path: Path) -> Method:
    """How the whole file is checked, by its size."""
    return method_for(path.stat().st_size)


def probe_soundness(connection: sqlite3.Connection, path: Path, plan: Plan) -> Iterator[Sighting]:
    """Everything that a check of the whole file finds."""
    soundness = check_soundness(connection, method_of(path))
    with readable_text(connection):
        surveyed = None if soundness.pages else survey(connection, plan)
        yield from report_soundness(surveyed, soundness, path)


def report_soundness(survey: Survey | None, soundness: Soundness, path: Path) -> Iterator[Sighting]:
    """The hazards of a file; damaged pages hide all else, which may be their consequence."""
    if soundness.pages:
        yield Sighting(
            "integrity_errors",
            path.name,
            len(soundness.pages),
            tuple(soundness.pages),
            f"sqlite3 {word(path.resolve())} .recover | sqlite3 recovered.db"
            " # or restore the last good backup",
        )
        return
    assert survey is not None
    for index, line in soundness.indexes.items():
        yield Sighting(
            "index_incomplete",
            f"{plain(index)} on {plain(_table_of(survey, index))}",
            samples=(line[:200],),
            remedy=f"REINDEX {quote_name(index)};",
        )
    with_nulls = {table for table, _ in soundness.nulls}
    for index in soundness.repeated:
        # NULLs count as equal where NOT NULL is declared: that hazard comes first.
        if index not in soundness.indexes and _table_of(survey, index) not in with_nulls:
            yield _repeated(survey, index)
    for table, column in soundness.nulls:
        yield from _nulls(survey, table, column)
    for table, column in soundness.types:
        yield Sighting(
            "types_unmet",
            f"{plain(table)}.{plain(column)}",
            remedy=_admitted(survey, table, column),
            level=None if _changed(survey, table) else "warn",
        )


def _table_of(survey: Survey, index: str) -> str:
    rows = survey.rows("SELECT tbl_name FROM main.sqlite_schema WHERE name = ?", index)
    return str(rows[0][0]) if rows else "main"


def _changed(survey: Survey, table: str) -> bool:
    return any(same_name(r.table, table) for r in survey.plan.resources)


def _in_plan(survey: Survey, table: str, column: str) -> bool:
    """Whether the plan itself reads or writes the column."""
    plan = survey.plan
    named = [(plan.users.table, plan.users.key), (plan.users.table, plan.users.email)]
    named += [(r.table, c) for r in plan.resources for c in (r.owner, r.updated_at)]
    return any(c and same_name(t, table) and same_name(c, column) for t, c in named)


def _repeated(survey: Survey, index: str) -> Sighting:
    table = _table_of(survey, index)
    columns = [
        quote_name(str(name))
        for (name,) in survey.rows("SELECT name FROM pragma_index_info(?)", index)
        if name is not None
    ]
    listed = ", ".join(columns)
    return Sighting(
        "unique_unmet",
        f"{plain(index)} on {plain(table)}",
        remedy=f"SELECT {listed}, count(*) FROM {quote_name(table)} NOT INDEXED GROUP BY {listed}"
        " HAVING count(*) > 1; -- then correct these rows, or accept them"
        if columns
        else "Correct the rows that are equal in this index, or accept them.",
    )


def _nulls(survey: Survey, table: str, column: str) -> Iterator[Sighting]:
    """SQLite takes `IS NULL` for false where NOT NULL is declared, hence typeof."""
    shape = survey.table(table)
    if shape is None:
        return
    name, quoted = quote_name(table), quote_name(column)
    where = f"typeof({quoted}) = 'null'"
    (count,) = survey.row(f"SELECT count(*) FROM main.{name} WHERE {where}")
    yield Sighting(
        "nulls_in_not_null",
        f"{plain(table)}.{plain(column)}",
        count,
        show_rows(survey, shape, where),
        f"UPDATE {name} SET {quoted} = {_filler(survey, shape, column)} WHERE {where};"
        " -- or with the value that it should be",
        level=None if _in_plan(survey, table, column) else "warn",
    )


def _admitted(survey: Survey, table: str, column: str) -> str:
    """A script after which the values are of the column's type, or the type admits the values.

    Other tables convert what is written to the column's type; STRICT ones refuse it, and no
    conversion of ours would keep what people wrote there.
    """
    shape = survey.table(table)
    assert shape is not None
    name, c = quote_name(table), quote_name(column)
    if shape.strict:
        entry = next(e for e in survey.entries if e.kind == "table" and same_name(e.name, table))
        old = column_part(entry.sql, column)
        new = old[0] + retyped(f"t({old[1:]})", column, "ANY")[len("t(") : -1]
        return "\n".join(
            [*replaced_in_schema(entry, old, new), "-- keeps the values; or correct them"]
        )
    declared = next(d.declared for d in shape.columns if same_name(d.name, column))
    if affinity_of(declared) == "TEXT":
        return (
            f"UPDATE {name} SET {c} = CASE typeof({c}) WHEN 'real' THEN printf('%!.17g', {c})"
            f" ELSE {c} END WHERE typeof({c}) IN ('integer', 'real');"
        )
    return f"UPDATE {name} SET {c} = {c} WHERE typeof({c}) IN ('text', 'real');"


def _filler(survey: Survey, table: Table, column: str) -> str:
    """An SQL value of the column's type; one for each row where an index wants them to differ."""
    declared = next(c.declared for c in table.columns if same_name(c.name, column))
    kind = affinity_of(declared)
    unique = survey.rows(
        "SELECT 1 FROM pragma_index_list(?, 'main') AS i, pragma_index_info(i.name, 'main') AS c"
        ' WHERE i."unique" AND lower(c.name) = lower(?)',
        table.name,
        column,
    )
    alias = row_alias(table)
    if unique and alias:
        return f"-{alias}" if kind in ("NUMERIC", "REAL") else f"'row ' || {alias}"
    return {"NUMERIC": "0", "REAL": "0.0", "TEXT": "''"}.get(kind, "x''")
