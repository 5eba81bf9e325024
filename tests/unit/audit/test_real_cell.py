"""The ADBC driver brings its own SQLite; this is how that one writes reals."""

from __future__ import annotations

import math
import random
import struct
from pathlib import Path

from runbook.audit.columns import ColumnFile
from runbook.audit.real_cell import encode_value
from runbook.audit.snapshot import capture
from runbook.sqlite.cells import decode
from tests.support.databases import connected


def doubles() -> list[float]:
    """Doubles with random bits, each with its neighbour, and those at the ends."""
    bits = random.Random(2).randbytes(8 * 3000)
    some = [x for (x,) in struct.iter_unpack("<d", bits) if math.isfinite(x)]
    ends = [
        0.0,
        -0.0,
        0.1,
        1e22,
        5e-324,
        2.2250738585072014e-308,
        1.7976931348623157e308,
        math.inf,
        -math.inf,
    ]
    return [*ends, *some, *(math.nextafter(x, math.inf) for x in some)]


def test_a_captured_real_reads_back_as_the_same_double(tmp_path: Path) -> None:
    values = doubles()
    with connected(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO t VALUES (?)", [(x,) for x in values])
        connection.execute("COMMIT")
    captured = capture(tmp_path / "a.db", tmp_path / "snapshot")
    cells = ColumnFile.of(captured, "t").read("x").to_pylist()
    assert [repr(decode(cell)) for cell in cells] == [repr(value) for value in values]
    assert [encode_value(value, "UTF-8") for value in values[:40]] == cells[:40]
