"""The views of a run's snapshots, as SQL for the DuckDB that may read their Parquet files.

Nothing is materialized: a table of `before` or `after` is decoded while it is read, and `changes`
joins the two files of a table. Where the digests of the audit say that all columns outside the
footprint are as they were, rows that name themselves by such columns neither came nor went, and
only the footprint's own columns are compared.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runbook.audit.cells_file import read_classes
from runbook.audit.duckdb_session import read_parquet
from runbook.audit.parquet import SnapshotTable
from runbook.audit.snapshot import Capture
from runbook.notebook.explore_columns import Privacy, ViewColumn, unique_names, view_column
from runbook.plan.plan import Plan
from runbook.report.masking import KEY_FORM, WORD_FORM
from runbook.sqlite.cells import encode
from runbook.sqlite.quoting import quote_value
from runbook.templates import sql_file

_TABLE = sql_file("explore/table")
_CHANGES = sql_file("explore/changes")
_ROWS = sql_file("explore/changes_of_rows")
NUMBER = "n"
_FIXED = ("change", "column_name", "old", "old_class", "new", "new_class")


@dataclass(frozen=True)
class View:
    """A view: where people find it, and the query behind it, which is only rendered when asked.

    `columns` are the columns' names for people, `fields` their names in the query and their types.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    render: Callable[[], str]
    numbered: bool = False
    """Whether the query has a field NUMBER too, which names a row of the file."""
    order: str = ""
    """By which of `columns` the rows come."""

    @functools.cached_property
    def sql(self) -> str:
        """The query."""
        return self.render()


@dataclass(frozen=True)
class Snapshots:
    """What there is to explore, and how: `compared` has, for a table, its columns that may differ.

    A table that is not in it is compared whole. `secret` numbers masked keys. The usual questions
    are about the tables of `plan`.
    """

    before: Capture
    after: Capture | None
    compared: Mapping[str, tuple[str, ...]]
    privacy: Privacy | None
    secret: str
    plan: Plan | None = None


def views(snapshots: Snapshots) -> Iterator[View]:
    """Every view of `before`, `after` and `changes`, table by table."""
    sides = captures(snapshots)
    names = {schema: [t.name for t in captured.tables] for schema, captured in sides.items()}
    for table in sorted({name for each in names.values() for name in each}):
        pair = Pair.of(snapshots, table)
        for schema in pair.sides:
            yield pair.table_view(schema, dict(_names(names[schema]))[table])
        if snapshots.after is not None:
            every = [*names["after"], *(n for n in names["before"] if n not in names["after"])]
            yield pair.changes_view(dict(_names(every))[table])


def captures(snapshots: Snapshots) -> dict[str, Capture]:
    """The captures that there are, by schema."""
    return {"before": snapshots.before} | ({"after": snapshots.after} if snapshots.after else {})


def _names(tables: list[str]) -> Iterator[tuple[str, str]]:
    return zip(tables, unique_names(tables), strict=True)


@dataclass(frozen=True)
class Side:
    """A table's file, as the template's `source` takes it, and the classes of its columns."""

    table: SnapshotTable
    file: str
    classes: Mapping[str, tuple[str, ...]]
    common: tuple[str, ...] = ()

    @classmethod
    def of(cls, captured: Capture, table: SnapshotTable) -> Side:
        """The table's file of a capture."""
        path = captured.path(table)
        classes = read_classes(path, table.columns, captured.encoding)
        return cls(table, read_parquet(path), classes)

    @property
    def rowid(self) -> bool:
        """Whether its first column is the rowid."""
        return self.table.rowid

    @property
    def names(self) -> tuple[str, ...]:
        """Names for its columns of cells, in their order."""
        return tuple(f"c{i}" for i in range(len(self.table.columns)))

    @property
    def aliases(self) -> str:
        """Names for all columns of the file."""
        return ", ".join([*["r"][: self.rowid], *self.names])

    def cell(self, column: str) -> str:
        """The name of a column of cells; empty where the table has no such column."""
        columns = self.table.columns
        return f"c{columns.index(column)}" if column in columns else ""


@dataclass(frozen=True)
class Pair:
    """A table as it is on both sides, or on the one that has it."""

    snapshots: Snapshots
    name: str
    sides: Mapping[str, Side]

    @classmethod
    def of(cls, snapshots: Snapshots, table: str) -> Pair:
        """The table of exactly this name, wherever there is one."""
        there = {}
        for schema, captured in captures(snapshots).items():
            for each in captured.tables:
                if each.name == table:
                    there[schema] = Side.of(captured, each)
        return cls(snapshots, table, there)

    @property
    def encoding(self) -> str:
        """The encoding of the databases' text."""
        return self.snapshots.before.encoding

    def values(self) -> dict[str, Any]:
        """What every template takes."""
        return {
            "encoding": self.encoding,
            "null": cell_literal(None, self.encoding),
            "utf8": "" if self.encoding == "UTF-8" else "u",
            "secret": quote_value(self.snapshots.secret),
            "key_form": quote_value(KEY_FORM),
            "word_form": quote_value(WORD_FORM),
        }

    def column(self, name: str, raw: str) -> ViewColumn:
        """The column, of one type on both sides, so that they can be compared."""
        classes = {c for side in self.sides.values() for c in side.classes.get(name, ())}
        key = next(iter(self.sides.values())).table.key
        column = view_column(name, raw, classes, key, self.snapshots.privacy)
        return column if self.encoding == "UTF-8" else dataclasses.replace(column, cell=f"u{raw}")

    def table_view(self, schema: str, name: str) -> View:
        """The table of one snapshot."""
        side = self.sides[schema]
        columns = [self.column(name, side.cell(name)) for name in side.table.columns]
        return View(
            schema,
            name,
            tuple(_outer_names(columns)) or ("rowid",),
            tuple(_fields(columns)) or (("v0", "BIGINT"),),
            lambda: _TABLE.render(**self.values(), columns=columns, side=side, number=NUMBER),
            numbered=True,
        )

    def changes_view(self, name: str) -> View:
        """The table's changed cells, and the rows that came or went."""
        # A side that has no such table is the other one without its rows.
        other = next(iter(self.sides.values()))
        nothing = dataclasses.replace(other, file=f"(SELECT * FROM {other.file} LIMIT 0)")
        old, new = (self.sides.get(s, nothing) for s in ("before", "after"))
        keys = self._keys(old, new)
        if keys is None:
            common = [n for n in old.table.columns if n in new.table.columns]
            old, new = (
                dataclasses.replace(s, common=tuple(map(s.cell, common))) for s in (old, new)
            )
            return View(
                "changes",
                name,
                _FIXED,
                tuple((field, "VARCHAR") for field in _FIXED),
                lambda: _ROWS.render(**self.values(), old=old, new=new),
            )
        compared = self._names_compared(old, new, keys)
        # A word of few comes as its number: ten million changed cells have few different ones.
        words = {"change": "WORD"} | ({"column_name": "WORD"} if _are_few(compared) else {})
        fixed = [(field, words.get(field, "VARCHAR")) for field in _FIXED]
        return View(
            "changes",
            name,
            tuple(unique_names(["change", *_outer_names(keys), *_FIXED[1:]])),
            (fixed[0], *_fields(keys), *fixed[1:]),
            lambda: self._paired(old, new, keys, compared),
        )

    def _keys(self, old: Side, new: Side) -> list[ViewColumn] | None:
        """What names a row: its declared key if no NULL is in it, or its rowid; None if nothing."""
        key = old.table.key
        if key and key == new.table.key:
            columns = [self.column(name, f"key{i}") for i, name in enumerate(key)]
            if not any(column.nullable for column in columns):
                return columns
        if old.rowid and new.rowid:
            rowid = view_column("rowid", "key0", ("integer",), (), None)
            return [dataclasses.replace(rowid, is_rowid=True)]
        return None

    def _has_same_rows(self, keys: list[ViewColumn]) -> bool:
        """Whether rows are proven to have neither come nor gone, so that few columns may differ."""
        only = self.snapshots.compared.get(self.name)
        named = {key.name for key in keys if not key.is_rowid}
        return only is not None and bool(named) and not named & set(only)

    def _names_compared(self, old: Side, new: Side, keys: list[ViewColumn]) -> list[str]:
        """The columns in which a row may differ."""
        names = [*new.table.columns, *(n for n in old.table.columns if n not in new.table.columns)]
        named = {key.name for key in keys if not key.is_rowid}
        only = self.snapshots.compared.get(self.name, ()) if self._has_same_rows(keys) else names
        return [name for name in names if name not in named and name in only]

    def _paired(self, old: Side, new: Side, keys: list[ViewColumn], names: list[str]) -> str:
        cells = [
            ("r" if k.is_rowid else old.cell(k.name), "r" if k.is_rowid else new.cell(k.name))
            for k in keys
        ]
        compared = [self._compared(number, name, old, new) for number, name in enumerate(names)]
        return _CHANGES.render(
            **self.values(),
            old=old,
            new=new,
            keys=[
                {
                    **dataclasses.asdict(key),
                    "either": _either("u" if key.cell != key.raw else "", a, b),
                    "either_raw": _either("", a, b),
                }
                for key, (a, b) in zip(keys, cells, strict=True)
            ],
            compared=compared,
            few_names=_are_few(names),
            same_rows=self._has_same_rows(keys),
            present={"old": cells[0][0], "new": cells[0][1]},
            paired=" AND ".join(f"a.{a} = b.{b}" for a, b in cells),
        )

    def _compared(self, number: int, name: str, old: Side, new: Side) -> dict[str, Any]:
        was, now = old.cell(name), new.cell(name)
        null = cell_literal(None, self.encoding)
        differs = (
            f"a.{was} <> b.{now}"
            if was and now
            else f"{'b' if now else 'a'}.{now or was} <> {null}"
        )
        return {
            **dataclasses.asdict(self.column(name, "")),
            "number": number,
            "literal": quote_value(name),
            "old": was,
            "new": now,
            "differs": differs,
        }


def cell_literal(value: str | None, encoding: str) -> str:
    """The cell of a value as a literal of DuckDB."""
    return f"unhex('{encode(value, encoding).hex()}')"


def _are_few(names: list[str]) -> bool:
    """Whether DuckDB and Arrow number these words by a byte."""
    return 0 < len(names) < 200


def _either(prefix: str, old: str, new: str) -> str:
    return f"coalesce(b.{prefix}{new}, a.{prefix}{old})"


def _fields(columns: list[ViewColumn]) -> Iterator[tuple[str, str]]:
    for i, column in enumerate(columns):
        yield f"v{i}", column.type
        if column.mixed:
            yield f"k{i}", "VARCHAR"


def _outer_names(columns: list[ViewColumn]) -> list[str]:
    """The columns' names, with one more for the storage class beside each mixed column."""
    plain = iter(unique_names(column.name for column in columns))
    names: list[str] = []
    classes: list[int] = []
    for column in columns:
        names.append(next(plain))
        if column.mixed:
            classes.append(len(names))
            names.append(f"{names[-1]}_class")
    taken = [name for i, name in enumerate(names) if i not in classes]
    for i in classes:
        names[i] = unique_names([*taken, names[i]])[-1]
        taken.append(names[i])
    return names
