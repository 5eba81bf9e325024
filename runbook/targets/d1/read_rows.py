"""Reads all rows of a D1 database: which pages are asked for in which call.

The sums and the first rows of every table come in one call, so a small database needs no other.
Of what is left, small tables are read together, and a large one in several ranges of its rowids;
a few calls run at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

from runbook.errors import TargetError
from runbook.progress import Progress
from runbook.sqlite.quoting import quote_name
from runbook.targets.d1.cells import Cell, Long, text_of
from runbook.targets.d1.pages import (
    FIRST_ROWS,
    Part,
    after_sql,
    part_of,
    part_sql,
    pieces_sql,
    row_sql,
)
from runbook.targets.d1.schema import Read, Schema, StoredTable, sums_sql

_MOST_ROWS = 1_000_000
_LEAST_ROWS = 1_000

Keep = Callable[[StoredTable, Part], None]
"""Takes rows that have been read."""


@dataclass(frozen=True)
class Pace:
    """About how many bytes one call may bring, and how many calls may run at once."""

    answer_bytes: int
    calls: int


LOCAL = Pace(24_000_000, 1)
"""Two engines that open one local file at the same time find it locked."""

REMOTE = Pace(8_000_000, 3)


@dataclass
class _Reading:
    """How far a table, or a range of its rowids, has been read."""

    table: StoredTable
    expected: int
    after: str = ""
    until: str = ""
    row_bytes: int = 0
    """About how long a row is; 0 where none has been seen."""
    rows: int = 0
    done: bool = False

    @property
    def rows_left(self) -> int:
        """How many rows there should still be."""
        return 0 if self.done else max(self.expected - self.rows, 1)

    @property
    def bytes_left(self) -> int:
        """About how many bytes are still to come."""
        return self.rows_left * self.row_bytes

    def sql(self, answer_bytes: int) -> str:
        """The statement for the next rows: not many more than can be sent, for all are encoded."""
        rows = answer_bytes // self.row_bytes if self.row_bytes else FIRST_ROWS
        where = " AND ".join(each for each in (self.after, self.until) if each)
        rows = max(_LEAST_ROWS, min(_MOST_ROWS, rows))
        return part_sql(self.table, where, rows, answer_bytes)


def read_rows(
    read: Read, schema: Schema, keep: Keep, pace: Pace, progress: Progress
) -> dict[str, str]:
    """Hands all rows to `keep`; returns the sums that the tables had when reading began.

    Args:
        read: runs statements; it is called from several threads.
        schema: the tables to read.
        keep: takes the rows, in this thread.
        pace: how large and how many the calls may be.
        progress: shown each table, with the rows that were read of it.

    Raises:
        TargetError: the database cannot be read, or was written to meanwhile.
    """
    tables = schema.tables
    share = pace.answer_bytes // max(len(tables), 1)
    firsts = [_Reading(table, 0) for table in tables]
    answers = read([*map(sums_sql, tables), *(each.sql(share) for each in firsts)])
    sums = {t.name: str(a[0]["sums"]) for t, a in zip(tables, answers, strict=False)}
    counts = {name: int(text.split(" ")[0]) for name, text in sums.items()}
    total = dict.fromkeys(counts, 0)

    def take(reading: _Reading, answer: Sequence[dict[str, Any]]) -> None:
        part = part_of(reading.table, answer)
        if not part.rows:
            reading.done = True
            return
        reading.after = after_sql(reading.table, part)
        keep(reading.table, _completed(read, reading.table, part, pace.answer_bytes))
        reading.rows += len(part.rows)
        reading.row_bytes = max(part.bytes // len(part.rows), 1)
        # One row more than there were shows that somebody writes; later sums will say so.
        reading.done = reading.rows >= reading.expected
        name = reading.table.name
        total[name] += len(part.rows)
        progress(name, total[name], counts[name], "rows")

    for reading, answer in zip(firsts, answers[len(tables) :], strict=True):
        reading.expected = counts[reading.table.name]
        take(reading, answer)
    rest = _divided(read, [each for each in firsts if not each.done], pace)
    _read_at_once(read, list(_grouped(rest, pace.answer_bytes)), take, pace)
    return sums


def _divided(read: Read, readings: Sequence[_Reading], pace: Pace) -> list[_Reading]:
    """The readings, those of large tables divided into ranges of rowids that fit into a call."""
    parts = [_parts(each, pace.answer_bytes) for each in readings]
    statements = [
        f"SELECT {quote_name(str(each.table.rowid))}||'' AS k FROM {each.table.sql}"
        f" WHERE {each.after} ORDER BY {quote_name(str(each.table.rowid))}"
        f" LIMIT 1 OFFSET {each.rows_left * n // count - 1}"
        for each, count in zip(readings, parts, strict=True)
        for n in range(1, count)
    ]
    answers = iter(read(statements) if statements else [])
    divided = []
    for each, count in zip(readings, parts, strict=True):
        ends = [row[0]["k"] for row in (next(answers) for _ in range(1, count)) if row]
        rowid = quote_name(str(each.table.rowid))
        lower = [each.after, *(f"{rowid}>{k}" for k in ends)]
        upper = [*(f"{rowid}<={k}" for k in ends), ""]
        left = each.rows_left
        for n, (after, until) in enumerate(zip(lower, upper, strict=True)):
            expected = left * (n + 1) // len(lower) - left * n // len(lower)
            divided.append(_Reading(each.table, expected, after, until, row_bytes=each.row_bytes))
    return divided


def _parts(reading: _Reading, answer_bytes: int) -> int:
    """Into how many ranges a table is divided, so that each fits into one call."""
    if reading.table.rowid is None:
        return 1
    return -(-reading.bytes_left * 11 // (answer_bytes * 10))


def _grouped(readings: Sequence[_Reading], answer_bytes: int) -> Iterator[list[_Reading]]:
    """Readings that fit into one call together."""
    group: list[_Reading] = []
    size = 0
    for reading in readings:
        if group and size + reading.bytes_left > answer_bytes:
            yield group
            group, size = [], 0
        group.append(reading)
        size += reading.bytes_left
    if group:
        yield group


def _read_at_once(
    read: Read,
    groups: list[list[_Reading]],
    take: Callable[[_Reading, Sequence[dict[str, Any]]], None],
    pace: Pace,
) -> None:
    """Reads each group to its end, a few at once; rows are taken here while the next are read."""
    with ThreadPoolExecutor(pace.calls) as pool:
        running: dict[Future[Any], list[_Reading]] = {}

        def ask() -> None:
            while groups and len(running) < pace.calls:
                group = groups.pop(0)
                share = pace.answer_bytes // len(group)
                running[pool.submit(read, [each.sql(share) for each in group])] = group

        try:
            while groups or running:
                ask()
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    group, answers = running.pop(future), future.result()
                    ask()
                    for reading, answer in zip(group, answers, strict=True):
                        take(reading, answer)
                    if more := [each for each in group if not each.done]:
                        groups.append(more)
        finally:
            for future in running:
                future.cancel()


def _completed(read: Read, table: StoredTable, part: Part, answer_bytes: int) -> Part:
    """The part with its long values fetched, several in a call."""
    if part.plain:
        return part
    rows = [list(row) for row in part.rows]
    wanted: list[tuple[int, int, Long]] = []
    size = 0
    for index, row in enumerate(part.rows):
        for position, cell in enumerate(row):
            if isinstance(cell, Long):
                wanted.append((index, position, cell))
                size += 2 * cell.bytes
        if size > answer_bytes:
            _fetch(read, table, part, wanted, rows)
            wanted, size = [], 0
    _fetch(read, table, part, wanted, rows)
    return replace(part, rows=tuple(map(tuple, rows)))


def _fetch(
    read: Read,
    table: StoredTable,
    part: Part,
    wanted: Sequence[tuple[int, int, Long]],
    rows: list[list[Cell]],
) -> None:
    """Puts long values, each wanted as row index, column index and length, into `rows`."""
    statements = [
        pieces_sql(table, row_sql(table, part, index), table.columns[position], long)
        for index, position, long in wanted
    ]
    answers = iter(read([piece for pieces in statements for piece in pieces]) if wanted else [])
    for (index, position, long), pieces in zip(wanted, statements, strict=True):
        parts = [next(answers) for _ in pieces]
        value = b"".join(bytes.fromhex(answer[0]["piece"]) for answer in parts if answer)
        if len(value) != long.bytes:
            raise written_to(table.name)
        rows[index][position] = text_of(value) if long.text else value


def written_to(table: str) -> TargetError:
    """The error for a table that was written to meanwhile."""
    return TargetError(
        f"The D1 table {table!r} was written to while it was copied; put the application into "
        "maintenance mode and try again."
    )
