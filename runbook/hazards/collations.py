"""Hazards of collations that only the application has, where an index is sorted by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from runbook.hazards.clone import Entry
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, plain
from runbook.sqlite.quoting import quote_name, quote_value, same_name
from runbook.sqlite.sql_text import edited, tokens


def probe_collations(survey: Survey) -> Iterator[Sighting]:
    """One hazard for each table and collation that SQLite alone does not know."""
    places: dict[tuple[str, str], list[str]] = {}
    names: dict[str, str] = {}
    for table, column, collation in survey.rows(
        "SELECT m.name, c.name, c.coll FROM main.sqlite_schema AS m,"
        " pragma_index_list(m.name) AS i, pragma_index_xinfo(i.name) AS c"
        " WHERE m.type = 'table' AND c.coll IS NOT NULL ORDER BY m.rowid"
    ):
        if not _known(survey, str(collation)):
            subject = plain(str(table)) + ("" if column is None else f".{plain(str(column))}")
            name = names.setdefault(str(collation).casefold(), str(collation))
            places.setdefault((str(table), name), []).append(subject)
    for (table, collation), subjects in places.items():
        yield Sighting(
            "collations_missing",
            ", ".join(dict.fromkeys(subjects)),
            samples=(collation,),
            remedy=_remedy(survey, table, collation),
            detail=f"An index of {plain(table)} is sorted by the collation {plain(collation)}.",
        )


def stopped(error: sqlite3.Error) -> bool:
    """Whether a query went through such an index; the probe above says so in its own words."""
    return "no such collation sequence" in str(error)


def _known(survey: Survey, collation: str) -> bool:
    """Whether SQLite can compare by it; its own list has every name that the schema uses."""
    try:
        survey.rows(f"SELECT 'a' = 'b' COLLATE {quote_name(collation)}")
    except sqlite3.OperationalError:
        return False
    return True


def _remedy(survey: Survey, table: str, collation: str) -> str:
    """A script that leaves the collation out, and below it the one that puts it back."""
    shape = survey.table(table)
    if shape is None or shape.without_rowid:
        return (
            f"Make {plain(table)} anew with the application, without COLLATE {plain(collation)}:"
            " a table WITHOUT ROWID is kept in that order."
        )
    away: list[str] = []
    back: list[str] = []
    for entry in survey.entries:
        if entry.kind not in ("table", "index") or not same_name(entry.table, table):
            continue
        for old, new in _texts(entry, collation):
            place = f"WHERE type = '{entry.kind}' AND name = {quote_value(entry.name)};"
            for lines, there, then in ((away, old, new), (back, new, old)):
                lines.append(
                    "UPDATE sqlite_schema SET sql ="
                    f" replace(sql, {quote_value(there)}, {quote_value(then)}) {place}"
                )
    back.reverse()

    def script(lines: list[str]) -> list[str]:
        on, off = "PRAGMA writable_schema = ON;", "PRAGMA writable_schema = RESET;"
        return [on, *lines, off, f"REINDEX {quote_name(table)};"]

    after = "\n-- ".join(script(back))
    return (
        "\n".join(script(away))
        + f"\n-- and after the run, with the application's own connection:\n-- {after}"
    )


def _texts(entry: Entry, collation: str) -> Iterator[tuple[str, str]]:
    """Each part of the text that has COLLATE and this name, as it is and without them."""
    read = tokens(entry.sql)
    for place, token in enumerate(read[:-1]):
        name = read[place + 1]
        if token.word != "COLLATE" or not same_name(name.name, collation):
            continue
        # From the name of the column on, so that the part is places where it stands and only there.
        first = place
        while first and read[first - 1].word not in (",", "("):
            first -= 1
        last = place + 1
        while last + 1 < len(read) and read[last + 1].word not in (",", ")", "("):
            last += 1
        start, end = read[first].start, read[last].end
        part = entry.sql[start:end]
        yield part, edited(part, [(token.start - start, name.end - start, "")])
