"""A query to the views of a run, its answer as an exact frame, and what is wrong in a sentence."""

from __future__ import annotations

import contextlib
import difflib
import re
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.types as types

from runbook.errors import BadInput, NotAllowedNow
from runbook.notebook.table import Table
from runbook.wording import counted

QUESTIONS = ("who_owns_what", "members", "rows_of_users", "largest_organizations")
"""Views for the usual questions; they need no schema in front."""

_QUERIES = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI)


def ask(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    """What the connection answers to one query, as an Arrow table.

    Raises:
        BadInput: it is no query, or it cannot be answered.
        NotAllowedNow: it asks for a snapshot that is not there yet.
    """
    try:
        query.encode()
        _check_statement(connection, query)
        relation = connection.sql(query)
        if relation is None:
            raise BadInput("The query has no answer; begin it with SELECT.")
        return _with_whole_numbers(relation.to_arrow_table())
    except UnicodeEncodeError as error:
        raise BadInput("The query is not valid UTF-8 text; correct it.") from error
    except duckdb.Error as error:
        raise _explained(connection, query, error) from error


def _check_statement(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise BadInput(
            "The query is empty; write a SELECT."
            if not statements
            else f"These are {counted(len(statements), 'statement')}; ask one query at a time."
        )
    kind = statements[0].type
    begins = query.lstrip().upper()
    if kind not in _QUERIES or (kind == duckdb.StatementType.MULTI and "PIVOT" not in begins):
        raise BadInput(
            f"Only queries are answered (SELECT, FROM, WITH, DESCRIBE, EXPLAIN), and this is a "
            f"statement of the kind {kind.name}; the snapshots are evidence and are never written."
        )


def _with_whole_numbers(table: Any) -> Any:
    """The table with sums of integers, for DuckDB 128 bits wide, as integers where they fit."""
    for number, field in enumerate(table.schema):
        if types.is_decimal(field.type) and field.type.scale == 0:
            with contextlib.suppress(pa.ArrowInvalid):
                narrow = table.column(number).cast(pa.int64())
                table = table.set_column(number, field.with_type(pa.int64()), narrow)
    return table


def frame(table: Any) -> Table:
    """The answer as a frame: NULL beside an integer leaves it an integer."""
    mapped = {
        pa.int64(): pd.Int64Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    return Table(table.to_pandas(types_mapper=mapped.get))


def _explained(
    connection: duckdb.DuckDBPyConnection, query: str, error: duckdb.Error
) -> BadInput | NotAllowedNow:
    text = str(error)
    missing = re.search(r'(?:Table with name|[Ss]chema) "?(.+?)"? does not exist', text)
    if missing and isinstance(error, duckdb.CatalogException | duckdb.BinderException):
        return _unknown_table(query, missing[1], _relations(connection))
    if isinstance(error, duckdb.PermissionException):
        return BadInput("A query reaches the snapshots alone, no other file; leave that out.")
    first = re.sub(r"\s+", " ", text.split("\n\nLINE")[0].strip()).rstrip(".")
    return BadInput(f"The query cannot be answered ({first[:400]}); correct it.")


def _relations(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """All views, with the schema in front where they need it."""
    rows = connection.execute(
        "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal AND NOT temporary"
        " ORDER BY ALL"
    ).fetchall()
    return [name if schema == "main" else f"{schema}.{name}" for schema, name in rows]


def _unknown_table(query: str, name: str, relations: list[str]) -> BadInput | NotAllowedNow:
    schemas = {relation.split(".")[0] for relation in relations if "." in relation}
    for schema in ("after", "changes"):
        if schema not in schemas and re.search(rf'\b{schema}"?\s*\.', query, re.IGNORECASE):
            return NotAllowedNow(
                f'There is no snapshot from after the migration yet, which "{schema}" needs; run '
                "05_verify first."
            )
    if name in QUESTIONS:
        return NotAllowedNow(f'"{name}" needs the migrated database; run 05_verify first.')
    qualified = re.search(rf'(\w+)"?\s*\.\s*"?{re.escape(name)}', query)
    wanted = f"{qualified[1]}.{name}" if qualified else name
    folded = {relation.casefold(): relation for relation in relations}
    nearest = [r for r in relations if r.casefold().endswith(f".{name.casefold()}")][:3]
    if not nearest:
        near = difflib.get_close_matches(wanted.casefold(), folded, n=1, cutoff=0.6)
        nearest = [folded[one] for one in near]
    if nearest:
        return BadInput(f'There is no table "{wanted}"; did you mean {" or ".join(nearest)}?')
    return BadInput(f'There is no table "{wanted}"; SHOW ALL TABLES lists those that there are.')
