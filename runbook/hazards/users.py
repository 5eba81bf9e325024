"""Hazards in the users: their keys and their e-mails."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from runbook.hazards.key_classes import as_text_script
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, plain
from runbook.run.findings import Sample
from runbook.sqlite.quoting import fold_name, quote_name
from runbook.templates import sql_file


def probe_users(survey: Survey) -> Iterator[Sighting]:
    """Keys and e-mails, in one pass over the users and a second one only where it is needed."""
    if not survey.has_users:
        return
    users = survey.plan.users
    table, key = f"main.{quote_name(users.table)}", quote_name(users.key)
    subject = f"{plain(users.table)}.{plain(users.key)}"
    blank = f"trim(CAST({key} AS TEXT), char(9, 10, 13, 32)) = ''"
    nulls, texts, integers, blobs, reals, blanks, lower, upper = survey.row(
        sql_file("hazards/users_counted").render(key=key, blank=blank, users=table)
    )
    if nulls:
        yield Sighting(
            "keys_null",
            subject,
            nulls,
            _some_users(survey, f"{key} IS NULL"),
            f"SELECT rowid, * FROM {plain(users.table)} WHERE {plain(users.key)} IS NULL;"
            " -- then give each of them a key, or DELETE them",
        )
    classes = {"text": texts, "integer": integers, "blob": blobs, "real": reals}
    yield from _classes(survey, key, subject, classes)
    if blanks:
        yield Sighting(
            "keys_blank",
            subject,
            blanks,
            _some_users(survey, blank),
            f"SELECT rowid, * FROM {plain(users.table)}"
            f" WHERE trim({plain(users.key)}, char(9, 10, 13, 32)) = '';",
        )
    yield from _doubled(survey, table, key, subject)
    # Two keys can differ only in case if one has a small letter and one a capital.
    if lower and upper:
        yield from _differ_by_case(survey, table, key, subject)
    yield from _emails(survey, table)


def probe_key_index(survey: Survey) -> Iterator[Sighting]:
    """Whether other tables may refer to the key: SQLite itself is asked, on the empty copy."""
    if not survey.has_users:
        return
    users = survey.plan.users
    table, key = quote_name(users.table), quote_name(users.key)
    child = quote_name("runbook reference")
    survey.clone.execute(f"CREATE TABLE {child} (x REFERENCES {table}({key}))")
    try:
        survey.clone.execute(f"PRAGMA foreign_key_check({child})")
    except sqlite3.OperationalError:
        name = quote_name(f"idx_{users.table}_{users.key}")
        yield Sighting(
            "key_without_unique_index",
            f"{plain(users.table)}.{plain(users.key)}",
            remedy=f"CREATE UNIQUE INDEX {name} ON {table}({key});",
        )
    finally:
        survey.clone.execute(f"DROP TABLE {child}")


def _classes(survey: Survey, key: str, subject: str, classes: dict[str, int]) -> Iterator[Sighting]:
    """Keys of several storage classes, or of one that cannot be a key."""
    users = survey.plan.users
    present = {name: count for name, count in classes.items() if count}
    if len(present) > 1:
        usual = max(present, key=lambda name: present[name])
        yield Sighting(
            "keys_mixed",
            subject,
            sum(present.values()) - present[usual],
            _some_users(survey, f"typeof({key}) <> '{usual}' AND {key} IS NOT NULL"),
            as_text_script(survey)
            or f"SELECT typeof({plain(users.key)}), count(*) FROM {plain(users.table)} GROUP BY 1;"
            f" -- then UPDATE the others to {usual}, together with the rows that refer to them",
            detail=f"Found: {', '.join(f'{count} {name}' for name, count in present.items())}.",
        )
    if reals := classes["real"]:
        yield Sighting(
            "keys_real",
            subject,
            reals,
            _some_users(survey, f"typeof({key}) = 'real'"),
            f"Declare {subject} as INTEGER or TEXT and convert the keys, with the owners that"
            " refer to them: a column that is declared REAL turns every number back into one.",
        )


def _doubled(survey: Survey, table: str, key: str, subject: str) -> Iterator[Sighting]:
    grouped = f"FROM {table} WHERE {key} IS NOT NULL GROUP BY {key} HAVING count(*) > 1"
    if _unique_by_index(survey):
        return
    rows, groups = survey.row(f"SELECT sum(n), count(*) FROM (SELECT count(*) AS n {grouped})")
    if groups:
        yield Sighting(
            "keys_doubled",
            subject,
            rows,
            survey.show(f"SELECT {key}, count(*) AS users {grouped}"),
            f"SELECT rowid, * FROM {plain(survey.plan.users.table)} WHERE"
            f" {key} IN (SELECT {key} {grouped}) ORDER BY {key};"
            " -- then keep one user of each key",
        )


def _unique_by_index(survey: Survey) -> bool:
    """Whether a full unique index over the key alone makes doubled keys impossible."""
    users = survey.plan.users
    table = survey.table(users.table)
    assert table is not None
    if [fold_name(c.name) for c in table.key] == [fold_name(users.key)]:
        return True
    return bool(
        survey.rows(
            'SELECT 1 FROM pragma_index_list(?) AS i WHERE i."unique" AND NOT i.partial'
            " AND (SELECT group_concat(lower(name)) FROM pragma_index_info(i.name)) = lower(?)",
            table.name,
            users.key,
        )
    )


def _differ_by_case(survey: Survey, table: str, key: str, subject: str) -> Iterator[Sighting]:
    grouped = (
        f"FROM {table} WHERE typeof({key}) = 'text' GROUP BY lower({key}) COLLATE BINARY"
        f" HAVING min({key} COLLATE BINARY) <> max({key} COLLATE BINARY) COLLATE BINARY"
    )
    rows, groups = survey.row(f"SELECT sum(n), count(*) FROM (SELECT count(*) AS n {grouped})")
    if groups:
        yield Sighting(
            "keys_differ_by_case",
            subject,
            rows,
            survey.show(
                f"SELECT min({key} COLLATE BINARY) AS {key}, max({key} COLLATE BINARY) AS {key}"
                f" {grouped}",
                keys=2,
            ),
            f"SELECT * FROM {plain(survey.plan.users.table)} WHERE lower({key}) IN"
            f" (SELECT lower({key}) {grouped}) ORDER BY lower({key});",
        )


def _emails(survey: Survey, table: str) -> Iterator[Sighting]:
    users = survey.plan.users
    if users.email is None or not survey.has(users.table, users.email):
        return
    email = quote_name(users.email)
    subject = f"{plain(users.table)}.{plain(users.email)}"
    missing = f"({email} IS NULL OR trim({email}) = '')"
    nameless = f"(NOT {missing} AND NOT (typeof({email}) = 'text' AND instr({email}, '@') > 1))"
    none, odd = survey.row(f"SELECT sum({missing}), sum({nameless}) FROM {table}")
    query = f"SELECT * FROM {plain(users.table)} WHERE"
    if none:
        yield Sighting(
            "emails_missing",
            subject,
            none,
            _some_users(survey, missing),
            f"{query} {missing};",
        )
    if odd:
        yield Sighting(
            "emails_without_name",
            subject,
            odd,
            _some_users(survey, nameless, users.email),
            f"{query} {nameless};",
        )
    grouped = (
        f"FROM {table} WHERE NOT {missing} GROUP BY {email} COLLATE NOCASE HAVING count(*) > 1"
    )
    rows, groups = survey.row(f"SELECT sum(n), count(*) FROM (SELECT count(*) AS n {grouped})")
    if groups:
        yield Sighting(
            "emails_doubled",
            subject,
            rows,
            survey.show(f"SELECT min({email}) AS {email}, count(*) AS users {grouped}"),
            f"{query} lower({email}) IN (SELECT lower({email}) {grouped}) ORDER BY lower({email});",
        )


def _some_users(survey: Survey, where: str, *columns: str) -> tuple[Sample, ...]:
    """A few users by key (by rowid where the key is NULL), with these columns after it."""
    users = survey.plan.users
    key = quote_name(users.key)
    table = survey.table(users.table)
    by_rowid = table is not None and not table.without_rowid and table.column("rowid") is None
    name = "rowid" if by_rowid and where == f"{key} IS NULL" else key
    shown = ", ".join([name, *map(quote_name, columns)])
    return survey.show(f"SELECT {shown} FROM main.{quote_name(users.table)} WHERE {where}")
