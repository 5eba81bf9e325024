"""SQL conditions that two cells, or two rows, are not strictly the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runbook.sqlite.quoting import quote_name
from runbook.sqlite.tables import Column


def differs(old: Column, new: Column, before: str = "a") -> str:
    """Return the condition that the cells of `old` in row `before` and `new` in row b differ.

    Equal to `typeof(a) <> typeof(b) OR a IS NOT b COLLATE BINARY`, plus -0.0 against 0.0, but
    about four times as fast. Only an integer and a real can be equal under IS and yet of two
    storage classes, so `typeof` is not called before the difference, which is then zero, turns
    out to be a real: (0 + 1) / 2 is 0, (0.0 + 1) / 2 is 0.5, which is true. The unary plus takes
    the column's affinity away. A REAL column yields reals only and stores -0.0 as 0.0; a TEXT
    column yields no numbers (https://www.sqlite.org/datatype3.html#type_affinity).
    """
    a, b = f"{before}.{quote_name(old.name)}", f"b.{quote_name(new.name)}"
    unequal = f"+{a} IS NOT +{b} COLLATE BINARY"
    affinities = {old.affinity, new.affinity}
    if affinities in ({"REAL"}, {"TEXT"}):
        return unequal
    signs = f"{a} = 0.0 COLLATE BINARY AND atan2(0.0, {a}) <> atan2(0.0, {b})"
    exact = f"(typeof({a}) <> typeof({b}) OR ({signs}))"
    is_real = f"({a} - {b} + 1) / 2"
    # All numbers sort before all text: this spares texts in other columns the arithmetic.
    is_number = "" if affinities == {"NUMERIC"} else f"+{a} < '' COLLATE BINARY AND "
    return f"({unequal} OR ({is_number}{is_real} AND {exact}))"


def any_differs(columns: Iterable[tuple[Column, Column]], before: str = "a") -> str:
    """Return the condition that row `before` and row `b` are not strictly the same in `columns`."""
    return any_of([differs(*pair, before) for pair in columns])


def any_of(conditions: Sequence[str]) -> str:
    """Join with OR as a balanced tree: SQLite refuses expressions deeper than 1,000."""
    if len(conditions) <= 1:
        return conditions[0] if conditions else "0"
    half = len(conditions) // 2
    return f"({any_of(conditions[:half])} OR {any_of(conditions[half:])})"
