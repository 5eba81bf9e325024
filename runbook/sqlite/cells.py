"""One cell as tagged bytes: equal bytes mean the same storage class and the same value.

| storage class | cell                                                         |
| ------------- | ------------------------------------------------------------ |
| TEXT          | `t` and the text's own bytes, NULs and invalid ones included |
| BLOB          | `b` and hexadecimal digits                                   |
| INTEGER       | `i` and decimal digits                                       |
| REAL          | `r` and digits that read back as this very double, or `Inf`, `-Inf`, `-0.0` |
| NULL          | `n`                                                          |

A cell is in the encoding of its database, tag included, so in a UTF-16 database `n` takes two
bytes. (NaN does not occur: SQLite stores it as NULL.)

Not every SQLite writes a real exactly: of doubles with random bits, SQLite 3.51 prints one in five
as its neighbour, whatever the number of digits. So on a connection of Python's `sqlite3`, whose
SQLite may be of any release, Python writes the digits (`provide_functions`). The ADBC driver, which
captures whole tables, knows no functions of ours; it brings its own SQLite, and a test checks how
that one prints. The digits of the two may differ, so a cell is compared only with its own kind's.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

CODECS = {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}

_MOST_CELLS = 1_990


def cell_sql(column_sql: str) -> str:
    """Return the SQL expression that encodes `column_sql`, itself an SQL expression, as a BLOB.

    The connection must have been given its functions by `provide_functions`.
    """
    return _cell_sql(column_sql, f"runbook_digits({column_sql})")


def captured_cell_sql(column_sql: str) -> str:
    """Return the same for the ADBC driver, in plain SQL.

    It needs `atan2` where a real is zero, because no other built-in function tells -0.0 from 0.0.
    """
    value = column_sql
    negative_zero = f"{value} = 0.0 COLLATE BINARY AND atan2(0.0, {value}) > 1"
    digits = f"CASE WHEN {negative_zero} THEN '-0.0' ELSE printf('%!.20g', {value}) END"
    return _cell_sql(value, digits)


def _cell_sql(value: str, digits: str) -> str:
    return (
        f"CASE typeof({value})"
        f" WHEN 'text' THEN CAST('t' || {value} AS BLOB)"
        f" WHEN 'integer' THEN CAST('i' || {value} AS BLOB)"
        f" WHEN 'null' THEN CAST('n' AS BLOB)"
        f" WHEN 'real' THEN CAST('r' || {digits} AS BLOB)"
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


def provide_functions(connection: sqlite3.Connection) -> None:
    """Define on a connection what cells and strict comparisons call.

    That is `runbook_digits`, and `atan2` where SQLite was built without mathematical functions.
    """
    connection.create_function("runbook_digits", 1, _digits, deterministic=True)
    try:
        connection.execute("SELECT atan2(0.0, 1.0)").fetchone()
    except sqlite3.OperationalError:
        connection.create_function("atan2", 2, _atan2, deterministic=True)


def _atan2(y: float, x: object) -> float | None:
    """As SQLite's own, which answers NULL to a value that is no number."""
    return math.atan2(y, x) if isinstance(x, int | float) else None


def _digits(value: float) -> str:
    return repr(value).replace("inf", "Inf")


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
