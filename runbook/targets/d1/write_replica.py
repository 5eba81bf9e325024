"""Writes a replica of a D1 database: a new SQLite file with D1's schema, rows and rowids."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runbook.errors import TargetError
from runbook.files import create_private, sync_file
from runbook.sqlite.quoting import quote_name
from runbook.targets.d1.cells import RawText
from runbook.targets.d1.pages import Part
from runbook.targets.d1.schema import COUNTERS, Entry, Schema, StoredTable, sums_sql

_CACHE_KIBIBYTES = 65536


def make_counters(connection: sqlite3.Connection) -> None:
    """Creates SQLite's table of counters, if it is not there.

    wrangler's own table needs it, and it can never be dropped: so that a replica from before a
    migration is like one from after it, every replica has it.
    """
    connection.execute("CREATE TABLE runbook_counting (id INTEGER PRIMARY KEY AUTOINCREMENT)")
    connection.execute("DROP TABLE runbook_counting")


@dataclass
class ReplicaWriter:
    """The file being written."""

    path: Path
    connection: sqlite3.Connection = field(init=False)
    _counters: list[tuple[StoredTable, Part]] = field(default_factory=list)

    def __enter__(self) -> ReplicaWriter:
        create_private(self.path)
        self._open()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.connection.close()
        if kind is None:
            sync_file(self.path)

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
        rows = self.connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,))
        return rows.fetchone() is not None

    def _create(self, entry: Entry) -> None:
        try:
            self.connection.execute(str(entry.sql))
        except sqlite3.Error as error:
            raise TargetError(
                f"The local SQLite {sqlite3.sqlite_version} cannot create the {entry.type} "
                f"{entry.name!r} of the D1 database ({error}); use a Python with a newer SQLite."
            ) from error
