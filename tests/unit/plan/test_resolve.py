"""A plan's names become those of the schema, where SQLite takes them for the same."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace

from runbook.plan.plan import Plan, Resource, Triggers, Unowned, Users
from runbook.plan.resolve import resolve, same_plan

SCHEMA = """
CREATE TABLE Users (Id TEXT PRIMARY KEY COLLATE NOCASE, "E-Mail" TEXT);
CREATE TABLE "My Notes" (id INTEGER PRIMARY KEY, Owner_Id TEXT, Updated_At TEXT, "Ä" TEXT);
CREATE TABLE Journal (line TEXT);
CREATE VIEW Broken AS SELECT * FROM nowhere;
INSERT INTO Users VALUES ('Ann', 'a@example.org'), ('bob', NULL);
"""
PLAN = Plan(
    users=Users("USERS", "ID", "e-mail"),
    resources=(Resource("my notes", "OWNER_ID", "updated_at"),),
    triggers=Triggers("fire", ("JOURNAL",)),
    unowned=Unowned("adopt", "ANN"),
)


def resolved(plan: Plan) -> Plan:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return resolve(plan, connection)


def test_every_name_gets_the_schemas_spelling() -> None:
    plan = resolved(PLAN)
    assert plan.users == Users("Users", "Id", "E-Mail")
    assert plan.resources == (Resource("My Notes", "Owner_Id", "Updated_At"),)
    assert plan.triggers.may_write == ("Journal",)
    assert plan.unowned.adopter == "Ann"
    assert resolved(plan) == plan


def test_what_is_not_there_keeps_the_plans_spelling() -> None:
    plan = Plan(
        users=Users("Userz", "Key"),
        resources=(
            Resource("my notes", "ä", "Changed"),
            Resource("broken", "Own"),
            Resource("gone", "X"),
        ),
        unowned=Unowned("adopt", "CARL"),
    )
    expected = replace(
        plan,
        resources=(
            Resource("My Notes", "ä", "Changed"),  # SQLite folds the letters of ASCII only
            Resource("Broken", "Own"),
            Resource("gone", "X"),
        ),
    )
    assert resolved(plan) == expected


def test_a_plan_is_known_again() -> None:
    assert same_plan(replace(PLAN, unowned=Unowned("adopt", "Ann")), resolved(PLAN))
    assert not same_plan(PLAN, replace(PLAN, unowned=Unowned("adopt", "ann"))), "another user"
    assert same_plan(PLAN, replace(PLAN, users=Users("Users", "iD", "E-MAIL")))
    spelled = [
        replace(PLAN, resources=(Resource(name, "Ö_Owner_ID"),)) for name in ("Äpfel", "ÄPFEL")
    ]
    assert same_plan(spelled[0], replace(PLAN, resources=(Resource("ÄPFEL", "Ö_owner_id"),)))
    assert not same_plan(*spelled[:1], replace(PLAN, resources=(Resource("äPFEL", "Ö_Owner_ID"),)))
    assert not same_plan(PLAN, replace(PLAN, users=Users("people", "id", "e-mail")))
    other = replace(PLAN, resources=(Resource("My Notes", "Owner_Id", "Ä"),))
    assert not same_plan(PLAN, other)
