"""Changes of one cell that SQLite tells apart and that something, somewhere, takes for equal.

Each has a column declaration, because affinity and collation decide what is stored and how it
compares. `add_columns` puts one column per change into a table, `plant` makes one change.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from runbook.sqlite.quoting import quote_name


@dataclass(frozen=True)
class CellChange:
    """From `before` to `after` (SQL expressions) in a column declared as `declared`."""

    name: str
    declared: str
    before: str
    after: str
    utf8_only: bool = False

    @property
    def column(self) -> str:
        return f"m {self.name}"


def _text(hexadecimal: str) -> str:
    return f"CAST(x'{hexadecimal}' AS TEXT)"


_LONG = "printf('%.*c', 9000, 'x')"

_ALL = (
    # storage class
    CellChange("text to blob", "", "'abc'", "CAST('abc' AS BLOB)"),
    CellChange("blob to text", "BLOB", "CAST('abc' AS BLOB)", "'abc'"),
    CellChange("integer to real", "", "1", "1.0"),
    CellChange("real to integer", "BLOB", "7.0", "7"),
    CellChange("zero to real zero", "", "0", "0.0"),
    CellChange("zero to negative zero", "", "0.0", "-0.0"),
    CellChange("integer zero to negative zero", "", "0", "-0.0"),
    CellChange("integer to text", "", "1", "'1'"),
    CellChange("real to text", "", "1.5", "'1.5'"),
    CellChange("text to integer", "BLOB", "'42'", "42"),
    CellChange("integer to its digits as blob", "INTEGER", "42", "CAST('42' AS BLOB)"),
    CellChange("text to blob in a text column", "TEXT", "'abc'", "CAST('abc' AS BLOB)"),
    CellChange("any integer to real", "ANY", "'x'", "x'78'"),
    # nothing, in its many forms
    CellChange("null to empty text", "TEXT", "NULL", "''"),
    CellChange("empty text to null", "TEXT", "''", "NULL"),
    CellChange("null to empty blob", "BLOB", "NULL", "x''"),
    CellChange("empty text to empty blob", "", "''", "x''"),
    CellChange("null to zero", "INTEGER", "NULL", "0"),
    CellChange("null to the word", "TEXT", "NULL", "'NULL'"),
    CellChange("null to the tag of null", "TEXT", "NULL", "'n'"),
    CellChange("zero to empty text", "", "0", "''"),
    CellChange("empty text to blank", "TEXT", "''", "' '"),
    CellChange("null to nul", "TEXT", "NULL", "char(0)"),
    # precision
    CellChange("2^53 to 2^53+1", "INTEGER", "9007199254740992", "9007199254740993"),
    CellChange("2^53+1 to real 2^53", "", "9007199254740993", "9007199254740992.0"),
    CellChange("2^53 to real 2^53", "", "9007199254740992", "9007199254740992.0"),
    CellChange("largest integer less one", "", "9223372036854775807", "9223372036854775806"),
    CellChange("largest integer to real", "", "9223372036854775807", "9223372036854775807.0"),
    CellChange(
        "smallest integer to real",
        "INTEGER",
        "(-9223372036854775807 - 1)",
        "-9223372036854775808.0",
    ),
    CellChange("snowflake id", "INTEGER", "1234567890123456789", "1234567890123456788"),
    CellChange("last bit of 0.1", "REAL", "0.1", "0.10000000000000002"),
    CellChange("last bit of 1", "", "1.0", "1.0000000000000002"),
    CellChange("0.1 + 0.2 to 0.3", "NUMERIC", "0.1 + 0.2", "0.3"),
    CellChange("last bit of a large real", "REAL", "1e300", "1.0000000000000002e300"),
    CellChange("smallest real to zero", "REAL", "5e-324", "0.0"),
    CellChange("largest real to infinity", "REAL", "1.7976931348623157e308", "9e999"),
    CellChange("infinity to minus infinity", "REAL", "9e999", "-9e999"),
    CellChange("infinity to null", "REAL", "9e999", "NULL"),
    CellChange("infinity to the word", "", "9e999", "'Inf'"),
    CellChange("decimal text", "TEXT", "'1.10'", "'1.1'"),
    CellChange("number text to scientific", "TEXT", "'1000'", "'1e3'"),
    CellChange("leading zeros", "TEXT", "'00123'", "'123'"),
    CellChange("plus sign", "VARCHAR(10)", "'+1'", "'1'"),
    CellChange("price to more digits", "DECIMAL(10,2)", "19.99", "19.990000000000002"),
    # Unicode
    CellChange("NFC to NFD", "TEXT", "char(233)", "'e' || char(769)"),
    CellChange("ligature", "TEXT", "char(64257)", "'fi'"),
    CellChange("sharp s", "TEXT", "char(223)", "'ss'"),
    CellChange("Latin to Cyrillic", "TEXT", "'a'", "char(1072)"),
    CellChange("full width", "TEXT", "'A'", "char(65313)"),
    CellChange("zero width joiner", "TEXT", "'ab'", "'a' || char(8205) || 'b'"),
    CellChange("byte order mark", "TEXT", "'abc'", "char(65279) || 'abc'"),
    CellChange("variation selector", "TEXT", "char(10084)", "char(10084, 65039)"),
    CellChange("soft hyphen", "TEXT", "'ab'", "'a' || char(173) || 'b'"),
    CellChange("outside the basic plane", "TEXT", "char(128512)", "char(128513)"),
    CellChange("replacement character", "TEXT", "char(128512)", "char(65533)"),
    # case and blanks, where the collation looks away
    CellChange("case under NOCASE", "TEXT COLLATE NOCASE", "'Ada'", "'ada'"),
    CellChange("trailing blank under RTRIM", "TEXT COLLATE RTRIM", "'ada'", "'ada '"),
    CellChange("fewer blanks under RTRIM", "TEXT COLLATE RTRIM", "'ada  '", "'ada '"),
    CellChange("trailing blank", "TEXT", "'ada'", "'ada '"),
    CellChange("leading blank", "TEXT", "'ada'", "' ada'"),
    CellChange("no-break space", "TEXT", "'a b'", "'a' || char(160) || 'b'"),
    CellChange("tab", "TEXT", "'a b'", "'a' || char(9) || 'b'"),
    CellChange("line ends", "TEXT", "'a' || char(10)", "'a' || char(13, 10)"),
    CellChange("trailing newline", "TEXT", "'a'", "'a' || char(10)"),
    # NUL characters
    CellChange("NUL and more cut off", "TEXT", "'a' || char(0) || 'b'", "'a'"),
    CellChange("text after a NUL", "TEXT", "'a' || char(0) || 'b'", "'a' || char(0) || 'c'"),
    CellChange("trailing NUL", "TEXT", "'ab'", "'ab' || char(0)"),
    CellChange("only a NUL", "TEXT", "''", "char(0)"),
    CellChange("trailing NUL of a blob", "BLOB", "x'6100'", "x'61'"),
    # text that is not valid
    CellChange("invalid byte", "TEXT", _text("61ff"), _text("61fe"), True),
    CellChange("invalid byte to replacement", "TEXT", _text("61ff"), "'a' || char(65533)", True),
    CellChange("truncated character", "TEXT", _text("61c3"), "'a'", True),
    CellChange("overlong slash", "TEXT", "'/'", _text("c0af"), True),
    CellChange("surrogate pair as UTF-8", "TEXT", "char(128512)", _text("eda0bdedb880"), True),
    CellChange("invalid byte to blob", "", _text("ff"), "x'ff'", True),
    # dates
    CellChange("T in a date", "TEXT", "'2024-01-02 03:04:05'", "'2024-01-02T03:04:05'"),
    CellChange("Z in a date", "DATETIME", "'2024-01-02 03:04:05'", "'2024-01-02 03:04:05Z'"),
    CellChange("offset", "DATETIME", "'2024-01-02 03:04:05Z'", "'2024-01-02 03:04:05+00:00'"),
    CellChange("fraction", "TIMESTAMP", "'2024-01-02 03:04:05'", "'2024-01-02 03:04:05.000'"),
    CellChange("midnight", "DATE", "'2024-01-02'", "'2024-01-02 00:00:00'"),
    CellChange("epoch to milliseconds", "TIMESTAMP", "1704164645", "1704164645000"),
    CellChange("epoch to text", "DATETIME", "1704164645", "'2024-01-02 03:04:05'"),
    CellChange("epoch to real", "", "1704164645", "1704164645.0"),
    # booleans, JSON, identifiers
    CellChange("boolean one to two", "BOOLEAN", "1", "2"),
    CellChange("boolean one to word", "BOOLEAN", "1", "'true'"),
    CellChange("boolean zero to null", "BOOLEAN", "0", "NULL"),
    CellChange("JSON blanks", "JSON", "'{\"a\":1}'", "'{\"a\": 1}'"),
    CellChange("JSON order", "JSON", '\'{"a":1,"b":2}\'', '\'{"b":2,"a":1}\''),
    CellChange("UUID case", "TEXT", "'ABCDEF00-0000'", "'abcdef00-0000'"),
    CellChange("UUID to bytes", "", "'abcdef00'", "x'abcdef00'"),
    # size
    CellChange("end of a long text", "TEXT", f"{_LONG} || 'a'", f"{_LONG} || 'b'"),
    CellChange("end of a long blob", "BLOB", "zeroblob(9000)", "zeroblob(8999) || x'01'"),
    CellChange("length of zeros", "BLOB", "zeroblob(9000)", "zeroblob(9001)"),
)


def changes(encoding: str = "UTF-8") -> tuple[CellChange, ...]:
    """Return the changes that exist in a database of this encoding (at least 60)."""
    return tuple(change for change in _ALL if encoding == "UTF-8" or not change.utf8_only)


def add_columns(connection: sqlite3.Connection, table: str, wanted: tuple[CellChange, ...]) -> None:
    """Add one column per change to `table`, holding the value before in every row."""
    name = quote_name(table)
    for change in wanted:
        column = quote_name(change.column)
        connection.execute(f"ALTER TABLE {name} ADD COLUMN {column} {change.declared}")
    assignments = ", ".join(f"{quote_name(each.column)} = {each.before}" for each in wanted)
    connection.execute(f"UPDATE {name} SET {assignments}")


def plant(connection: sqlite3.Connection, table: str, change: CellChange, where: str) -> None:
    """Make one change in the one row that `where` (SQL) selects."""
    cursor = connection.execute(
        f"UPDATE {quote_name(table)} SET {quote_name(change.column)} = {change.after} WHERE {where}"
    )
    assert cursor.rowcount == 1, f"{change.name}: {cursor.rowcount} rows"
