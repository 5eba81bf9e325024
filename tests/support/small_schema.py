"""A schema with two resource tables, and the keys that it is tried with."""

from __future__ import annotations

from runbook.plan.plan import Organizations, Plan, Resource

SCHEMA = """
CREATE TABLE users (id {type} PRIMARY KEY, email TEXT);
CREATE TABLE projects (id INTEGER PRIMARY KEY, owner_id {type}, updated_at TEXT);
CREATE TABLE notes (owner_id {type});
INSERT INTO users VALUES ({u1}, 'a@x'), ({u2}, 'b@x'), ({u3}, 'c@x'), ({u4}, NULL);
INSERT INTO projects (owner_id) VALUES ({u1}), ({u2}), ({u3}), ({u1});
INSERT INTO notes VALUES ({u1}), ({u1}), ({u2});
"""
PLAN = Plan(
    resources=(Resource("projects", "owner_id", "updated_at"), Resource("notes", "owner_id")),
    organizations=Organizations("all_users"),
)
KEYS: dict[str, dict[str, str]] = {
    "TEXT": {"u1": "'a'", "u2": "'b'", "u3": "'c'", "u4": "'d'", "ghost": "'e'"},
    "INTEGER": {"u1": "7", "u2": "-7", "u3": "0", "u4": "77", "ghost": "777"},
    "BLOB": {"u1": "x'61'", "u2": "x''", "u3": "x'00'", "u4": "x'0061'", "ghost": "x'FF'"},
}
