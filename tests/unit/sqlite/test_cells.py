from __future__ import annotations

import math
import sqlite3
import struct
from contextlib import closing

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbook.sqlite.cells import _atan2, cell_sql, decode, provide_functions
from runbook.sqlite.fields import read_field, render_value

ENCODINGS = ["UTF-8", "UTF-16le", "UTF-16be"]
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
)


def encode(value: object, encoding: str = "UTF-8") -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        provide_functions(connection)
        (cell,) = connection.execute(
            f"SELECT {cell_sql('v')} FROM (SELECT ? AS v)", (value,)
        ).fetchone()
        assert isinstance(cell, bytes)
        return cell


@settings(max_examples=300)
@example(2.788553076215652e222, "UTF-8")  # SQLite 3.51 prints its neighbour
@given(VALUES, st.sampled_from(ENCODINGS))
def test_a_cell_decodes_to_what_was_stored(value: object, encoding: str) -> None:
    read = decode(encode(value, encoding), encoding)
    assert (type(read), repr(read)) == (type(value), repr(value))


@given(VALUES, VALUES)
def test_two_values_share_a_cell_only_if_they_are_the_same(one: object, other: object) -> None:
    same = (type(one), repr(one)) == (type(other), repr(other))
    assert (encode(one) == encode(other)) == same


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_next_double_has_another_cell(value: float) -> None:
    assert encode(value) != encode(math.nextafter(value, math.inf))


def test_tags_are_those_documented() -> None:
    values = ["é", b"\0\xff", 42, 0.5, float("-inf"), -0.0, None]
    cells = [b"t\xc3\xa9", b"b00FF", b"i42", b"r0.5", b"r-Inf", b"r-0.0", b"n"]
    assert [encode(value) for value in values] == cells
    assert encode(None, "UTF-16le") == b"n\0"
    assert encode(None, "UTF-16be") == b"\0n"


def test_nan_is_stored_as_null() -> None:
    assert encode(struct.unpack("<d", b"\xff" * 8)[0]) == b"n"


def test_invalid_bytes_are_kept_and_shown() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        provide_functions(connection)
        sql = f"SELECT {cell_sql('v')} FROM (SELECT CAST(x'61ff' AS TEXT) AS v)"
        (cell,) = connection.execute(sql).fetchone()
    assert cell == b"ta\xff"
    assert decode(cell) == "a\udcff"
    assert render_value(read_field("", cell)) == r"'a\xff'"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("it's", "'it''s'"),
        ("a ", "'a '"),
        ("e\u0301", r"'e\u0301'"),
        ("é", "'é'"),
        ("a\0b\n", r"'a\x00b\x0a'"),
        ("\u00a0\u200d", r"'\u00a0\u200d'"),
        ("\\", r"'\\'"),
        (b"\0\xff", "x'00ff'"),
        (42, "42"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (None, "NULL"),
        ("NULL", "'NULL'"),
        ("x" * 300, f"'{'x' * 200}'... (300 characters)"),
        (b"\1" * 300, f"x'{'01' * 100}'... (300 bytes)"),
    ],
)
def test_readable(value: object, shown: str) -> None:
    for encoding in ENCODINGS:
        assert render_value(read_field("", encode(value, encoding), encoding)) == shown


@pytest.mark.parametrize("cell", [b"", b"x", b"nn", b"\xff"])
def test_what_is_no_cell_is_refused(cell: bytes) -> None:
    with pytest.raises(ValueError, match="not an encoded cell"):
        decode(cell)


def test_our_own_atan2_answers_as_sqlites_does() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("ours", 2, _atan2)
        for value in (1, -0.0, 0, "'a'", "x'61'", "NULL"):
            query = f"SELECT ours(0.0, {value}), atan2(0.0, {value})"
            ours, theirs = connection.execute(query).fetchone()
            assert ours == theirs


def test_atan2_is_provided_only_where_it_is_missing() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("atan2", 2, None)  # has no effect on a built-in one
        provide_functions(connection)
        assert connection.execute("SELECT atan2(0.0, -0.0) > 3").fetchone() == (1,)
