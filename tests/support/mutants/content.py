"""What a database holds, read without anything of the product: two are the same or they are not."""

from __future__ import annotations

import sqlite3
import struct
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

Cell = tuple[str, bytes]
SETTINGS = ("user_version", "application_id", "auto_vacuum", "page_size", "encoding")


@dataclass(frozen=True)
class Content:
    """All that a proof speaks of: rows as multisets, texts of the schema, the header's settings."""

    header: tuple[object, ...]
    objects: frozenset[tuple[object, ...]]
    triggers: tuple[tuple[str, tuple[str, ...]], ...]
    """By table, in the order of their making, by which SQLite fires them."""
    tables: dict[str, tuple[tuple[str, ...], Counter[tuple[Cell, ...]]]]

    @property
    def rows(self) -> int:
        """How many rows there are in all tables."""
        return sum(rows.total() for _, rows in self.tables.values())


def quoted(name: str) -> str:
    """The name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def read_content(path: Path) -> Content:
    """Everything that the file holds."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.text_factory = bytes

        def ask(query: str, *values: object) -> list[tuple[object, ...]]:
            rows = connection.execute(query, values).fetchall()
            return [tuple(c.decode() if isinstance(c, bytes) else c for c in r) for r in rows]

        header = tuple(ask(f"PRAGMA {name}")[0][0] for name in SETTINGS)
        (journal,) = ask("PRAGMA journal_mode")[0]
        objects = ask("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid")
        names = [name for kind, name, _, _ in objects if kind == "table"]
        if any(kind == "table" for kind, *_ in objects):
            names += [
                n
                for (n,) in ask("SELECT name FROM pragma_table_list WHERE schema = 'main'")
                if str(n).startswith("sqlite_seq")
            ]
        tables = {}
        for name in dict.fromkeys(map(str, names)):
            columns = tuple(
                str(c)
                for c, hidden in ask("SELECT name, hidden FROM pragma_table_xinfo(?)", name)
                if hidden != 1
            )
            cells = ", ".join(f"typeof({quoted(c)}), {quoted(c)}" for c in columns)
            rows = connection.execute(f"SELECT {cells} FROM {quoted(name)}")
            tables[name] = columns, Counter(_row(row) for row in rows)
        return Content(
            (*header, journal == "wal"),
            frozenset(objects),
            tuple(
                sorted(
                    ((str(t), (str(n),)) for kind, n, t, _ in objects if kind == "trigger"),
                    key=lambda pair: pair[0],  # a stable sort: the order within a table stays
                )
            ),
            tables,
        )


def _row(row: tuple[object, ...]) -> tuple[Cell, ...]:
    pairs = zip(row[::2], row[1::2], strict=True)
    return tuple((_text(kind), _exact(value)) for kind, value in pairs)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _exact(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return struct.pack("<d", value) if isinstance(value, float) else repr(value).encode()


def only_adds(after: Content, honest: Content, old: Content, may: frozenset[str]) -> bool:
    """Whether `after` differs from `honest` only in which rows were added to the tables `may`.

    All rows of `old`, from before the migration, are still there, and the counters stand at the
    largest number that the tables hold or held.
    """
    same = (after.header, after.objects, after.triggers, after.tables.keys()) == (
        honest.header,
        honest.objects,
        honest.triggers,
        honest.tables.keys(),
    )
    if not same or not may:
        return False
    for name, (_, rows) in after.tables.items():
        before = honest.tables[name][1]
        if name == "sqlite_sequence":
            if rows - before != _moved(after, old.tables[name][1], before, may):
                return False
            if _counters(rows) != _counters(before):  # one was removed
                return False
        elif rows != before and (name not in may or old.tables[name][1] - rows):
            return False
    return True


def _counters(rows: Counter[tuple[Cell, ...]]) -> list[Cell]:
    return sorted(row[0] for row in rows.elements())


def _moved(
    after: Content,
    old_rows: Counter[tuple[Cell, ...]],
    before: Counter[tuple[Cell, ...]],
    may: frozenset[str],
) -> Counter[tuple[Cell, ...]]:
    """The counters that are not as after an honest migration and must not be."""
    expected: Counter[tuple[Cell, ...]] = Counter()
    for name in may:
        numbers = [int(row[0][1]) for row in after.tables[name][1]]
        old = [int(seq[1]) for table, seq in old_rows if table[1].decode() == name]
        row = (("text", name.encode()), ("integer", repr(max([*numbers, *old])).encode()))
        if row not in before:
            expected[row] += 1
    return expected
