"""The generator: from a seed and from what is known of a database, mutants without end.

A mutant is a statement at a moment, or another text of a statement of the script. What SQLite does
not take is none, and whoever runs them lets it go.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.support.matrix import changes
from tests.support.mutants.content import quoted
from tests.support.mutants.original import (
    AFTER_COMMIT,
    AT_BEGIN,
    Kind,
    Mutant,
    Original,
    TableProfile,
)
from tests.support.mutants.schema import spoil_header, spoil_schema
from tests.support.mutants.script import spoil_script


def mutants(original: Original, kind: Kind, moments: int) -> Iterator[Mutant]:
    """Mutants of one kind, for ever; `moments` is the number of steps."""
    makers = {
        "SQL": spoil_script,
        "data before the gate": _data_before,
        "data after the commit": _data_after,
        "header": spoil_header,
        "schema": spoil_schema,
    }
    while True:
        mutant = makers[kind](original, moments)
        if mutant is not None:
            yield mutant


# -- data --------------------------------------------------------------------------------------


def _data_before(original: Original, moments: int) -> Mutant:
    """A write before the first step, or between two of the steps."""
    moment = original.draw.choice([AT_BEGIN, AT_BEGIN, *range(moments), moments - 1])
    tables = original.before if moment == AT_BEGIN else original.after
    table = _choose_table(original.draw, tables)
    name, sql = _write(original.draw, table)
    return Mutant("data before the gate", f"{table.where}: {name}", moment, sql)


def _data_after(original: Original, moments: int) -> Mutant:
    table = _choose_table(original.draw, original.after)
    name, sql = _write(original.draw, table)
    return Mutant("data after the commit", f"{table.where}: {name}", AFTER_COMMIT, sql)


def _choose_table(draw: random.Random, tables: tuple[TableProfile, ...]) -> TableProfile:
    return draw.choice([t for t in tables if t.rows and (t.rowid or t.key)])


def _write(draw: random.Random, table: TableProfile) -> tuple[str, tuple[str, ...]]:
    """One kind of write to a table, with its name."""
    kind = draw.choices(
        ["value", "values of a column", "values exchanged", "row removed", "row added", "emptied"],
        [60, 6, 8, 10, 12, 4],
    )[0]
    name, number = quoted(table.name), draw.randrange(table.rows)
    row = table.row(number)
    column = draw.choice(table.writable)
    cell = quoted(column)
    if kind == "value":
        value = _value(draw, table, column)
        return kind, (f"UPDATE {name} SET {cell} = {value} WHERE {row}",)
    if kind == "values of a column":
        return kind, (f"UPDATE {name} SET {cell} = {_value(draw, table, column)}",)
    if kind == "values exchanged":
        other = table.row((number + 1) % table.rows)
        pick = f"(SELECT {cell} FROM {name} WHERE {{}})"
        return kind, (
            f"CREATE TEMP TABLE kept AS SELECT {pick.format(row)} AS a, {pick.format(other)} AS b",
            f"UPDATE {name} SET {cell} = CASE WHEN {row} THEN (SELECT b FROM kept)"
            f" ELSE (SELECT a FROM kept) END WHERE {row} OR {other}",
            "DROP TABLE kept",
        )
    if kind == "row removed":
        return kind, (f"DELETE FROM {name} WHERE {row}",)
    if kind == "emptied":
        return kind, (f"DELETE FROM {name}",)
    columns = ", ".join(map(quoted, table.writable))
    new = {c for c in table.writable if c in table.key or draw.random() < 0.4}
    values = ", ".join(_next(c) if c in new else quoted(c) for c in table.writable)
    return kind, (f"INSERT INTO {name} ({columns}) SELECT {values} FROM {name} WHERE {row}",)


def _next(column: str) -> str:
    """A value of the same class that is hardly there yet."""
    c = quoted(column)
    return (
        f"CASE typeof({c}) WHEN 'integer' THEN abs({c} % 1000000) + 1000 WHEN 'blob' THEN"
        f" CAST({c} || 'x' AS BLOB) ELSE {c} || 'x' END"
    )


_LITERALS = [change.after for change in changes() if "9000" not in change.after]


def _value(draw: random.Random, table: TableProfile, column: str) -> str:
    """An SQL expression for another value of a cell; sometimes it is the same one."""
    c = quoted(column)
    derived = [
        "NULL",
        f"{c} || ' '",
        f"CAST({c} AS BLOB)",
        f"CAST({c} AS TEXT)",
        f"upper({c})",
        f"{c} + 1",
        f"1.0 * {c}",
        f"replace({c}, '0', '1')",
        f"replace({c}, 'e', char(233))",
        f"substr({c}, 2)",
        table.other(column, draw.randrange(table.rows)),
        table.other(column, draw.randrange(table.rows)),
        table.other(draw.choice(table.columns), draw.randrange(table.rows)),
    ]
    return draw.choice(derived) if draw.random() < 0.7 else draw.choice(_LITERALS)
