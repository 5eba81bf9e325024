from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.errors import BadInput
from runbook.sqlite.quoting import quote_name, quote_value, unquote_name

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(TEXT.filter(lambda name: "\0" not in name), TEXT.filter(lambda name: "\0" not in name))
def test_any_name_survives(table: str, column: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE {quote_name('t' + table)} ({quote_name(column)})")
        (name,) = connection.execute("SELECT name FROM sqlite_schema").fetchone()
        cursor = connection.execute(f"SELECT {quote_name(column)} AS c FROM {quote_name(name)}")
        assert name == "t" + table
        assert cursor.fetchall() == []


@given(TEXT.filter(lambda name: "\0" not in name))
def test_a_name_comes_back_from_its_quotes(name: str) -> None:
    assert unquote_name(quote_name(name)) == name


@pytest.mark.parametrize(
    "token", ['"a""b`]"', '`a"b``]`', "'a\"b`]'", '[a"b`]', "owner_id", '"', "["]
)
def test_a_name_is_read_as_sqlite_reads_it(token: str) -> None:
    if len(token) == 1:  # no name at all, and left as it is
        assert unquote_name(token) == token
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE t ({token})")
        (name,) = connection.execute("SELECT name FROM pragma_table_info('t')").fetchone()
    assert unquote_name(token) == name


def test_a_name_with_nul_is_refused() -> None:
    with pytest.raises(BadInput, match="NUL"):
        quote_name("a\0b")


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_every_value_reads_back_with_its_storage_class(encoding: str) -> None:
    values = st.one_of(
        st.none(),
        st.integers(-(2**63), 2**63 - 1),
        st.sampled_from([-(2**63), 2**63 - 1, 2**53 + 1]),
        st.floats(allow_nan=False),
        st.sampled_from(["\0", "a\0'b\0", "it's", "x'00'"]),
        TEXT,
        st.binary(max_size=5),
    )

    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")

        @settings(max_examples=500)
        @given(values)
        def check(value: str | int | float | bytes | None) -> None:
            (read,) = connection.execute(f"SELECT {quote_value(value)}").fetchone()
            assert (type(read), repr(read)) == (type(value), repr(value))

        check()


@pytest.mark.parametrize("value", [float("nan"), 2**63, -(2**63) - 1, "\ud800"])
def test_what_sqlite_cannot_hold_is_refused(value: str | int | float) -> None:
    with pytest.raises(BadInput):
        quote_value(value)
