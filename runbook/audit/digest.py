"""One SHA-256 for a table, independent of the order of its rows, comparable years later.

Definition, over the tagged cells of a snapshot (see `cells`):

- row: SHA-256 of the cells' lengths in bytes, in decimal, joined by `,`, then `;`, then the cells;
- table: SHA-256 of the number of columns, then for each its name's length in UTF-8 bytes and its
  name (`2;2:id4:name`), then the row digests, 32 bytes each, in ascending order.

Lengths make it injective: no two tables share their input. Equal rows count as often as they
occur. The rowid is not part of it. Any SQL engine with SHA-256 can recompute it; DuckDB's own
`hash()` is not used because it differs between versions.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from runbook.audit.duckdb_session import open_duckdb, read_parquet
from runbook.errors import BadInput

_ROWS_AT_ONCE = 262_144


def digest_table(
    parquet: Path,
    columns: Sequence[str],
    *,
    replace: Mapping[str, tuple[bytes, bytes]] | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> str:
    """Return the digest of `columns`, in the order given, as 64 hexadecimal digits.

    `replace` maps a column to (cell, placeholder): where the cell is exactly the first, the
    second is hashed, so that a value like the time of the run does not count. A placeholder
    that starts with none of the tags cannot be mistaken for a cell. `connection` (from
    `open_duckdb`) saves opening one for each of many tables. Raises BadInput if a column is not
    in the file.
    """
    replace = replace or {}
    present = pq.read_schema(parquet).names
    for name in (*columns, *replace):
        if name not in present:
            raise BadInput(f"Column {name!r} is not in {parquet}: digest a column that is.")
    # Columns are addressed by position, since some names (the empty one) are none in DuckDB.
    aliases = ", ".join(f"c{i}" for i in range(len(present)))
    cells = [_cell(f"c{present.index(name)}", replace.get(name)) for name in columns]
    # One call for all lengths and a balanced tree for the cells: a chain of `||` copies what it has
    # so far at each link.
    lengths = ", ',', ".join(f"octet_length({cell})" for cell in cells)
    whole = _joined([f"encode(concat({lengths}{', ' if lengths else ''}';'))", *cells])
    query = (
        f"SELECT unhex(sha256({whole})) AS row FROM {read_parquet(parquet)} AS t({aliases})"
        " ORDER BY row"
    )
    names = [name.encode() for name in columns]
    total = hashlib.sha256(b"%d;" % len(names))
    total.update(b"".join(b"%d:%s" % (len(name), name) for name in names))
    own = contextlib.nullcontext(connection) if connection else open_duckdb(parquet.parent)
    with own as opened:
        for batch in opened.sql(query).to_arrow_reader(_ROWS_AT_ONCE):
            rows = batch.column(0).cast(pa.binary(32))
            if len(rows):
                data = memoryview(rows.buffers()[1])
                total.update(data[32 * rows.offset : 32 * (rows.offset + len(rows))])
    return total.hexdigest()


def _joined(parts: Sequence[str]) -> str:
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_joined(parts[:half])} || {_joined(parts[half:])})"


def _cell(column: str, replaced: tuple[bytes, bytes] | None) -> str:
    if replaced is None:
        return column
    exact, placeholder = (f"unhex('{value.hex()}')" for value in replaced)
    return f"(CASE WHEN {column} = {exact} THEN {placeholder} ELSE {column} END)"
