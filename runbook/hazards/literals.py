"""Texts in double quotes that would become the new column.

SQLite takes "organization_id" for a text where no column has that name. In a CHECK, a generated
column or an index of a resource it would mean the column from then on, and DROP COLUMN would
refuse. In a DEFAULT it stays a text; there it is only written otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator

from runbook.hazards.clone import Entry
from runbook.hazards.sighting import Sighting
from runbook.hazards.survey import Survey, plain
from runbook.sqlite.quoting import fold_name, quote_name, quote_value, same_name
from runbook.sqlite.sql_text import Token, edited, references, tokens

_COLUMN = "organization_id"


def probe_literals(survey: Survey) -> Iterator[Sighting]:
    """Such texts in the resources and their indexes, each with the same text in single quotes."""
    for resource in survey.resources:
        table = survey.table(resource.table)
        if table is None or table.column(_COLUMN) is not None:
            continue
        for entry in survey.entries:
            if entry.kind in ("table", "index") and same_name(entry.table, resource.table):
                edits = [(t.start, t.end, f"'{t.name}'") for t in _literals(entry.sql)]
                if edits:
                    yield _sighting(entry, edited(entry.sql, edits))


_NAMES_FOLLOW = frozenset(
    ("DEFAULT", "CONSTRAINT", "INDEX", "TABLE", "EXISTS", "ON", "COLLATE", "REFERENCES", ".")
)
"""Behind these stands a name, or a DEFAULT."""


def _literals(sql: str) -> Iterator[Token]:
    read = tokens(sql)
    elsewhere = [(start, end) for _, start, end in references(sql)]  # columns of another table
    for place, token in enumerate(read):
        if (
            token.text.startswith('"')
            and fold_name(token.name) == _COLUMN
            and read[place - 1].word not in _NAMES_FOLLOW
            and not any(start <= token.start < end for start, end in elsewhere)
        ):
            yield token


def _sighting(entry: Entry, text: str) -> Sighting:
    subject = plain(entry.name)
    if entry.kind == "index":
        subject = f"{subject} on {plain(entry.table)}"
        remedy = f"BEGIN;\nDROP INDEX {quote_name(entry.name)};\n{text};\nCOMMIT;"
    else:
        remedy = "\n".join(
            [
                "PRAGMA writable_schema = ON;",
                f"UPDATE sqlite_schema SET sql = {quote_value(text)}"
                f" WHERE type = 'table' AND name = {quote_value(entry.name)};",
                "PRAGMA writable_schema = RESET;",
            ]
        )
    return Sighting(
        "new_column_read",
        subject,
        remedy=remedy,
        detail='"organization_id" in double quotes is a text there today.',
    )
