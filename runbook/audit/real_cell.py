"""The cell of a real number, as the engine writes it that captures tables.

SQLite's releases write a real with different digits, of which all read back as the same number.
"""

from __future__ import annotations

import adbc_driver_sqlite.dbapi as adbc

from runbook.sqlite.cells import CODECS, encode
from runbook.sqlite.quoting import quote_value


def encode_value(value: str | int | float, encoding: str) -> bytes:
    """The cell of a value in a capture; `encoding` is the database's."""
    if not isinstance(value, float):
        return encode(value, encoding)
    with adbc.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT printf('%!.20g', {quote_value(value)})")
        (digits,) = cursor.fetchone() or ("",)
    return f"r{digits}".encode(CODECS[encoding])
