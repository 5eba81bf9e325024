"""What all tests share: small databases, and the public ones where they can be had."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runbook.sample.make import make_sample

ROOT = Path(__file__).resolve().parent.parent
PUBLIC = ROOT.parent / "shared" / "data"
PLANS = ROOT / "tests" / "plans"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A fresh sample database: 200 users, 1,000 projects."""
    path = tmp_path / "sample.db"
    make_sample(path)
    return path


@pytest.fixture
def public(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a public database, `chinook` or `northwind`."""

    def copy(name: str) -> Path:
        source = PUBLIC / f"{name}.db"
        if not source.exists():
            pytest.skip(f"the public database {name}.db is not beside the project (shared/data)")
        return Path(shutil.copy(source, tmp_path / f"{name}.db"))

    return copy


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A writing connection without Python's own transactions, closed in the end."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def execute(path: Path, *statements: str) -> None:
    """Runs statements on a database file."""
    with connected(path) as connection:
        for statement in statements:
            connection.execute(statement)


def dump(path: Path) -> str:
    """The database as SQL text: schema and content."""
    with connected(path) as connection:
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        return "\n".join(connection.iterdump())
