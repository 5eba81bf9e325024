"""A table of a D1 database in keyset pages: each asked for by the key after which it begins.

One statement answers with several pages. A page is many rows' lines (see `cells`) in one text,
which is kept well below D1's limit for a value; all pages of one answer together are bounded too,
so that neither wrangler nor D1 holds more than that at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runbook.errors import TargetError
from runbook.sqlite.quoting import quote_name
from runbook.targets.d1.cells import Cell, Long, decode_line, line_sql, literal
from runbook.targets.d1.schema import StoredTable
from runbook.templates import sql_file
from runbook.wording import counted

PAGE_BYTES = 500_000
"""About the size of one page; it may be one row longer."""

PIECE_BYTES = 400_000
"""Bytes of a long value that travel at once (as twice as many hexadecimal digits)."""

FIRST_ROWS = 20_000
"""Rows asked for before it is known how long they are."""


# A cell that is too long, or whose text may be invalid.
_ODD = re.compile(r"(?:^|[\t\n])[xTB]")


@dataclass(frozen=True)
class Part:
    """Some rows of a table, in key order.

    `rowids` is empty for a table without rowids; `plain` says that no cell is Long or RawText.
    """

    rowids: tuple[int, ...]
    rows: tuple[tuple[Cell, ...], ...]
    bytes: int
    plain: bool

    @property
    def last_rowid(self) -> int | None:
        """The greatest rowid among them."""
        return self.rowids[-1] if self.rowids else None


def part_sql(table: StoredTable, after: str, rows: int, answer_bytes: int) -> str:
    """SQL for the rows after a key: at most `rows`, and about `answer_bytes` of lines.

    Args:
        table: the table to read.
        after: a condition from `after_sql`, or "" for the beginning.
    """
    columns = [quote_name(column) for column in table.columns]
    if table.rowid is not None:
        rowid = quote_name(table.rowid)
        line, keys, order = line_sql(columns, first=rowid), f"{rowid} AS k0", "k0"
        inner_order = rowid
    else:
        line = line_sql(columns)
        keys = ",".join(f"{quote_name(k.name)} AS k{n}" for n, k in enumerate(table.key))
        order = ",".join(f"k{n} COLLATE {quote_name(k.collation)}" for n, k in enumerate(table.key))
        inner_order = ",".join(
            f"{quote_name(k.name)} COLLATE {quote_name(k.collation)}" for k in table.key
        )
    return sql_file("d1/pages").render(
        table=table.sql,
        keys=keys,
        line=line,
        order=order,
        inner_order=inner_order,
        conditions=" AND ".join(each for each in (table.only, after) if each),
        rows=rows,
        page_bytes=PAGE_BYTES,
        answer_bytes=answer_bytes,
    )


def part_of(table: StoredTable, answer: Sequence[dict[str, Any]]) -> Part:
    """The rows from the answer to `part_sql`.

    Raises:
        TargetError: the answer is damaged.
    """
    rowids: list[int] = []
    rows: list[tuple[Cell, ...]] = []
    size = 0
    plain = True
    width = len(table.columns)
    try:
        for item in answer:
            page: str = item["page"]
            if not page.isascii():
                raise ValueError("it is not ASCII")
            size += len(page)
            plain = plain and _ODD.search(page) is None
            for line in page.split("\n"):
                if table.rowid is not None:
                    rowid, _, line = line.partition("\t")
                    rowids.append(int(rowid))
                row = tuple(decode_line(line)) if width else ()
                if len(row) != width:
                    raise ValueError(f"{counted(len(row), 'cell')} instead of {width}")
                rows.append(row)
    except (ValueError, KeyError, AttributeError) as error:
        raise TargetError(
            f"A page of the D1 table {table.name!r} arrived damaged ({error}); try again."
        ) from error
    return Part(tuple(rowids), tuple(rows), size, plain)


def after_sql(table: StoredTable, part: Part) -> str:
    """The condition for the rows after the last one of `part`."""
    if table.rowid is not None:
        return f"{quote_name(table.rowid)}>{part.last_rowid}"
    compared = ",".join(
        f"{quote_name(k.name)} COLLATE {quote_name(k.collation)}" for k in table.key
    )
    values = ",".join(_key_values(table, part.rows[-1]))
    return f"({compared})>({values})" if len(table.key) > 1 else f"{compared}>{values}"


def row_sql(table: StoredTable, part: Part, index: int) -> str:
    """The condition for one row of `part`."""
    if table.rowid is not None:
        return f"{quote_name(table.rowid)}={part.rowids[index]}"
    return " AND ".join(
        f"{quote_name(k.name)}={value}"
        for k, value in zip(table.key, _key_values(table, part.rows[index]), strict=True)
    )


def pieces_sql(table: StoredTable, where: str, column: str, long: Long) -> list[str]:
    """Statements for the pieces of a long value, in order; each answers `piece` in hexadecimal."""
    value = f"CAST({quote_name(column)} AS BLOB)"
    return [
        f"SELECT hex(substr({value},{start + 1},{PIECE_BYTES})) AS piece FROM {table.sql}"
        f" WHERE {where}"
        for start in range(0, long.bytes, PIECE_BYTES)
    ]


def _key_values(table: StoredTable, row: Sequence[Cell]) -> list[str]:
    values = []
    for key in table.key:
        value = row[table.columns.index(key.name)]
        if isinstance(value, Long):
            raise TargetError(
                f"A primary key of the D1 table {table.name!r} has {value.bytes} bytes, which is "
                "too long to read the table by; it cannot be copied."
            )
        values.append(literal(value))
    return values
