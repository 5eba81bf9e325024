"""Snapshots opened for queries without a run around them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import duckdb

from runbook.audit.snapshot import Capture
from runbook.notebook.explore_columns import Privacy
from runbook.notebook.explore_server import serving
from runbook.notebook.explore_views import Snapshots
from runbook.plan.plan import Plan


@contextlib.contextmanager
def exploring(
    before: Capture,
    after: Capture | None,
    privacy: Privacy | None = None,
    plan: Plan | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    snapshots = Snapshots(before, after, {}, privacy, "secret", plan)
    with serving(snapshots, before.folder) as (_, connection):
        yield connection
