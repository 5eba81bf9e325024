from pathlib import Path

import pytest

from runbook.plan.plan import Plan
from runbook.plan.read import parse_plan
from runbook.plan.shape import Trigger, read_shape
from tests.support.databases import connected, execute


def shape_of(path: Path, plan: Plan, *statements: str):  # type: ignore[no-untyped-def]
    execute(path, *statements)
    with connected(path) as connection:
        return read_shape(connection, plan)


@pytest.mark.parametrize(
    ("declared", "value", "key_type", "key_class"),
    [
        ("TEXT", "'a'", "TEXT", "text"),
        ("INTEGER", "7", "INTEGER", "integer"),
        ("BLOB", "x'00ff'", "BLOB", "blob"),
        ("VARCHAR(36)", "'a'", "VARCHAR(36)", "text"),
        ("", "7", "", "integer"),
        ("ANY", "'a7'", "TEXT", "text"),
        ("UNSIGNED BIG INT", "7", "UNSIGNED BIG INT", "integer"),
        ('"; DROP TABLE x; --"', "'a'", "TEXT", "text"),
    ],
)
def test_the_key(tmp_path: Path, declared: str, value: str, key_type: str, key_class: str) -> None:
    shape = shape_of(
        tmp_path / "a.db",
        Plan(),
        f"CREATE TABLE users (id {declared} PRIMARY KEY, email TEXT)",
        "CREATE TABLE projects (owner_id, updated_at)",
        f"INSERT INTO users VALUES ({value}, NULL)",
    )
    assert (shape.key_type, shape.key_class) == (key_type, key_class)


def test_formats_are_found_by_looking(tmp_path: Path) -> None:
    plan = parse_plan(
        "".join(
            f'[[resources]]\ntable = "t{i}"\nowner = "o"\nupdated_at = "at"\n' for i in range(4)
        )
    )
    shape = shape_of(
        tmp_path / "a.db",
        plan,
        "CREATE TABLE users (id TEXT PRIMARY KEY)",
        *(f"CREATE TABLE t{i} (o, at)" for i in range(4)),
        "INSERT INTO t0 VALUES (1, '2026-01-01T00:00:00Z'), (2, NULL)",
        "INSERT INTO t1 VALUES (1, '2026-01-01T00:00:00Z'), (2, 1700000000)",
        "INSERT INTO t2 VALUES (1, 'soon')",
        "INSERT INTO t3 VALUES (1, 1700000000123)",
    )
    assert shape.formats == {"t0": "YYYY-MM-DDTHH:MM:SSZ", "t3": "epoch milliseconds"}


@pytest.mark.parametrize(
    ("event", "fires"),
    [
        ("AFTER UPDATE ON projects", True),
        ("BEFORE UPDATE OF updated_at ON projects", True),
        ('AFTER UPDATE OF name, "updated_at" ON projects', True),
        ("AFTER UPDATE OF name ON projects", False),
        ("AFTER INSERT ON projects", False),
        ("DELETE ON projects", False),
        ("/* INSERT */ UPDATE ON projects", True),
        ("AFTER UPDATE ON users", False),
    ],
)
def test_triggers_that_the_backfill_fires(tmp_path: Path, event: str, fires: bool) -> None:
    shape = shape_of(
        tmp_path / "a.db",
        Plan(),
        "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT)",
        "CREATE TABLE projects (owner_id TEXT, name TEXT, updated_at TEXT)",
        f'CREATE TRIGGER "on ""update""" {event} BEGIN SELECT 1; END',
    )
    assert bool(shape.triggers) is fires
    if fires:
        (trigger,) = shape.triggers
        assert isinstance(trigger, Trigger)
        assert trigger.name == 'on "update"'


@pytest.mark.parametrize(
    "name", ["x$INSERT", "x\N{GRINNING FACE}DELETE", "x\u00a0INSERT", "$UPDATE"]
)
def test_a_word_in_a_trigger_s_name_is_no_event(tmp_path: Path, name: str) -> None:
    shape = shape_of(
        tmp_path / "a.db",
        Plan(),
        "CREATE TABLE users (id, email)",
        "CREATE TABLE projects (owner_id, updated_at)",
        f"CREATE TRIGGER a{name} AFTER UPDATE ON projects BEGIN SELECT 1; END",
        f"CREATE TRIGGER b{name} AFTER INSERT ON projects BEGIN SELECT 1; END",
    )
    assert [t.name for t in shape.triggers] == [f"a{name}"]
