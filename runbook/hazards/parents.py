"""Hazards of references to tables that are gone, as a rebuild under another name leaves them.

Such rows are right, and the schema is wrong: nothing that a person could write into the column
would make the reference hold. So the schema is what is repaired, without touching a row.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from runbook.hazards.remedy import comment
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, Table, plain
from runbook.sqlite.quoting import fold_name, quote_name, quote_value, same_name
from runbook.sqlite.sql_text import edited, references

# Below this likeness of two names nobody would take one table for the other's successor.
_ALIKE = 0.6


@dataclass(frozen=True)
class Reference:
    """One declared foreign key to a table that is gone; `goals` is empty for its primary key."""

    table: Table
    parent: str
    columns: tuple[str, ...]
    goals: tuple[str, ...]


def missing_references(survey: Survey) -> tuple[Reference, ...]:
    """The foreign keys whose parent does not exist, in the order of the schema."""
    there = {fold_name(t.name) for t in survey.tables}
    missing = []
    for table in survey.tables:
        if table.kind != "table":
            continue
        keys: dict[int, list[tuple[str, str, str | None]]] = {}
        for number, parent, source, goal in survey.rows(
            'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq',
            table.name,
        ):
            goal_name = None if goal is None else str(goal)
            keys.setdefault(int(str(number)), []).append((str(parent), str(source), goal_name))
        for parts in keys.values():
            if fold_name(parts[0][0]) in there:
                continue
            columns = tuple(source for _, source, _ in parts)
            goals = tuple(goal for _, _, goal in parts if goal is not None)
            missing.append(Reference(table, parts[0][0], columns, goals))
    return tuple(missing)


def probe_parents(survey: Survey) -> Iterator[Sighting]:
    """One hazard for each table that is referred to and gone.

    It blocks where rows refer to it, because the proof asks that references hold.
    """
    by_parent: dict[str, list[Reference]] = {}
    for reference in missing_references(survey):
        by_parent.setdefault(fold_name(reference.parent), []).append(reference)
    for keys in by_parent.values():
        rows = sum(_rows(survey, key) for key in keys)
        yield Sighting(
            "parent_missing",
            plain(keys[0].parent),
            rows,
            tuple(_shown(key) for key in keys[: survey.samples]),
            _remedy(survey, keys),
            level=None if rows else "warn",
            detail=f"There is no table {plain(keys[0].parent)}; {_shown(keys[0])} refers to it.",
        )


def _shown(key: Reference) -> str:
    return f"{plain(key.table.name)}({', '.join(map(plain, key.columns))})"


def _filled(key: Reference, row: str) -> str:
    """SQL condition: whether the reference of this row counts, as no NULL is in it."""
    return " AND ".join(f"{row}.{quote_name(c)} IS NOT NULL" for c in key.columns)


def _rows(survey: Survey, key: Reference) -> int:
    table = quote_name(key.table.name)
    return survey.row(f"SELECT count(*) FROM main.{table} AS c WHERE {_filled(key, 'c')}")[0]


def _remedy(survey: Survey, keys: list[Reference]) -> str:
    """A script after which the references lead to the right table, or are taken back."""
    parent = keys[0].parent
    successor = _successor(survey, keys)
    if successor is None:
        return _without(survey, keys)
    # SQLite changes every REFERENCES with the name of a table: given the missing name for a
    # moment, the right table takes all of them along when it takes its own name back.
    there = f"ALTER TABLE {quote_name(successor.name)} RENAME TO {quote_name(parent)};"
    back = f"ALTER TABLE {quote_name(parent)} RENAME TO {quote_name(successor.name)};"
    return (
        "PRAGMA legacy_alter_table = ON; PRAGMA foreign_keys = ON;\n"
        f"BEGIN;\n{there}\n{back}\nCOMMIT;\n"
        "PRAGMA legacy_alter_table = OFF;"
        + comment(
            f"the references then lead to {plain(successor.name)}, which has these keys;"
            " no row changes"
        )
    )


def _successor(survey: Survey, keys: list[Reference]) -> Table | None:
    """The table that is meant today: of a like name, with every value that is referred to."""
    parent = fold_name(keys[0].parent)

    def likeness(table: Table) -> float:
        name = fold_name(table.name)
        if name in parent or parent in name:
            return 1 + len(name) / 1000
        return difflib.SequenceMatcher(None, parent, name).ratio()

    candidates = [
        t
        for t in survey.tables
        if t.kind == "table"
        and not t.name.startswith("sqlite_")
        and likeness(t) >= _ALIKE
        and all(_holds(survey, key, t) for key in keys)
    ]
    return max(candidates, key=likeness, default=None)


def _holds(survey: Survey, key: Reference, table: Table) -> bool:
    """Whether the table has all values of the reference in a key that may be referred to."""
    goals = key.goals or tuple(c.name for c in table.key)
    if len(goals) != len(key.columns) or any(table.column(g) is None for g in goals):
        return False
    if not _unique(survey, table, goals):
        return False
    same = " AND ".join(
        f"p.{quote_name(g)} = c.{quote_name(c)}" for g, c in zip(goals, key.columns, strict=True)
    )
    return not survey.rows(
        f"SELECT 1 FROM main.{quote_name(key.table.name)} AS c WHERE {_filled(key, 'c')} AND"
        f" NOT EXISTS (SELECT 1 FROM main.{quote_name(table.name)} AS p WHERE {same}) LIMIT 1"
    )


def _unique(survey: Survey, table: Table, goals: tuple[str, ...]) -> bool:
    wanted = {fold_name(g) for g in goals}
    if {fold_name(c.name) for c in table.key} == wanted:
        return True
    indexes = survey.rows(
        'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', table.name
    )
    return any(
        {fold_name(str(n)) for (n,) in survey.rows("SELECT name FROM pragma_index_info(?)", index)}
        == wanted
        for (index,) in indexes
    )


def _without(survey: Survey, keys: list[Reference]) -> str:
    """A script that takes the references out of the tables' texts, which touches no row."""
    lines = []
    for table in dict.fromkeys(key.table.name for key in keys):
        entry = next(e for e in survey.entries if e.kind == "table" and same_name(e.name, table))
        edits = [
            (start, end, "")
            for parent, start, end in references(entry.sql)
            if same_name(parent.name, keys[0].parent)
        ]
        lines.append(
            f"UPDATE sqlite_schema SET sql = {quote_value(edited(entry.sql, edits))}"
            f" WHERE type = 'table' AND name = {quote_value(entry.name)};"
        )
    return "\n".join(
        [
            "PRAGMA writable_schema = ON;",
            *lines,
            "PRAGMA writable_schema = RESET;",
            f"-- no table has the keys that are referred to, so the references to"
            f" {plain(keys[0].parent)} are taken back; no row changes",
        ]
    )
