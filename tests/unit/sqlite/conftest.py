"""What the tests of `runbook.sqlite` share."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database in memory."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection
