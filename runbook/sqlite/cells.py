"""One cell as tagged bytes: equal bytes mean the same storage class and the same value.

| storage class | cell                                                            |
| ------------- | --------------------------------------------------------------- |
| TEXT          | `t` and the text's own bytes, NULs and invalid ones included    |
| BLOB          | `b` and hexadecimal digits                                      |
| INTEGER       | `i` and decimal digits                                          |
| REAL          | `r` and at least 17 significant digits, `Inf`, `-Inf` or `-0.0` |
| NULL          | `n`                                                             |

A cell is in the encoding of its database, tag included, so in a UTF-16 database `n` takes two
bytes. (NaN does not occur: SQLite stores it as NULL.) The SQL is plain SQLite; it needs `atan2`
where a real is zero, because no other built-in function tells -0.0 from 0.0.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

CODECS = {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}

_MOST_CELLS = 1_990


def cell_sql(column_sql: str) -> str:
    """Return the SQL expression that encodes `column_sql`, itself an SQL expression, as a BLOB."""
    value = column_sql
    # `%!.20g`, because with 17 digits SQLite before 3.42 maps some neighbours to one text.
    real = (
        f"CASE WHEN {value} = 0.0 COLLATE BINARY AND atan2(0.0, {value}) > 1 THEN '-0.0'"
        f" ELSE printf('%!.20g', {value}) END"
    )
    return (
        f"CASE typeof({value})"
        f" WHEN 'text' THEN CAST('t' || {value} AS BLOB)"
        f" WHEN 'integer' THEN CAST('i' || {value} AS BLOB)"
        f" WHEN 'null' THEN CAST('n' AS BLOB)"
        f" WHEN 'real' THEN CAST('r' || {real} AS BLOB)"
        f" ELSE CAST('b' || hex({value}) AS BLOB) END"
    )


def row_sql(columns: Sequence[str]) -> list[str]:
    """Return the SQL expressions that encode a row, a few less than SQLite's 2,000 of a result.

    The last columns of a very wide row become one text, which `row_cells` takes apart again.
    """
    cells = [cell_sql(column) for column in columns]
    if len(cells) <= _MOST_CELLS:
        return cells
    alone = _MOST_CELLS - 1
    return [*cells[:alone], " || ':' || ".join(f"hex({cell})" for cell in cells[alone:])]


def row_cells(values: Sequence[bytes | str]) -> list[bytes]:
    """Return the cells of a row that was read by `row_sql`."""
    cells: list[bytes] = []
    for value in values:
        cells += [value] if isinstance(value, bytes) else map(bytes.fromhex, value.split(":"))
    return cells


def provide_atan2(connection: sqlite3.Connection) -> None:
    """Define `atan2` on a connection whose SQLite was built without mathematical functions."""
    try:
        connection.execute("SELECT atan2(0.0, 1.0)").fetchone()
    except sqlite3.OperationalError:
        connection.create_function("atan2", 2, math.atan2, deterministic=True)


def decode(cell: bytes, encoding: str = "UTF-8") -> str | int | float | bytes | None:
    """Return the value of `cell`; `encoding` is the database's, as PRAGMA encoding names it.

    Bytes that are not valid in the encoding become lone surrogates, as Python does for file
    names. Raises ValueError if `cell` has no known tag.
    """
    codec = CODECS[encoding]
    width = 1 if codec == "utf-8" else 2
    tag, body = cell[:width].decode(codec, "replace"), cell[width:]
    if tag == "t":
        return body.decode(codec, "surrogateescape" if width == 1 else "surrogatepass")
    if tag == "b":
        return bytes.fromhex(body.decode(codec))
    if tag == "i":
        return int(body.decode(codec))
    if tag == "r":
        return float(body.decode(codec))
    if tag == "n" and not body:
        return None
    raise ValueError(f"{cell[:20]!r} is not an encoded cell")


def encode(value: str | int | bytes | None, encoding: str = "UTF-8") -> bytes:
    """Return the cell of `value`, which is no real: the inverse of `decode`."""
    codec = CODECS[encoding]
    if value is None:
        return "n".encode(codec)
    if isinstance(value, bytes):
        return f"b{value.hex().upper()}".encode(codec)
    if isinstance(value, int):
        return f"i{value}".encode(codec)
    return f"t{value}".encode(codec, "surrogateescape" if codec == "utf-8" else "surrogatepass")
