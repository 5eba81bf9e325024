"""The literals for D1 are the very values, to the last bit."""

from __future__ import annotations

import contextlib
import sqlite3
import struct

import pytest

from runbook.targets.d1.cells import literal


@pytest.mark.parametrize("value", [-0.0, 0.0, 5e-324, -1e-300, 0.1, 1.7976931348623157e308])
def test_a_real_keeps_every_bit(value: float) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        (came,) = connection.execute(f"SELECT {literal(value)}").fetchone()
    assert struct.pack(">d", came) == struct.pack(">d", value)
