"""Which classes of cells a column is said to hold, against one cell after the other."""

from __future__ import annotations

import re

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runbook.audit.cells_file import INVALID, LARGE, OTHER, _classes_of

KEY = re.compile(rb"(?=.*[0-9])[0-9A-Za-z_.:+/-]{1,80}")
TIME = re.compile(rb"[0-9][0-9TZ:. +/-]{0,39}")
TEXTS = st.one_of(
    st.sampled_from([b"", b"key", b"k1", b"2026-01-02 03:04:05", b" 1", b"1" * 41, b"k1" * 41]),
    st.text("0aT: .é\0", max_size=4).map(str.encode),
    st.binary(max_size=3),
)
CELLS = st.one_of(
    TEXTS.map(lambda text: b"t" + text),
    st.sampled_from([b"n", b"i7", b"i1234567890123456", b"r0.5", b"b00"]),
)


def one_by_one(cells: list[bytes]) -> set[str]:
    names = {b"n": "null", b"i": "integer", b"r": "real", b"t": "text", b"b": "blob"}
    found = {names[cell[:1]] for cell in cells}
    for text in (cell[1:] for cell in cells if cell[:1] == b"t"):
        if not KEY.fullmatch(text) and not TIME.fullmatch(text):
            found.add(OTHER)
        try:
            text.decode()
        except UnicodeDecodeError:
            found.add(INVALID)
    if any(cell[:1] == b"i" and len(cell) > 16 for cell in cells):
        found.add(LARGE)
    return found


@settings(max_examples=150)
@given(cells=st.lists(CELLS, min_size=1, max_size=6), before=st.lists(CELLS, max_size=2))
@example(cells=[b"t2026-01-02 03:04:05"] * 3, before=[])
@example(cells=[b"tno digit"] * 3, before=[])
@example(cells=[b"tk1", b"t\xc3", b"tk1"], before=[b"tk1"])
def test_classes_are_those_of_the_cells(cells: list[bytes], before: list[bytes]) -> None:
    """Also of a stretch of a longer array, as a batch may be."""
    for kind in (pa.binary(), pa.large_binary()):
        column = pa.array([*before, *cells], kind).slice(len(before))
        assert _classes_of(column, "UTF-8", set()) == one_by_one(cells)
        known = {OTHER} if OTHER in one_by_one(cells) else set()
        assert _classes_of(column, "UTF-8", known) | known == one_by_one(cells)
