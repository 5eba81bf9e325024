"""The remedy for user keys of several storage classes: all of them as text, with who refers."""

from __future__ import annotations

from runbook.hazards.key_text import referring_columns
from runbook.hazards.survey import Survey
from runbook.sqlite.quoting import quote_name, quote_value, same_name
from runbook.sqlite.table_text import retyped
from runbook.sqlite.tables import affinity_of


def as_text_script(survey: Survey) -> str:
    """A script that makes every key and every reference to one text; empty where it could not.

    It could not where two keys would then be one, or where a blob or a real number is among them.
    """
    users = survey.plan.users
    key, table = quote_name(users.key), quote_name(users.table)
    (others,) = survey.row(
        f"SELECT count(*) FROM main.{table} WHERE typeof({key}) NOT IN ('text', 'integer', 'null')"
    )
    (clashes,) = survey.row(
        f"SELECT count(*) - count(DISTINCT CAST({key} AS TEXT) COLLATE BINARY) FROM main.{table}"
        f" WHERE {key} IS NOT NULL"
    )
    shape = survey.table(users.table)
    if others or clashes or shape is None:
        return ""
    columns = [(users.table, users.key), *referring_columns(survey)]
    texts: dict[str, str] = {}
    values = []
    for name, column in columns:
        _retype(survey, name, column, texts)
        c, t = quote_name(column), quote_name(name)
        values.append(f"UPDATE {t} SET {c} = CAST({c} AS TEXT) WHERE typeof({c}) = 'integer';")
    types = [
        f"UPDATE sqlite_schema SET sql = {quote_value(text)}"
        f" WHERE type = 'table' AND name = {quote_value(name)};"
        for name, text in texts.items()
    ]
    if types:
        types = ["PRAGMA writable_schema = ON;", *types, "PRAGMA writable_schema = RESET;"]
    tables = list(dict.fromkeys(name for name, _ in columns))
    lines = ["PRAGMA foreign_keys = OFF;", *types, "BEGIN;", *values, "COMMIT;"]
    return "\n".join([*lines, *(f"REINDEX {quote_name(name)};" for name in tables)])


def _retype(survey: Survey, table: str, column: str, texts: dict[str, str]) -> None:
    """Makes the column TEXT in its table's text, where its type would turn '7' back into 7."""
    shape = survey.table(table)
    declared = shape.column(column) if shape else None
    if declared is None or affinity_of(declared.declared) not in ("NUMERIC", "REAL"):
        return
    entry = next(e for e in survey.entries if e.kind == "table" and same_name(e.name, table))
    texts[entry.name] = retyped(texts.get(entry.name, entry.sql), declared.name, "TEXT")
