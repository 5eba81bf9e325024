"""Hazards of keys whose bytes are no text in the database's encoding, as old imports leave them.

SQLite compares and stores them like any other text. Whoever decodes them does not: applications,
drivers and the workflows that are tried after the commit.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, plain
from runbook.sqlite.cells import CODECS
from runbook.sqlite.quoting import quote_name, quote_value, same_name

_FIXED = 100
"""So many keys are put right in one remedy; preflight says so again where there are more."""


def probe_key_text(survey: Survey) -> Iterator[Sighting]:
    """Users whose key is not valid in the database's encoding."""
    if not survey.has_users:
        return
    users = survey.plan.users
    key, table = quote_name(users.key), f"main.{quote_name(users.table)}"
    codec = CODECS[str(survey.rows("PRAGMA encoding")[0][0])]
    # A byte beyond ASCII is in every text that is not valid UTF-8; in UTF-16 any may be.
    suspect = f"typeof({key}) = 'text'"
    if codec == "utf-8":
        suspect += f" AND {key} GLOB '*[^' || char(1) || '-' || char(127) || ']*'"
    wrong = []
    for (raw,) in survey.connection.execute(
        f"SELECT CAST({key} AS BLOB) FROM {table} WHERE {suspect}"
    ):
        if not _valid(raw, codec):
            wrong.append(raw)
    if wrong:
        yield Sighting(
            "keys_not_text",
            f"{plain(users.table)}.{plain(users.key)}",
            len(wrong),
            tuple(
                sample
                for raw in wrong[: survey.samples]
                for sample in survey.show(
                    f"SELECT {key} FROM {table} WHERE {key} = CAST(? AS TEXT)", raw
                )
            ),
            _remedy(survey, wrong[:_FIXED], codec),
        )


def _valid(raw: bytes, codec: str) -> bool:
    try:
        raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _right(raw: bytes, codec: str) -> str:
    """What the key most likely was meant to be: the letters of Western Europe in one byte each."""
    if codec != "utf-8":
        return raw.decode(codec, "backslashreplace")
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return codecs.decode(raw, "latin-1")


def _remedy(survey: Survey, wrong: list[bytes], codec: str) -> str:
    """A script that puts the keys right, together with every row that refers to them."""
    users = survey.plan.users
    columns = [(users.table, users.key), *referring_columns(survey)]
    taken: set[str] = set()
    lines = ["BEGIN;", "PRAGMA defer_foreign_keys = ON;"]
    for raw in wrong:
        new = _free(survey, _right(raw, codec), taken)
        for table, column in columns:
            c = quote_name(column)
            lines.append(
                f"UPDATE {quote_name(table)} SET {c} = {quote_value(new)}"
                f" WHERE typeof({c}) = 'text' AND CAST({c} AS BLOB) = {quote_value(raw)};"
            )
    return "\n".join([*lines, "COMMIT;"])


def referring_columns(survey: Survey) -> list[tuple[str, str]]:
    """Table and column of owners, and of every declared reference to the users' key."""
    users = survey.plan.users
    columns = [(r.table, r.owner) for r in survey.resources]
    for table, column, goal in survey.rows(
        'SELECT m.name, f."from", f."to" FROM main.sqlite_schema AS m,'
        " pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table'"
        ' AND lower(f."table") = lower(?)',
        users.table,
    ):
        if goal is None or same_name(str(goal), users.key):
            columns.append((str(table), str(column)))
    folded = {(t.casefold(), c.casefold()): (t, c) for t, c in reversed(columns)}
    return list(reversed(folded.values()))


def _free(survey: Survey, key: str, taken: set[str]) -> str:
    """The key, or one like it that no user has yet."""
    users = survey.plan.users
    query = (
        f"SELECT 1 FROM main.{quote_name(users.table)} WHERE {quote_name(users.key)} = ? LIMIT 1"
    )
    new, number = key, 1
    while new in taken or survey.rows(query, new):
        number += 1
        new = f"{key}-{number}"
    taken.add(new)
    return new
