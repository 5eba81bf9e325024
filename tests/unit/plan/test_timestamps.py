import sqlite3
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.plan import timestamps

instants = st.datetimes(datetime(1991, 1, 1), datetime(2099, 12, 31)).map(
    lambda d: d.replace(microsecond=d.microsecond // 1000 * 1000)
)


def ask(sql: str, value: object) -> object:
    connection = sqlite3.connect(":memory:")
    try:
        return connection.execute(f"SELECT {sql} FROM (SELECT ? AS x)", (value,)).fetchone()[0]
    finally:
        connection.close()


@given(instants, st.sampled_from(timestamps.FORMATS))
def test_sql_and_python_write_the_same_and_it_is_recognised(at: datetime, name: str) -> None:
    text = at.isoformat(" ", "milliseconds")
    value = timestamps.write(name, text)
    assert ask(timestamps.write_sql(name, "x"), text) == value
    assert ask(timestamps.classify_sql("x"), value) == name


@given(instants)
def test_epochs_count_from_1970(at: datetime) -> None:
    text = at.isoformat(" ", "milliseconds")
    seconds = int(at.replace(tzinfo=UTC, microsecond=0).timestamp())
    assert timestamps.write(timestamps.EPOCH_SECONDS, text) == seconds
    milliseconds = timestamps.write(timestamps.EPOCH_MILLISECONDS, text)
    assert milliseconds == seconds * 1000 + at.microsecond // 1000


@pytest.mark.parametrize(
    "value",
    ["yesterday", "", "2026-11-22", "22.11.2026 10:00:00", 12, 2**60, 1.5, b"2026-11-22 10:00:00"],
)
def test_anything_else_is_unknown(value: object) -> None:
    assert ask(timestamps.classify_sql("x"), value) == "unknown"


def test_no_value_has_no_format() -> None:
    assert ask(timestamps.classify_sql("x"), None) is None


def test_a_format_that_is_none() -> None:
    with pytest.raises(ValueError, match="not a known"):
        timestamps.write("roman", "2026-11-22 16:49:00.123")
