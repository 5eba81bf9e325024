"""The cell of a real number, as the engine writes it that captures tables.

Another engine would write the same real with other digits.
"""

from __future__ import annotations

import adbc_driver_sqlite.dbapi as adbc

from runbook.sqlite.cells import CODECS, captured_cell_sql, encode
from runbook.sqlite.quoting import quote_value


def encode_value(value: str | int | float, encoding: str) -> bytes:
    """The cell of a value in a capture; `encoding` is the database's."""
    if not isinstance(value, float):
        return encode(value, encoding)
    with adbc.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {captured_cell_sql(quote_value(value))}")
        (cell,) = cursor.fetchone() or (b"",)
    return bytes(cell.decode().encode(CODECS[encoding]))
