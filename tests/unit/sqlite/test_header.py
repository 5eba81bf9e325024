"""The header of a file: read from its bytes and through a connection, it is the same."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from runbook.sqlite.connect import open_readonly
from runbook.sqlite.copy import copy_database
from runbook.sqlite.header import Header, read_file_header, read_header

SETTINGS = (
    "PRAGMA user_version = 7",
    "PRAGMA user_version = -2",
    "PRAGMA application_id = 252006674",
    "PRAGMA application_id = -5",
    "PRAGMA auto_vacuum = FULL",
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA page_size = 1024",
    "PRAGMA page_size = 65536",
    "PRAGMA encoding = 'UTF-16le'",
    "PRAGMA encoding = 'UTF-16be'",
    "PRAGMA journal_mode = WAL",
)


def made(path: Path, *settings: str) -> Path:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for setting in settings:
            connection.execute(setting)
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (1)")
    return path


def of(path: Path) -> Header:
    with contextlib.closing(open_readonly(path)) as connection:
        return read_header(connection)


@pytest.mark.parametrize("setting", SETTINGS)
def test_bytes_and_connection_agree(tmp_path: Path, setting: str) -> None:
    path = made(tmp_path / "app.db", setting)
    assert read_file_header(path) == of(path)


@pytest.mark.parametrize("setting", SETTINGS)
def test_each_setting_is_seen_named_and_in_the_digest(tmp_path: Path, setting: str) -> None:
    plain, other = made(tmp_path / "a.db"), made(tmp_path / "b.db", setting)
    before, after = of(plain), of(other)
    name = setting.split()[1].replace("journal_mode", "wal")
    assert [change[0] for change in before.changes(after)] == [name]
    assert before.digest != after.digest
    assert before.changes(before) == ()


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_copy_has_the_header_of_its_source(tmp_path: Path, setting: str) -> None:
    path = made(tmp_path / "app.db", setting)
    with contextlib.closing(open_readonly(path)) as connection:
        copy_database(connection, tmp_path / "copy.db")
    assert read_file_header(tmp_path / "copy.db") == of(path)


def test_a_change_in_the_log_alone_is_seen(tmp_path: Path) -> None:
    path = made(tmp_path / "app.db", "PRAGMA journal_mode = WAL")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("PRAGMA user_version = 3")
        assert of(path).user_version == 3
