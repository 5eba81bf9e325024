"""Hazards of keys whose bytes are no text in the database's encoding, as old imports leave them.

SQLite compares and stores them like any other text. Whoever decodes them does not: applications,
drivers and the workflows that are tried after the commit.
"""

from __future__ import annotations

from collections.abc import Iterator

from runbook.hazards.generated_columns import row_alias
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, plain
from runbook.sqlite.cells import CODECS
from runbook.sqlite.quoting import fold_name, quote_name, same_name
from runbook.templates import sql_file

_FIXED = 100
"""So many keys are put right in one remedy; preflight says so again where there are more."""

_LETTERS = {
    byte: ord(letter)
    for byte in range(0x80, 0xA0)
    if (letter := bytes([byte]).decode("cp1252", "replace")) != "\ufffd"
}
"""Bytes that Windows gives letters, where Latin-1 has none; above them both are Unicode."""


def probe_key_text(survey: Survey) -> Iterator[Sighting]:
    """Users whose key is not valid in the database's encoding."""
    if not survey.has_users:
        return
    users = survey.plan.users
    key, table = quote_name(users.key), f"main.{quote_name(users.table)}"
    encoding = str(survey.rows("PRAGMA encoding")[0][0])
    codec = CODECS[encoding]
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
            _remedy(survey, wrong[:_FIXED], encoding),
        )


def _valid(raw: bytes, codec: str) -> bool:
    try:
        raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _remedy(survey: Survey, wrong: list[bytes], encoding: str) -> str:
    """A script that puts the keys right, together with every row that refers to them.

    So that no key stands in a report, users are named by their rowid, or else by their place in the
    order of the keys.
    """
    users = survey.plan.users
    table = survey.table(users.table)
    assert table is not None
    name, key = quote_name(users.table), quote_name(users.key)
    number = row_alias(table) or f"row_number() OVER (ORDER BY {key} COLLATE BINARY)"
    numbered = f"SELECT {key} AS k, {number} AS number FROM main.{name}"
    numbers = [
        str(n)
        for raw in wrong
        for (n,) in survey.rows(
            f"SELECT number FROM ({numbered}) WHERE typeof(k) = 'text' AND CAST(k AS BLOB) = ?", raw
        )
    ]
    columns = [(users.table, users.key), *referring_columns(survey)]
    return sql_file("hazards/keys_as_text").render(
        encoding=encoding,
        kept=quote_name("keys as text"),
        users=name,
        key=key,
        number=number,
        numbers=", ".join(numbers),
        letters=" ".join(f"WHEN {byte} THEN {code}" for byte, code in _LETTERS.items()),
        columns=[{"table": quote_name(t), "name": quote_name(c)} for t, c in columns],
    )


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
    folded = {(fold_name(t), fold_name(c)): (t, c) for t, c in reversed(columns)}
    return list(reversed(folded.values()))
