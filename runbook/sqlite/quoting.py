"""Writing names and values into SQL text, where binding is not possible."""

from __future__ import annotations

import math
import string

from runbook.errors import BadInput

IN_WORD = "A-Za-z0-9_$\x80-\U0010ffff"
"""What an unquoted name may consist of, for brackets of a regular expression: SQLite takes whatever
is not ASCII for a letter, an emoji or a no-break space too."""

_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def quote_name(name: str) -> str:
    """Return `name` as a quoted SQL identifier: in double quotes, inner ones doubled.

    Raises BadInput for a name with a NUL character, which would end the SQL text early.
    """
    if "\0" in name:
        raise BadInput(
            f"The name {name!r} contains a NUL character, which SQL text cannot hold: rename it."
        )
    return '"' + name.replace('"', '""') + '"'


def unquote_name(token: str) -> str:
    """The name that a token of SQL text stands for: `a"b` for `"a""b"`; others as they are.

    SQLite takes names in double quotes, backquotes, brackets and, where it can, in single quotes:
    https://sqlite.org/lang_keywords.html
    """
    if len(token) < 2 or token[0] not in "\"`'[":
        return token
    inner = token[1:-1]
    return inner if token[0] == "[" else inner.replace(token[0] * 2, token[0])


def fold_name(name: str) -> str:
    """`name` as SQLite compares names: it folds the case of ASCII letters only."""
    return name.translate(_FOLD)


def same_name(one: str, other: str) -> bool:
    """Whether SQLite takes both for the same name."""
    return fold_name(one) == fold_name(other)


def quote_value(value: str | int | float | bytes | None) -> str:
    """Return `value` as an SQL literal that reads back as exactly this value and storage class.

    For scripts that people read and that run elsewhere; where SQL is run by us, bind instead.
    Raises BadInput for text that is not valid Unicode and for NaN, which SQLite cannot store.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex().upper()}'"
    if isinstance(value, str):
        return _quote_text(value)
    if isinstance(value, float):
        return _quote_real(value)
    value = int(value)  # a bool is an integer in SQLite
    if not -(2**63) <= value < 2**63:
        raise BadInput(
            f"The integer {value} does not fit into SQLite's 64 bits: use text or a real."
        )
    # The smallest integer has no literal: its digits alone already overflow into a real.
    return "(-9223372036854775807 - 1)" if value == -(2**63) else str(value)


def _quote_text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadInput(
            f"The text {value!r} holds a lone surrogate, which is not valid Unicode: correct it."
        ) from None
    if "\0" in value:
        # SQL text ends at a NUL. A cast reads bytes in the database's own encoding, so this
        # form is for UTF-8 databases; joining pieces with char(0) is right in all of them.
        pieces = [f"'{piece}'" for piece in value.replace("'", "''").split("\0")]
        return "(" + " || char(0) || ".join(pieces) + ")"
    return "'" + value.replace("'", "''") + "'"


def _quote_real(value: float) -> str:
    if math.isnan(value):
        raise BadInput("NaN cannot be stored by SQLite, which turns it into NULL: use None.")
    if math.isinf(value):
        return "9e999" if value > 0 else "-9e999"
    digits = repr(value)  # the shortest that Python reads back as the same double
    ordinary = value == 0 or 1e-5 <= abs(value) < 1e15
    if ordinary and sum(character.isdigit() for character in digits) <= 15:
        return digits
    # SQLite rounds longer or more distant decimals to a neighbour of the right double, depending
    # on its version and processor. An integer scaled by powers of two is exact everywhere.
    numerator, denominator = value.as_integer_ratio()
    power = denominator.bit_length() - 1
    if power == 0:
        power = -((numerator & -numerator).bit_length() - 1)
        numerator >>= -power
    operator = " / " if power > 0 else " * "
    steps = [62] * (abs(power) // 62) + [abs(power) % 62]
    return f"({numerator} * 1.0" + "".join(f"{operator}{2**step}" for step in steps if step) + ")"
