"""Each hazard in the data, planted in a real database; and the clean database without any."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.hazards import inspect_database
from runbook.plan.plan import Plan, Resource, Unowned, Users
from runbook.plan.timestamps import FORMATS, classify_sql, matches_sql, write

from .conftest import ROWS, SCHEMA, Plant, look, run_sql, shown

ADOPT = replace(Plan(), unowned=Unowned("adopt", "u1"))
LOOSE = SCHEMA.replace("id TEXT PRIMARY KEY, email", "id, email").replace(
    "owner_id TEXT REFERENCES users(id)", "owner_id"
)
WITH_FORMAT = replace(
    Plan(), resources=(Resource("projects", "owner_id", "updated_at", "YYYY-MM-DD HH:MM:SS"),)
)


def test_a_clean_database_has_no_hazard(plant: Plant) -> None:
    assert plant() == {}


@pytest.mark.parametrize(
    ("sql", "schema", "code", "level", "count", "sample"),
    [
        ("INSERT INTO users(email) VALUES ('x@y.z')", SCHEMA, "keys_null", "block", 1, "rowid=4"),
        ("INSERT INTO users VALUES ('u1', 'q@y.z', '')", LOOSE, "keys_doubled", "block", 2, "'u1'"),
        ("INSERT INTO users VALUES (7, 'q@y.z', '')", LOOSE, "keys_mixed", "block", 1, "7"),
        ("INSERT INTO users VALUES (7.5, 'q@y.z', '')", LOOSE, "keys_real", "block", 1, "7.5"),
        ("INSERT INTO users VALUES (' ', 'q@y.z', '')", SCHEMA, "keys_blank", "warn", 1, "' '"),
        (
            "INSERT INTO users VALUES ('U1', 'q@y.z', '')",
            SCHEMA,
            "keys_differ_by_case",
            "warn",
            2,
            "id='U1', id='u1'",
        ),
        ("UPDATE users SET email = ' ' WHERE id = 'u1'", SCHEMA, "emails_missing", "note", 1, "u1"),
        (
            "UPDATE users SET email = '@b.c' WHERE id = 'u1'",
            SCHEMA,
            "emails_without_name",
            "note",
            1,
            "'@b.c'",
        ),
        (
            "UPDATE users SET email = 'BOB@example.com' WHERE id = 'u1'",
            SCHEMA,
            "emails_doubled",
            "note",
            2,
            "users=2",
        ),
        ("UPDATE projects SET owner_id = NULL", SCHEMA, "owners_null", "block", 3, "id='p1'"),
        (
            "UPDATE projects SET owner_id = 'ghost' WHERE id <> 'p3'",
            SCHEMA,
            "owners_dangling",
            "block",
            2,
            "owner_id='ghost': rows=2",
        ),
        (
            "UPDATE projects SET owner_id = 'U1' WHERE id = 'p1'",
            SCHEMA,
            "owners_other_case",
            "block",
            1,
            "owner_id='U1': rows=1, id='u1'",
        ),
        (
            "UPDATE projects SET owner_id = ' u1' WHERE id = 'p1'",
            SCHEMA,
            "owners_other_case",
            "block",
            1,
            "' u1'",
        ),
        (
            "UPDATE projects SET owner_id = x'7531' WHERE id = 'p1'",
            SCHEMA,
            "owners_converted",
            "block",
            1,
            "owner_id=x'7531': rows=1, id='u1'",
        ),
        (
            "UPDATE projects SET updated_at = '2024-01-01T10:00:00Z' WHERE id = 'p1'",
            SCHEMA,
            "updated_at_mixed",
            "block",
            1,
            "YYYY-MM-DDTHH:MM:SSZ (1 row)",
        ),
        (
            "UPDATE projects SET updated_at = 'yesterday' WHERE id = 'p2'",
            SCHEMA,
            "updated_at_unknown",
            "block",
            1,
            "'yesterday'",
        ),
        (
            "UPDATE projects SET updated_at = '2999-01-01 00:00:00' WHERE id = 'p2'",
            SCHEMA,
            "updated_at_future",
            "warn",
            1,
            "id='p2': updated_at='2999-01-01 00:00:00'",
        ),
        (
            "INSERT INTO projects VALUES (NULL, 'u1', 'x', NULL), (NULL, 'u1', 'x', NULL)",
            SCHEMA,
            "rows_not_told_apart",
            "warn",
            2,
            "rowid=4",
        ),
        (
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, p TEXT REFERENCES projects(id));"
            "INSERT INTO tasks VALUES (5, 'nowhere')",
            SCHEMA,
            "foreign_keys_broken",
            "block",
            1,
            "rowid=5",
        ),
    ],
)
def test_planted(
    plant: Plant, sql: str, schema: str, code: str, level: str, count: int, sample: str
) -> None:
    found = plant(sql, schema=schema)
    (hazard,) = found[code]
    assert (hazard.level, hazard.count) == (level, count)
    assert any(sample in s for s in shown(hazard)), shown(hazard)
    assert hazard.remedy
    if level == "block" and code.startswith("owners"):
        assert set(found) == {code, *(set(found) & {"key_without_unique_index"})}


def test_integer_keys_with_text_owners_are_a_conversion(plant: Plant) -> None:
    schema = SCHEMA.replace("id TEXT PRIMARY KEY, email", "id INTEGER PRIMARY KEY, email")
    rows = ROWS.replace("'u1'", "'1'").replace("'u2'", "'2'").replace("'u3'", "'3'")
    found = plant("UPDATE projects SET owner_id = '02' WHERE id = 'p3'", schema=schema, rows=rows)
    (hazard,) = found["owners_converted"]
    assert hazard.count == 3
    assert "owner_id='1': rows=2, id=1" in shown(hazard)
    assert "owners_dangling" not in found


def test_the_remedy_for_converted_owners_works(tmp_path: Path, plant: Plant) -> None:
    schema = SCHEMA.replace("id TEXT PRIMARY KEY, email", "id INTEGER PRIMARY KEY, email")
    rows = ROWS.replace("'u1'", "'1'").replace("'u2'", "'2'").replace("'u3'", "'3'")
    (hazard,) = plant(schema=schema, rows=rows)["owners_converted"]
    path = tmp_path / "planted.db"
    run_sql(path, hazard.remedy)
    plan = replace(Plan(), resources=(Resource("projects", "owner_id_as_key", "updated_at"),))
    assert look(path, plan) == {}


def test_the_remedy_for_another_case_works(tmp_path: Path, plant: Plant) -> None:
    sql = "UPDATE projects SET owner_id = 'U1 ' WHERE id = 'p1'"
    (hazard,) = plant(sql)["owners_other_case"]
    run_sql(tmp_path / "planted.db", hazard.remedy)
    assert look(tmp_path / "planted.db") == {}


def test_a_nocase_owner_column_does_not_hide_another_case(plant: Plant) -> None:
    schema = SCHEMA.replace("owner_id TEXT", "owner_id TEXT COLLATE NOCASE")
    schema = schema.replace("users (id TEXT", "users (id TEXT COLLATE NOCASE")
    found = plant("UPDATE projects SET owner_id = 'U1' WHERE id = 'p1'", schema=schema)
    assert found["owners_other_case"][0].count == 1


def test_an_integer_owner_does_not_hide_a_real_one(plant: Plant) -> None:
    schema = LOOSE
    rows = ROWS.replace("'u1'", "1").replace("'u2'", "2").replace("'u3'", "3")
    index = "CREATE UNIQUE INDEX k ON users(id);"
    assert plant(index, schema=schema, rows=rows) == {}
    one_owner = index + "UPDATE projects SET owner_id = 1;"
    for row in ("p1", "p2", "p3"):  # whichever row of the owner a group would speak of
        real = f"{one_owner} UPDATE projects SET owner_id = 1.0 WHERE id = '{row}'"
        assert plant(real, schema=schema, rows=rows)["owners_converted"][0].count == 1


def test_under_adopt_unowned_rows_are_notes(plant: Plant) -> None:
    sql = (
        "UPDATE projects SET owner_id = NULL WHERE id = 'p1';"
        "UPDATE projects SET owner_id = 'ghost' WHERE id = 'p2';"
    )
    found = plant(sql, ADOPT)
    assert {code: h[0].level for code, h in found.items()} == {
        "owners_null": "note",
        "owners_dangling": "note",
    }
    refused = plant(sql)
    assert "policy" in refused["owners_null"][0].remedy
    assert "SELECT" in refused["owners_dangling"][0].remedy


def test_the_adopter_must_exist(plant: Plant) -> None:
    nobody = replace(Plan(), unowned=Unowned("adopt", "nobody"))
    (missing,) = plant("", nobody)["adopter_missing"]
    assert missing.level == "block"
    assert "nobody" not in repr(missing)  # a key may be a name
    assert "adopter_missing" not in plant("", ADOPT)
    schema = SCHEMA.replace("id TEXT PRIMARY KEY, email", "id INTEGER PRIMARY KEY, email").replace(
        "owner_id TEXT", "owner_id INTEGER"
    )
    rows = ROWS.replace("'u1'", "1").replace("'u2'", "2").replace("'u3'", "3")
    (hazard,) = plant("", ADOPT, schema=schema, rows=rows)["adopter_missing"]
    assert "whole number" in hazard.meaning
    one = replace(Plan(), unowned=Unowned("adopt", "1"))
    assert plant("", one, schema=schema, rows=rows) == {}


def test_a_format_in_the_plan_decides(plant: Plant) -> None:
    sql = "UPDATE projects SET updated_at = 1700000000 WHERE id = 'p1';"
    text = SCHEMA.replace("updated_at TEXT", "updated_at")
    assert plant(sql, schema=text)["updated_at_mixed"][0].level == "block"
    assert plant(sql, WITH_FORMAT, schema=text)["updated_at_mixed"][0].level == "warn"


def test_a_format_in_the_plan_that_is_not_the_columns(plant: Plant) -> None:
    (hazard,) = plant("UPDATE projects SET updated_at = '2024-01-01'", WITH_FORMAT)[
        "updated_at_unknown"
    ]
    assert hazard.level == "warn"
    (hazard,) = plant("UPDATE projects SET updated_at = '2024-01-01T01:01:01Z'", WITH_FORMAT)[
        "updated_at_mixed"
    ]
    assert hazard.level == "warn"
    assert "YYYY-MM-DDTHH:MM:SSZ" in hazard.remedy


@pytest.mark.parametrize(
    ("declared", "kind", "stored"),
    [
        ("TEXT", "epoch seconds", "text"),
        ("VARCHAR(30)", "epoch milliseconds", "text"),
        ("REAL", "epoch seconds", "real"),
        ("NUMERIC", "epoch seconds (real)", "integer"),  # a whole second, one time in a thousand
        ("DATETIME", "epoch seconds (real)", "integer"),
        ("REAL", "epoch seconds (real)", None),
        ("", "epoch seconds (real)", None),
        ("TEXT", "YYYY-MM-DD HH:MM:SS", None),
        ("INTEGER", "epoch seconds", None),
        ("", "epoch seconds", None),
        ("DATETIME", "YYYY-MM-DDTHH:MM:SSZ", None),
        ("DATETIME", "epoch milliseconds", None),
    ],
)
def test_a_format_that_the_column_cannot_hold(
    plant: Plant, declared: str, kind: str, stored: str | None
) -> None:
    plan = Plan(resources=(Resource("projects", "owner_id", "updated_at", updated_at_format=kind),))
    found = plant("", plan, schema=SCHEMA.replace("updated_at TEXT", f"updated_at {declared}"))
    if stored is None:
        assert "updated_at_stored_otherwise" not in found
    else:
        (hazard,) = found["updated_at_stored_otherwise"]
        assert hazard.level == "block"
        assert f"would be {stored}" in hazard.meaning


def test_real_seconds_that_the_column_makes_integers(plant: Plant) -> None:
    """Found in the rows and not chosen by the plan: said beforehand all the same."""
    schema = SCHEMA.replace("updated_at TEXT", "updated_at NUMERIC")
    real = "UPDATE projects SET updated_at = 1700000000.5;"
    (hazard,) = plant(real, schema=schema)["updated_at_stored_otherwise"]
    assert hazard.level == "block"
    assert 'updated_at_format = "epoch seconds"' in hazard.remedy
    chosen = Resource("projects", "owner_id", "updated_at", updated_at_format="epoch seconds")
    levels = plant(real, Plan(resources=(chosen,)), schema=schema)
    assert {code: h[0].level for code, h in levels.items()} == {"updated_at_mixed": "warn"}
    mixed = real + "UPDATE projects SET updated_at = 1700000000.0 WHERE id = 'p1';"
    (hazard,) = plant(mixed, schema=schema)["updated_at_mixed"]
    assert 'updated_at_format = "epoch seconds"' in hazard.remedy


def test_a_format_that_a_strict_table_refuses(plant: Plant) -> None:
    schema = SCHEMA.replace("updated_at TEXT", "updated_at INTEGER")
    strict = schema.replace(");", ") STRICT;") if ");" in schema else f"{schema} STRICT"
    plan = Plan(
        resources=(
            Resource("projects", "owner_id", "updated_at", updated_at_format="YYYY-MM-DD HH:MM:SS"),
        )
    )
    found = plant("", plan, schema=strict, rows="")
    assert "would be refused" in found["updated_at_stored_otherwise"][0].meaning


def test_text_that_is_not_utf8_is_shown(plant: Plant) -> None:
    found = plant("UPDATE projects SET owner_id = CAST(x'ff61' AS TEXT) WHERE id = 'p1'")
    assert "\\xff" in shown(found["owners_dangling"][0])[0]


def test_blob_keys(plant: Plant) -> None:
    schema = SCHEMA.replace("TEXT PRIMARY KEY, email", "BLOB PRIMARY KEY, email").replace(
        "owner_id TEXT", "owner_id BLOB"
    )
    rows = ROWS.replace("'u1'", "x'01'").replace("'u2'", "x'02'").replace("'u3'", "x'03'")
    assert plant(schema=schema, rows=rows) == {}
    found = plant("UPDATE projects SET owner_id = x'09'", schema=schema, rows=rows)
    assert shown(found["owners_dangling"][0]) == ("owner_id=x'09': rows=3",)


def test_users_without_emails(plant: Plant) -> None:
    plan = replace(Plan(), users=Users("users", "id"))
    assert plant("UPDATE users SET email = NULL", plan) == {}


VALUES = st.sampled_from(
    [
        None,
        1,
        2,
        10,
        1.0,
        2.5,
        "1",
        "01",
        "1.0",
        " 1",
        "a",
        "A",
        "a ",
        "b",
        "",
        "é",
        "É",
        b"a",
        b"1",
    ]
)


def expected_kind(owner: object, keys: list[object]) -> str:
    """The rule in Python, with no SQL shared."""
    if owner is None:
        return "owners_null"
    if any(type(k) is type(owner) and k == owner and not isinstance(k, float) for k in keys):
        return "exact"

    def text(value: object) -> str:
        return value.decode() if isinstance(value, bytes) else str(value)

    def folded(value: object) -> str:
        plain = text(value).strip("\t\n\r ")
        return "".join(c.lower() if c.isascii() else c for c in plain)

    def number(value: object) -> float | None:
        if isinstance(value, bytes):
            return None
        try:
            return float(value)  # type: ignore[arg-type]
        except ValueError:
            return None

    others = [k for k in keys if k is not None]
    if any(text(k) == text(owner) for k in others):
        return "owners_converted"
    for k in others:
        if isinstance(k, int | float) and number(owner) == k:
            return "owners_converted"
    if any(folded(k) == folded(owner) for k in others):
        return "owners_other_case"
    return "owners_dangling"


@settings(max_examples=50, deadline=None)
@given(st.lists(VALUES, max_size=4), st.lists(VALUES, max_size=6))
def test_each_row_falls_into_one_kind(keys: list[object], owners: list[object]) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(LOOSE)
        connection.executemany("INSERT INTO users VALUES (?, 'a@b.c', '')", [(k,) for k in keys])
        connection.executemany(
            "INSERT INTO projects VALUES (?, ?, '', NULL)", list(enumerate(owners))
        )
        found = {h.code: h.count for h in inspect_database(connection, Plan())[0]}
    kinds = Counter(expected_kind(o, keys) for o in owners)
    del kinds["exact"]
    assert {code: n for code, n in found.items() if code.startswith("owners")} == dict(kinds)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(FORMATS), st.text("0123456789-: TZ+.", max_size=4), st.integers(0, 28))
def test_one_format_is_recognised_as_by_all(name: str, noise: str, at: int) -> None:
    value = write(name, "2024-02-03 04:05:06.789")
    spoiled = value if not isinstance(value, str) else value[:at] + noise + value[at + len(noise) :]
    with closing(sqlite3.connect(":memory:")) as connection:
        for each in (value, spoiled):
            (kind,) = connection.execute(
                f"SELECT {classify_sql(':value')}", {"value": each}
            ).fetchone()
            for other in FORMATS:
                (same,) = connection.execute(
                    f"SELECT {matches_sql(other, ':value')}", {"value": each}
                ).fetchone()
                assert bool(same) == (other == kind)


def test_a_connection_set_to_query_only_is_left_so(database: Path) -> None:
    run_sql(database, "UPDATE projects SET owner_id = 'ghost' WHERE id = 'p1'")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA query_only = ON")
        assert [h.code for h in inspect_database(connection, Plan())[0]] == ["owners_dangling"]
        assert connection.execute("PRAGMA query_only").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM temp.sqlite_schema").fetchone() == (0,)
