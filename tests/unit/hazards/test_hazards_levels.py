"""Levels that a plan sets, the catalogue's page, the advice, and two public databases."""

from __future__ import annotations

import ast
import dataclasses
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from runbook import hazards
from runbook.errors import PlanError
from runbook.hazards import CATALOGUE, inspect_database
from runbook.hazards.catalogue import Group, read_catalogue
from runbook.hazards.docs import PAGE, page
from runbook.plan.plan import Organizations, Plan, Resource, Unowned, Users
from runbook.plan.shape import read_shape
from runbook.script.migration import render

from .conftest import Plant, run_sql

DATA = Path(__file__).parents[4] / "shared" / "data"

CHINOOK = Plan(
    users=Users("Customer", "CustomerId", "Email"), resources=(Resource("Invoice", "CustomerId"),)
)
NORTHWIND = Plan(
    users=Users("Customers", "CustomerID"), resources=(Resource("Orders", "CustomerID"),)
)


def with_level(code: str, level: str) -> Plan:
    return replace(Plan(), hazards={code: level})  # type: ignore[dict-item]


def test_a_plan_raises_and_lowers(plant: Plant) -> None:
    sql = "UPDATE users SET email = NULL WHERE id = 'u1'"
    assert plant(sql)["emails_missing"][0].level == "note"
    assert plant(sql, with_level("emails_missing", "block"))["emails_missing"][0].level == "block"
    sql = "CREATE VIEW v AS SELECT * FROM projects"
    lowered = plant(sql, with_level("views_select_star", "note"))
    assert lowered["views_select_star"][0].level == "note"


def test_a_blocking_hazard_is_never_lowered(plant: Plant) -> None:
    for level in ("warn", "note"):
        with pytest.raises(PlanError, match="cannot be made milder"):
            plant("", with_level("owners_null", level))
    assert plant("", with_level("owners_null", "block")) == {}


def test_an_unknown_hazard_gets_a_suggestion(plant: Plant) -> None:
    with pytest.raises(PlanError, match='did you mean "owners_null"'):
        plant("", with_level("owner_null", "block"))


def test_the_page_is_generated() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m runbook.hazards.docs"


def test_the_catalogue_and_the_probes_know_the_same_codes() -> None:
    folder = Path(hazards.__file__).parent
    nodes = [n for p in folder.glob("*.py") for n in ast.walk(ast.parse(p.read_text()))]
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert set(CATALOGUE) - texts == set(), "in the catalogue, used by no probe"
    made = [
        n.args[0]
        for n in nodes
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "Sighting"
    ]
    codes = {n.value for n in made if isinstance(n, ast.Constant)}
    assert len(codes) > 50
    assert codes - set(CATALOGUE) == set(), "made by a probe, not in the catalogue"


def test_the_catalogue_is_complete() -> None:
    for code, definition in CATALOGUE.items():
        assert code == definition.code
        for name, text in dataclasses.asdict(definition).items():
            needed = name != "why" or definition.followed not in ("statement", "plan")
            assert text.strip() == text, (code, name)
            assert (text != "") == needed, (code, name)
            assert name not in ("meaning", "remedy", "why") or text.endswith(".") == needed, code
    assert {d.group for d in CATALOGUE.values()} == set(get_args(Group))
    titles = [d.title for d in CATALOGUE.values()]
    assert len(titles) == len(set(titles))


COMPLETE = """
[keys_null]
group = "data"
level = "block"
title = "Users without a key"
meaning = "It means something."
remedy = "Do something."
followed = "statement"
"""


@pytest.mark.parametrize(
    "change",
    [
        ('level = "block"', 'level = "fatal"'),
        ('group = "data"', 'group = "rows"'),
        ('remedy = "Do something."', ""),
        ('meaning = "It means something."', ""),
        ("remedy", "remedies"),
        ("title", 'colour = "red"\ntitle'),
    ],
)
def test_a_definition_has_every_field_and_no_other(change: tuple[str, str]) -> None:
    assert list(read_catalogue(COMPLETE)) == ["keys_null"]
    with pytest.raises(ExceptionGroup, match="Definition"):
        read_catalogue(COMPLETE.replace(*change))


def migrate(path: Path, plan: Plan) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    for step in render(plan, read_shape(connection, plan)).steps:
        for statement in step.statements:
            connection.execute(statement)
    return connection


@pytest.mark.parametrize(
    "plan",
    [
        Plan(),
        replace(Plan(), organizations=Organizations("all_users")),
        replace(Plan(), unowned=Unowned("adopt", "u4")),
        replace(Plan(), resources=(Resource("projects", "owner_id"), Resource("notes", "by"))),
    ],
)
def test_advice_predicts_what_the_migration_then_does(database: Path, plan: Plan) -> None:
    run_sql(
        database,
        "INSERT INTO users VALUES ('u4', 'dora@example.com', ''), ('u5', NULL, '');"
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, by TEXT REFERENCES users(id));"
        "INSERT INTO notes (by) VALUES ('u2'), ('u2'), ('u2'), ('u5');",
    )
    if plan.adopts:
        run_sql(
            database,
            "INSERT INTO projects VALUES ('p4', 'ghost', '', NULL), ('p5', NULL, '', NULL)",
        )
    with closing(sqlite3.connect(database)) as connection:
        _, predicted = inspect_database(connection, plan)
    with closing(migrate(database, plan)) as connection:

        def one(sql: str) -> int:
            return int(connection.execute(sql).fetchone()[0])

        made = one("SELECT count(*) FROM organizations")
        assert predicted["organizations"] == predicted["memberships"] == made
        assert predicted["users_without_organization"] == 5 - made
        tables = [r.table for r in plan.resources]
        union = " UNION ALL ".join(f"SELECT organization_id AS o FROM {t}" for t in tables)
        sizes = sorted(
            n
            for (n,) in connection.execute(
                f"SELECT (SELECT count(*) FROM ({union}) WHERE o = id) FROM organizations"
            )
        )
        for table in tables:
            assert predicted[f"assigned.{table}"] == one(f"SELECT count(*) FROM {table}")
    bands = {"0": (0, 0), "1": (1, 1), "2-5": (2, 5), "6-20": (6, 20), "21-100": (21, 100)}
    for name, (least, most) in bands.items():
        expected = sum(least <= n <= most for n in sizes)
        assert predicted[f"organizations_with_{name}_rows"] == expected, (name, sizes)
    filled = [n for n in sizes if n]
    assert predicted["largest_organization"] == max(filled)
    assert predicted["median_organization"] == filled[(len(filled) - 1) // 2]


def test_the_estimated_growth_is_near_the_real_one(database: Path) -> None:
    run_sql(
        database,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO users SELECT printf('usr_%016x', i), 'p' || i || '@example.com', '' FROM n;"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)"
        " INSERT INTO projects SELECT printf('prj_%016x', i),"
        " printf('usr_%016x', 1 + i * 7919 % 20000),"
        " 'A project of middling length', '2024-01-01 00:00:00' FROM n;",
    )
    before = database.stat().st_size
    with closing(sqlite3.connect(database)) as connection:
        estimated = int(inspect_database(connection, Plan())[1]["growth_bytes"])
    migrate(database, Plan()).close()
    real = database.stat().st_size - before
    assert 0.7 < estimated / real < 1.5, (estimated, real)


@pytest.mark.parametrize(("name", "plan"), [("chinook", CHINOOK), ("northwind", NORTHWIND)])
def test_public_databases_are_clean(name: str, plan: Plan) -> None:
    path = DATA / f"{name}.db"
    if not path.exists():
        pytest.skip(f"{name}.db is not beside the project")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        found, predicted = inspect_database(connection, plan)
    assert found == ()
    assert predicted["organizations"] == {"chinook": 59, "northwind": 89}[name]
