"""Hazards of collations that only the application has, where an index is sorted by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from runbook.hazards.clone import Entry
from runbook.hazards.remedy import with_way_back
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, Table, plain
from runbook.sqlite.quoting import fold_name, quote_name, quote_value, same_name
from runbook.sqlite.sql_text import as_comment, edited, tokens


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
            name = names.setdefault(fold_name(str(collation)), str(collation))
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
    """Whether a query went through such an index; the probe above says so in its own words.

    The last words are SQLite's where the table itself is kept in that order.
    """
    return any(words in str(error) for words in ("no such collation sequence", "no query solution"))


def _known(survey: Survey, collation: str) -> bool:
    """Whether SQLite can compare by it; its own list has every name that the schema uses."""
    try:
        survey.rows(f"SELECT 'a' = 'b' COLLATE {quote_name(collation)}")
    except sqlite3.OperationalError:
        return False
    return True


def _remedy(survey: Survey, table: str, collation: str) -> str:
    """A script that leaves the collation out, and below it the one that puts it back.

    A table WITHOUT ROWID is itself kept in that order, so its rows go out and in again.
    """
    shape = survey.table(table)
    assert shape is not None
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
        if shape.without_rowid:
            return _filled_anew(survey, shape, lines)
        on, off = "PRAGMA writable_schema = ON;", "PRAGMA writable_schema = RESET;"
        return [on, *lines, off, f"REINDEX {quote_name(table)};"]

    return with_way_back(script(away), script(back))


def _filled_anew(survey: Survey, table: Table, lines: list[str]) -> list[str]:
    """Changes the schema's texts and puts the rows into their new order, in one transaction.

    They are read from first to last, so nothing compares two of them before they go in again, and
    no trigger or reference is followed.
    """
    name, kept = quote_name(table.name), quote_name(f"rows of {table.name}")
    columns = ", ".join(quote_name(c.name) for c in table.columns if not c.generated)
    triggers = [e for e in survey.entries if e.kind == "trigger" and same_name(e.table, table.name)]
    return [
        "PRAGMA foreign_keys = OFF;",
        "BEGIN IMMEDIATE;",
        *(f"DROP TRIGGER {quote_name(t.name)};" for t in triggers),
        "PRAGMA writable_schema = ON;",
        *lines,
        "PRAGMA writable_schema = RESET;",
        f"CREATE TEMP TABLE {kept} AS SELECT {columns} FROM main.{name};",
        f"DELETE FROM main.{name};",
        f"INSERT INTO main.{name}({columns}) SELECT {columns} FROM temp.{kept};",
        f"DROP TABLE temp.{kept};",
        *(f"{t.sql};" for t in triggers),
        "COMMIT;",
    ]


def _texts(entry: Entry, collation: str) -> Iterator[tuple[str, str]]:
    """Each part of the text that has COLLATE and this name, as it is and with them in a comment.

    So the way back finds each place again, however often the rest of the part stands in the text.
    """
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
        words = as_comment(entry.sql[token.start : name.end])
        yield part, edited(part, [(token.start - start, name.end - start, words)])
