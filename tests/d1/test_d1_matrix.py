"""Each kind of change that SQLite tells apart, planted through D1's own engine after the commit."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from runbook.sample.make import make_sample
from runbook.sqlite.quoting import quote_name
from runbook.stages.migrate import migrate
from runbook.stages.verify import verify
from runbook.targets.d1.install import Tool
from runbook.targets.d1.wrangler import Wrangler
from tests.support.d1_apps import YES, load, prepare, state_of
from tests.support.matrix import add_columns, changes

WANTED = changes("UTF-8")


def cells(app: Path) -> list[str]:
    """Storage class and bytes of the cell that each change is about."""
    with contextlib.closing(sqlite3.connect(state_of(app))) as state:
        state.text_factory = bytes
        columns = [quote_name(change.column) for change in WANTED]
        return [
            repr(state.execute(f"SELECT typeof({c}), {c} FROM cells WHERE id = {n}").fetchone())
            for n, c in enumerate(columns)
        ]


@pytest.mark.slow
def test_every_kind_of_change_is_found(
    app: Path, wrangler: Wrangler, tool: Tool, tmp_path: Path
) -> None:
    make_sample(tmp_path / "sample.db", users=20, projects=60)
    with contextlib.closing(sqlite3.connect(tmp_path / "sample.db")) as sample, sample:
        sample.execute("CREATE TABLE cells (id INTEGER PRIMARY KEY)")
        sample.executemany("INSERT INTO cells VALUES (?)", [(n,) for n in range(len(WANTED) + 2)])
        add_columns(sample, "cells", WANTED)
    load(app, tmp_path / "sample.db")
    run = prepare(app, tmp_path / "run")
    migrate(run, YES)
    assert verify(run).verdict == "pass"

    before = cells(app)
    wrangler.execute(
        "\n".join(
            f"UPDATE cells SET {quote_name(change.column)} = {change.after} WHERE id = {row};"
            for row, change in enumerate(WANTED)
        ),
        "planting",
    )
    after = cells(app)
    planted = {c.column for c, was, now in zip(WANTED, before, after, strict=True) if was != now}
    assert {c.column for c in WANTED} - planted == set(), "D1 does not store these"

    found = verify(run, again=True)
    assert found.verdict == "fail"
    for witness in ("sqlite", "duckdb"):
        seen = {(f.column, f.rows) for f in found.findings if f.witness == witness}
        assert {(column, 1) for column in planted} <= seen
    assert {f.table for f in found.findings} == {"cells"}
