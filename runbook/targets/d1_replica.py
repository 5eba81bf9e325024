"""An exact local replica of a D1 database, as a plain SQLite file.

D1 lets nobody copy its file, and its export loses integers above 2^53, NUL characters and rowids.
So the rows are read in pages of type-tagged text (`d1_cells`, `d1_pages`) and written into a new
file, with their rowids, in the schema that the database itself reports: tables first, then rows,
then indexes, triggers and views. Afterwards each table's sums are asked of both sides.

Many pages cannot be read in one transaction. Sums are therefore asked before and after; where they
differ, somebody wrote meanwhile, and there is no replica.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from runbook.errors import TargetError
from runbook.names import quote_name
from runbook.targets.d1_cells import Cell, Long, RawText, text_of
from runbook.targets.d1_pages import (
    FIRST_ROWS,
    Part,
    after_sql,
    part_of,
    part_sql,
    pieces_sql,
    row_sql,
)
from runbook.targets.d1_schema import (
    COUNTERS,
    Entry,
    Read,
    Schema,
    StoredTable,
    read_schema,
    schema_of,
    schema_sql,
    sums_sql,
)

LOCAL_ANSWER_BYTES = 48_000_000
REMOTE_ANSWER_BYTES = 8_000_000

_MOST_ROWS = 1_000_000
_LEAST_ROWS = 1_000
_CACHE_KIBIBYTES = 65536

Told = Callable[[str, int, int], None]
"""Told which table is read, how many of its rows have been, and how many there are."""


@dataclass(frozen=True)
class TableCopied:
    """One table of the replica."""

    name: str
    rows: int
    sums: str


@dataclass(frozen=True)
class Replica:
    """What was copied; sums are the same in D1, before and after, and in the file."""

    path: Path
    tables: tuple[TableCopied, ...]
    seconds: float

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)


@dataclass
class _Reading:
    """How far a table has been read."""

    table: StoredTable
    expected: int
    after: str = ""
    rows: int = 0
    bytes: int = 0
    done: bool = False

    def next_rows(self, answer_bytes: int) -> int:
        """How many rows to ask for, so that not many more are encoded than can be sent."""
        if not self.rows:
            return FIRST_ROWS
        return max(_LEAST_ROWS, min(_MOST_ROWS, answer_bytes * self.rows // max(self.bytes, 1)))

    def bytes_left(self) -> int:
        """About how many bytes are still to come; unknown before the first page."""
        average = self.bytes // self.rows if self.rows else 200
        return max(self.expected - self.rows, 0) * average


def replicate(
    read: Read,
    to: Path,
    *,
    answer_bytes: int,
    leave_out: str = "",
    told: Told = lambda _what, _done, _total: None,
) -> Replica:
    """Copies the database behind `read` into the new file `to`.

    Args:
        read: runs SELECT statements and returns the rows of each.
        to: the file to write; it must not exist. It appears only when it is complete.
        answer_bytes: about how many bytes one call may bring.
        leave_out: a table that is not copied: wrangler's own, of the migrations it has applied.
        told: told of the progress.

    Raises:
        TargetError: the database was written to meanwhile, or cannot be held by this SQLite.
    """
    began = time.monotonic()
    schema = read_schema(read, leave_out)
    partial = to.with_name(to.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        with _Writer(partial) as writer:
            writer.create_tables(schema)
            before = _read_rows(read, schema, writer, answer_bytes, told)
            writer.create_rest(schema)
            _check(read, schema, leave_out, writer, before)
        partial.rename(to)
    finally:
        partial.unlink(missing_ok=True)
    tables = tuple(
        TableCopied(name, int(sums.split(" ")[0]), sums) for name, sums in before.items()
    )
    return Replica(to, tables, round(time.monotonic() - began, 3))


def _read_rows(
    read: Read, schema: Schema, writer: _Writer, answer_bytes: int, told: Told
) -> dict[str, str]:
    """Reads all rows; returns the sums that the tables had when reading began.

    The sums and the first page of every table come in one call, so a small database needs no
    other; then as many tables are read at once as one call can bring.
    """
    tables = schema.tables
    firsts = [part_sql(t, "", FIRST_ROWS, answer_bytes // max(len(tables), 1)) for t in tables]
    answers = read([*(sums_sql(t) for t in tables), *firsts])
    sums = {t.name: str(a[0]["sums"]) for t, a in zip(tables, answers, strict=False)}
    readings = [_Reading(t, int(sums[t.name].split(" ")[0])) for t in tables]
    for reading, answer in zip(readings, answers[len(tables) :], strict=True):
        _take(read, reading, part_of(reading.table, answer), writer, answer_bytes, told)
    while pending := [reading for reading in readings if not reading.done]:
        chosen = _fitting(pending, answer_bytes)
        share = answer_bytes // len(chosen)
        statements = [part_sql(r.table, r.after, r.next_rows(share), share) for r in chosen]
        for reading, answer in zip(chosen, read(statements), strict=True):
            _take(read, reading, part_of(reading.table, answer), writer, answer_bytes, told)
    return sums


def _fitting(pending: Sequence[_Reading], answer_bytes: int) -> list[_Reading]:
    """The tables to read in the next call: the first one, and others while they fit as a whole."""
    chosen, size = [pending[0]], pending[0].bytes_left()
    for reading in pending[1:]:
        size += reading.bytes_left()
        if size > answer_bytes:
            break
        chosen.append(reading)
    return chosen


def _take(
    read: Read, reading: _Reading, part: Part, writer: _Writer, answer_bytes: int, told: Told
) -> None:
    if not part.rows:
        reading.done = True
        return
    table = reading.table
    reading.after = after_sql(table, part)
    writer.insert(table, _completed(read, table, part, answer_bytes))
    reading.rows += len(part.rows)
    reading.bytes += part.bytes
    # One row more than there were shows that somebody writes; the sums afterwards will say so.
    reading.done = reading.rows >= reading.expected
    told(table.name, reading.rows, reading.expected)


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
        found = [next(answers) for _ in pieces]
        value = b"".join(bytes.fromhex(answer[0]["piece"]) for answer in found if answer)
        if len(value) != long.bytes:
            raise _written_to(table.name)
        rows[index][position] = text_of(value) if long.text else value


def _check(
    read: Read, schema: Schema, leave_out: str, writer: _Writer, before: dict[str, str]
) -> None:
    """Asks schema and sums of D1 again, and of the file."""
    tables = schema.tables
    answers = read([*schema_sql(), *(sums_sql(t) for t in tables)])
    count = len(schema_sql())
    if schema_of(answers[:count], leave_out) != schema:
        raise TargetError(
            "The schema of the D1 database changed while it was copied; let nobody deploy or "
            "migrate meanwhile, and try again."
        )
    for table, answer in zip(tables, answers[count:], strict=True):
        if str(answer[0]["sums"]) != before[table.name]:
            raise _written_to(table.name)
        found = writer.sums(table)
        if found != before[table.name]:
            raise TargetError(
                f"The replica of the D1 table {table.name!r} is not exact (sums {found} instead of "
                f"{before[table.name]}); do not go on with it, and report this."
            )
    writer.check_schema(schema)


def _written_to(table: str) -> TargetError:
    return TargetError(
        f"The D1 table {table!r} was written to while it was copied; put the application into "
        "maintenance mode and try again."
    )


def make_counters(connection: sqlite3.Connection) -> None:
    """Creates SQLite's table of counters, if it is not there.

    wrangler's own table needs it, and it can never be dropped: so that a replica from before a
    migration is like one from after it, every replica has it.
    """
    connection.execute("CREATE TABLE runbook_counting (id INTEGER PRIMARY KEY AUTOINCREMENT)")
    connection.execute("DROP TABLE runbook_counting")


@dataclass
class _Writer:
    """The file being written."""

    path: Path
    connection: sqlite3.Connection = field(init=False)
    _counters: list[tuple[StoredTable, Part]] = field(default_factory=list)

    def __enter__(self) -> _Writer:
        handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.close(handle)
        self._open()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.connection.close()
        if kind is None:
            handle = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _open(self) -> None:
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        for pragma in (
            "journal_mode = OFF",  # a broken attempt is thrown away
            "synchronous = OFF",  # made durable once, at the end
            f"cache_size = -{_CACHE_KIBIBYTES}",
            "foreign_keys = OFF",
            "ignore_check_constraints = ON",
        ):
            self.connection.execute(f"PRAGMA {pragma}")

    def create_tables(self, schema: Schema) -> None:
        """Creates the tables in their order, SQLite's own and shadow tables by what makes them."""
        make_counters(self.connection)
        stored = {table.name for table in schema.tables}
        for entry in schema.entries:
            if entry.type != "table" or entry.sql is None or entry.name.startswith("sqlite_"):
                continue
            if not self._exists(entry.name):
                self._create(entry)
        if "sqlite_stat1" in stored:
            self.connection.execute("ANALYZE")
            if "sqlite_stat4" not in stored and self._exists("sqlite_stat4"):
                self.connection.execute("DROP TABLE sqlite_stat4")
        # A new virtual table has begun to fill its shadow tables, ANALYZE its own.
        for name in stored:
            self.connection.execute(f"DELETE FROM {quote_name(name)}")
        if schema.virtual:
            self.connection.close()  # a virtual table keeps what it has read of them in memory
            self._open()

    def create_rest(self, schema: Schema) -> None:
        """Creates indexes, triggers and views in their order."""
        # Rows of AUTOINCREMENT tables have moved SQLite's own counters: now as they should be.
        self.connection.execute(f"DELETE FROM {COUNTERS}")
        for table, part in self._counters:
            self._insert(table, part)
        for entry in schema.entries:
            if entry.type != "table" and entry.sql is not None:
                self._create(entry)

    def insert(self, table: StoredTable, part: Part) -> None:
        """Writes rows with their rowids."""
        if table.name == COUNTERS:
            self._counters.append((table, part))
        else:
            self._insert(table, part)

    def _insert(self, table: StoredTable, part: Part) -> None:
        names = list(table.columns)
        extra = table.rowid is not None and table.rowid not in names
        columns = [quote_name(str(table.rowid))] * extra + [quote_name(n) for n in names]
        into = f"INSERT INTO {table.sql} ({','.join(columns)}) VALUES "
        rows: Iterable[Sequence[object]] = part.rows
        if extra:
            rows = ((rowid, *row) for rowid, row in zip(part.rowids, part.rows, strict=True))
        plain = f"{into}({','.join('?' * len(columns))})"
        self.connection.execute("BEGIN")
        try:
            if part.plain:
                self.connection.executemany(plain, rows)
            else:
                for row in rows:
                    self._insert_raw(into, row)
        except (sqlite3.Error, OverflowError) as error:
            raise TargetError(
                f"A row of the D1 table {table.name!r} cannot be written to its replica ({error}); "
                "if it was written to meanwhile, use maintenance mode and try again."
            ) from error
        self.connection.execute("COMMIT")

    def _insert_raw(self, into: str, row: Sequence[object]) -> None:
        holders = ["CAST(? AS TEXT)" if isinstance(c, RawText) else "?" for c in row]
        values = [c.bytes if isinstance(c, RawText) else c for c in row]
        self.connection.execute(f"{into}({','.join(holders)})", values)

    def sums(self, table: StoredTable) -> str:
        """The table's sums, as `sums_sql` has them."""
        return str(self.connection.execute(sums_sql(table)).fetchone()[0])

    def check_schema(self, schema: Schema) -> None:
        """Compares every object's SQL with that of D1."""
        rows = self.connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
        ours = {entry for row in rows if (entry := Entry(*row)).name != COUNTERS}
        theirs = {entry for entry in schema.entries if entry.name != COUNTERS}
        if ours != theirs:
            names = sorted({entry.name for entry in ours ^ theirs})
            raise TargetError(
                f"The local SQLite {sqlite3.sqlite_version} did not take over the schema of "
                f"{', '.join(names[:5])} as D1 has it; a newer Python brings a newer SQLite."
            )

    def _exists(self, name: str) -> bool:
        found = self.connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,))
        return found.fetchone() is not None

    def _create(self, entry: Entry) -> None:
        try:
            self.connection.execute(str(entry.sql))
        except sqlite3.Error as error:
            raise TargetError(
                f"The local SQLite {sqlite3.sqlite_version} cannot create the {entry.type} "
                f"{entry.name!r} of the D1 database ({error}); use a Python with a newer SQLite."
            ) from error
