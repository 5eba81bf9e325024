"""A table's digest in plain Python, from its published definition, sharing nothing with the product."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq


def sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def entry(cell: bytes) -> bytes:
    return cell if len(cell) <= 128 else sha(cell)


def plain_digest(
    file: Path,
    columns: Sequence[str],
    key: Sequence[str] = (),
    replace: Mapping[str, tuple[bytes, bytes]] | None = None,
) -> str:
    """The digest of these columns of a snapshot's file."""
    table = pq.read_table(file, partitioning=None)
    cells = {name: table.column(i).to_pylist() for i, name in enumerate(table.column_names)}
    for name, (cell, placeholder) in (replace or {}).items():
        cells[name] = [placeholder if each == cell else each for each in cells[name]]
    first = [name for name in key if set(key) <= set(columns)]

    def place(row: int) -> list[tuple[int, bytes]]:
        return [(len(cells[n][row]), entry(cells[n][row])) for n in (*first, *columns)]

    rows = sorted(range(table.num_rows), key=place)
    whole = b"%d;%d;" % (len(columns), len(rows))
    for name in columns:
        lengths = b"".join(len(cells[name][row]).to_bytes(4, "little") for row in rows)
        entries = b"".join(entry(cells[name][row]) for row in rows)
        whole += b"%d:" % len(name.encode()) + name.encode() + sha(sha(lengths) + sha(entries))
    return sha(whole).hex()
