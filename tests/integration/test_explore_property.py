"""What `nb.sql` answers is what SQLite answers, for every storage class, and nothing masked leaks."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from runbook.audit.snapshot import Capture, capture
from runbook.notebook.explore_answer import ask
from runbook.notebook.explore_columns import privacy_of
from runbook.plan.plan import Plan
from runbook.sqlite.fields import read_field
from runbook.sqlite.quoting import quote_name
from runbook.sqlite.tables import Table, read_tables, stored_tables
from tests.support.exploring import exploring
from tests.support.luck import examples
from tests.support.random_tables import Case, build, cases, change

ODD = st.lists(
    st.sampled_from([b"\xff", b"a\xff", b"\x00\xd8a\x00", b"\xd8\x00\x00a", b"abc", b""]),
    max_size=2,
)
Exact = tuple[str, object]


def by_sqlite(path: Path, table: Table) -> Counter[tuple[Exact, ...]]:
    """Every row, exactly: class and content; of text that is none, the bytes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        (encoding,) = connection.execute("PRAGMA encoding").fetchone()
        codec = {b"UTF-8": "utf-8", b"UTF-16le": "utf-16-le", b"UTF-16be": "utf-16-be"}[encoding]
        names = [quote_name(name) for name in table.column_names]
        asked = [f"typeof({n}), {n}, CAST({n} AS BLOB)" for n in names]
        rows = connection.execute(f"SELECT {', '.join(asked)} FROM {quote_name(table.name)}")
        return Counter(
            tuple(exact(*row[i : i + 3], codec) for i in range(0, len(row), 3)) for row in rows
        )


def exact(kind: bytes, value: Any, raw: bytes, codec: str) -> Exact:
    match kind:
        case b"real":
            return "real", struct.pack("<d", value)
        case b"text":
            try:
                return "text", raw.decode(codec)
            except UnicodeDecodeError:
                return "invalid text", raw.hex().upper()
    return kind.decode(), value


def by_duckdb(
    connection: duckdb.DuckDBPyConnection, schema: str, table: Table
) -> Counter[tuple[Exact, ...]]:
    answered = ask(connection, f"SELECT * FROM {schema}.{quote_name(table.name)}")
    columns = list(zip(answered.schema, answered.columns, strict=True))
    read: list[list[Exact]] = []
    while columns:
        field, cells = columns.pop(0)
        kinds: list[str] | None = None
        # A column of classes follows where there are more columns than the table has.
        if columns and columns[0][0].name.endswith(f"{field.name}_class"):
            kinds = columns.pop(0)[1].to_pylist()
        values = cells.to_pylist()
        kinds = kinds or [class_of(value) for value in values]
        read.append([value_of(k, v) for k, v in zip(kinds, values, strict=True)])
    assert len(read) == len(table.columns)
    return Counter(zip(*read, strict=True))


def class_of(value: object) -> str:
    return {"int": "integer", "float": "real", "str": "text", "bytes": "blob"}.get(
        type(value).__name__, "null"
    )


def value_of(kind: str, value: Any) -> Exact:
    match kind:
        case "integer":
            return kind, int(value)
        case "real":
            return kind, struct.pack("<d", float(value))
        case "blob" if isinstance(value, str):
            return kind, bytes.fromhex(value)
    return kind, value


def tables_of(path: Path) -> tuple[Table, ...]:
    with closing(sqlite3.connect(path)) as connection:
        return stored_tables(read_tables(connection))


def add_odd_texts(path: Path, case: Case, texts: list[bytes]) -> None:
    """Texts of any bytes, which an application may have written."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        marks = ", ".join("CAST(? AS TEXT)" for _ in case.columns)
        for text in texts:
            with contextlib.suppress(sqlite3.IntegrityError):
                connection.execute(f"INSERT INTO t VALUES ({marks})", [text] * len(case.columns))


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.too_slow])
@given(cases(), ODD)
def test_answers_equal_those_of_sqlite(case: Case, odd: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "t.db"
        build(path, case)
        before = capture(path, folder / "before")
        (table,) = tables_of(path)
        old = by_sqlite(path, table)
        change(path, case)
        add_odd_texts(path, case, odd)
        after = capture(path, folder / "after")
        new = by_sqlite(path, table)
        with exploring(before, after) as connection:
            assert by_duckdb(connection, "before", table) == old
            assert by_duckdb(connection, "after", table) == new
            # Rows that came less those that went are the rows that the table has more.
            counted = ask(connection, "SELECT change, count(*) AS n FROM changes.t GROUP BY change")
            kinds = dict(zip(*(column.to_pylist() for column in counted.columns), strict=True))
            assert kinds.get("came", 0) - kinds.get("went", 0) == new.total() - old.total()
            if old == new and not case.move_rowids:
                assert not kinds
        check_masked(after, table, path)


def check_masked(captured: Capture, table: Table, path: Path) -> None:
    """No value of a masked view is one that the report would hide."""
    privacy = privacy_of(Plan())
    with exploring(captured, None, privacy) as connection:
        answered = ask(connection, f"SELECT * FROM before.{quote_name(table.name)}")
    hidden = Counter[str]()
    with closing(sqlite3.connect(path)) as connection_:
        connection_.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    for column in table.column_names:
        in_key = column in table.key
        for cell in cells_of(captured, table.name, column):
            field = read_field(column, cell, captured.encoding)
            masked = privacy.mask._row((field,), key=in_key)[0]
            hidden[column] += masked.kind == "masked" and field.kind in ("text", "blob")
            event(f"masked: {masked.kind == 'masked'}")
    names = [n for n in answered.column_names if not n.endswith("_class")]
    shown = dict(zip(table.column_names, names, strict=False))
    for column, count in hidden.items():
        values = answered.column(shown[column]).to_pylist()
        bullets = [v.decode() if isinstance(v, bytes) else v for v in values if not_number(v)]
        assert sum(str(v).startswith("•••") for v in bullets) >= count


def not_number(value: object) -> bool:
    return isinstance(value, str | bytes) and (
        isinstance(value, str) or value.startswith("•••".encode())
    )


def cells_of(captured: Capture, table: str, column: str) -> list[bytes]:
    import pyarrow.parquet as pq

    file = captured.path(captured.table(table))
    return list(pq.read_table(file, columns=[column])[column].to_pylist())


@pytest.mark.parametrize("name", ["chinook", "northwind"])
def test_answers_equal_those_of_sqlite_on_public_databases(
    name: str, public: Callable[[str], Path], tmp_path: Path
) -> None:
    path = public(name)
    captured = capture(path, tmp_path / "before")
    with exploring(captured, None) as connection:
        for table in tables_of(path):
            assert by_duckdb(connection, "before", table) == by_sqlite(path, table), table.name
