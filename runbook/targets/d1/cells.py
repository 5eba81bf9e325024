"""Rows of a D1 database as lines of plain ASCII that neither JSON nor D1 can alter.

A line is the cells of one row with tabs between; SQL in D1 builds it, Python reads it.

| storage class | cell                                                                        |
| ------------- | --------------------------------------------------------------------------- |
| TEXT          | `t` and the text, where it is printable ASCII; else `x` and its bytes as hex |
| BLOB          | `b` and hexadecimal digits                                                  |
| INTEGER       | `i` and decimal digits                                                      |
| REAL          | `r`, a whole number, `p`, a power of two; `rInf`, `r-Inf`, `r-0`             |
| NULL          | `n`                                                                         |
| too long      | `T` or `B` and the number of bytes: fetched in pieces afterwards            |

A real cannot travel as decimals: workerd's `printf('%!.20g')` gives another double for about one
in ten of very large and very small numbers. Scaling by a power of two is exact, so the whole number
times the power of two is the very same double.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from runbook.templates import sql_file

Value = str | bytes | int | float | None

ROW_BYTES = 500_000
"""A row's cells together are kept below about twice this; D1 refuses rows and texts of 2 MB."""


_SPECIAL = {"Inf": math.inf, "-Inf": -math.inf, "-0": -0.0}

LINE_CHARACTERS = 60_000
"""SQL for a line is kept below this where it can be."""


@dataclass(frozen=True)
class Long:
    """A text or blob that is too long to travel with its row."""

    text: bool
    bytes: int


@dataclass(frozen=True)
class RawText:
    """Text whose bytes are not valid UTF-8, which a Python string cannot hold."""

    bytes: bytes


Cell = Value | Long | RawText


def line_sql(columns: Sequence[str], first: str = "") -> str:
    """SQL for a row's line: optionally the plain expression `first`, then the cells of `columns`.

    Args:
        columns: quoted names.
        first: SQL for an integer that goes first, for example the rowid.
    """
    longest = ROW_BYTES // max(len(columns), 1)
    cells = [cell_sql(column, longest) for column in columns]
    if sum(map(len, cells)) > LINE_CHARACTERS:
        # Each cell names its column some twenty times. Saying it once takes a little longer to
        # run, but keeps the statement of a very wide table below D1's limit of 100 kB.
        cells = [f"(SELECT {cell_sql('x', longest)} FROM (SELECT {c} AS x))" for c in columns]
    return joined([f"{first}||''", *cells] if first else cells, "char(9)")


def joined(parts: Sequence[str], separator: str) -> str:
    """`parts` concatenated with the separator between, as a balanced tree of `||`.

    A tree, because D1 refuses expressions deeper than 100 and functions with over 32 arguments.
    """
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = joined(parts[:middle], separator), joined(parts[middle:], separator)
    return f"({left}||{separator}||{right})"


@functools.cache
def cell_sql(column: str, longest: int) -> str:
    """SQL for the cell of one column (an SQL expression); longer values are left for later."""
    return sql_file("d1/cell").render(c=column, longest=longest).strip()


def decode_line(line: str) -> list[Cell]:
    """The cells of a line, which the caller has found to be ASCII.

    Raises:
        ValueError: it is not a line that `line_sql` made.
    """
    # Written out for the commonest cell, because this runs for every cell of the database.
    return [c[1:] if c[:1] == "t" else decode_cell(c) for c in line.split("\t")]


def decode_cell(cell: str) -> Cell:
    """The value of a cell, of its storage class.

    Raises:
        ValueError: it is not a cell that `cell_sql` made.
    """
    tag, body = cell[:1], cell[1:]
    if tag == "t":
        return body
    if tag == "i":
        return int(body)
    if tag == "n" and not body:
        return None
    if tag == "x":
        return text_of(bytes.fromhex(body))
    if tag == "b":
        return bytes.fromhex(body)
    if tag == "r":
        return _real(body)
    if tag in ("T", "B"):
        return Long(tag == "T", int(body))
    raise ValueError(f"{cell[:20]!r} is not a cell")


def text_of(content: bytes) -> str | RawText:
    """Text from its bytes."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return RawText(content)


def _real(body: str) -> float:
    whole, separator, power = body.partition("p")
    if separator:
        return math.ldexp(int(whole), int(power))
    if body not in _SPECIAL:
        raise ValueError(f"{body[:20]!r} is not a real")
    return _SPECIAL[body]


def literal(value: Value | RawText) -> str:
    """`value` as SQL that compares by its own storage class, whatever column it is compared with.

    Text is written in hexadecimal, since wrangler removes some words even inside strings, and
    with a plus sign, since a bare CAST would lend its affinity to the column beside it.
    """
    if value is None:
        return "NULL"
    if isinstance(value, RawText):
        return f"+CAST(x'{value.bytes.hex()}' AS TEXT)"
    if isinstance(value, str):
        return f"+CAST(x'{value.encode().hex()}' AS TEXT)"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, float):
        if math.isinf(value):
            return "9e999" if value > 0 else "-9e999"
        return _exact_real(value)
    return "(-9223372036854775807-1)" if value == -(2**63) else str(value)


def _exact_real(value: float) -> str:
    """A real as a product of powers of two, exact even where decimals would be read wrongly."""
    if value == 0:
        return str(value)  # a product of the whole number 0 would lose the sign of -0.0
    mantissa, power = math.frexp(value)
    whole, power = int(mantissa * 2**53), power - 53
    half = power // 2
    return f"({whole}*pow(2.0,{half})*pow(2.0,{power - half}))"
