"""Values of rows as they are kept in records: typed, short, and safe to write as JSON.

They are rendered for people last of all, after whoever shows them has masked what is personal.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runbook.sqlite.cells import cell_sql, decode, provide_functions

Kind = Literal["null", "integer", "real", "text", "blob", "words", "absent", "cut", "masked"]

MOST = 200
"""Characters of a text, or hexadecimal digits of a blob, that are kept."""

_MOST_OF_A_ROW = 1000


@dataclass(frozen=True)
class Field:
    """One value of a row: its column, its storage class, and its content.

    `text` holds the decimal digits of a number, the first characters of a text (what the eye
    cannot tell apart is spelled out, the backslash doubled) or the first hexadecimal digits of a
    blob; `length` is that of the whole text in characters, or of the whole blob in bytes. Besides
    the storage classes, `words` are no data but SQL of the schema or words of the runbook,
    `absent` stands where there is no value at all, `cut` for the rest of a very long row, and
    `masked` for a value that is hidden, of which `text` describes the kind and length.
    """

    column: str
    kind: Kind
    text: str = ""
    length: int = 0


Row = tuple[Field, ...]


def words(text: str, column: str = "") -> Field:
    """A field of words that are no data."""
    return Field(column, "words", text)


def read_field(column: str, cell: bytes, encoding: str = "UTF-8") -> Field:
    """The value of a tagged cell.

    Raises:
        ValueError: the cell has no known tag.
    """
    value = decode(cell, encoding)
    if value is None:
        return Field(column, "null")
    if isinstance(value, bytes):
        return Field(column, "blob", value.hex()[:MOST], len(value))
    if isinstance(value, str):
        return Field(column, "text", "".join(map(_spelled, value[:MOST])), len(value))
    return Field(column, "real" if isinstance(value, float) else "integer", repr(value))


def read_row(columns: Sequence[str], cells: Sequence[bytes], encoding: str = "UTF-8") -> Row:
    """The values of a row or of its key; a very long row is cut."""
    fields: list[Field] = []
    room = _MOST_OF_A_ROW
    for column, cell in zip(columns, cells, strict=True):
        field = read_field(column, cell, encoding)
        room -= len(column) + len(field.text)
        if room < 0 and fields:
            return (*fields, Field("", "cut"))
        fields.append(field)
    return tuple(fields)


def query_rows(
    connection: sqlite3.Connection, query: str, *values: object, limit: int
) -> tuple[Row, ...]:
    """The first rows of a query, exact whatever their values hold."""
    provide_functions(connection)
    columns = connection.execute(f"SELECT * FROM (\n{query}\n) LIMIT 0", values).description
    names = [column[0] for column in columns]
    # SQLite tells columns of the same name apart as `id` and `id:1`.
    names = [base if (base := name.rpartition(":")[0]) in names else name for name in names]
    unnamed = [f"c{i}" for i in range(len(names))]
    (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    rows = connection.execute(
        f"WITH found({', '.join(unnamed)}) AS (\n{query}\n)\n"
        f"SELECT {', '.join(map(cell_sql, unnamed))} FROM found LIMIT {limit}",
        values,
    )
    return tuple(read_row(names, row, encoding) for row in rows)


def render_value(field: Field) -> str:
    """The value for people: `'abc'`, `42`, `1.0`, `x'00ff'`, `NULL`; a cut one says its length."""
    match field.kind:
        case "text":
            quoted = "'" + field.text.replace("'", "''") + "'"
            return f"{quoted}... ({field.length} characters)" if field.length > MOST else quoted
        case "blob":
            cut = f"... ({field.length} bytes)" if 2 * field.length > MOST else ""
            return f"x'{field.text}'{cut}"
        case "masked":
            return f"\N{BULLET}\N{BULLET}\N{BULLET} ({field.text})"
        case "null" | "absent" | "cut":
            return {"null": "NULL", "absent": "no value", "cut": "..."}[field.kind]
    return field.text


def render_row(row: Row) -> str:
    """The values with their columns: `id='p-1', part=2`."""
    return ", ".join(
        f"{field.column}={render_value(field)}" if field.column else render_value(field)
        for field in row
    )


def _spelled(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"  # a byte that is not valid UTF-8
    if character == "\\":
        return "\\\\"
    if character.isprintable() and not unicodedata.combining(character):
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
