"""Random sequences of later writes to a migrated database, which the oracle is told of."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from runbook.plan.plan import Plan, Resource, Unowned, Users
from tests.support.later_oracle import Oracle, Row

KEYS = {
    "text": "id TEXT PRIMARY KEY",
    "integer": "id INTEGER PRIMARY KEY",
    "without rowid": "id TEXT PRIMARY KEY",
}
OLD, NEWER = "2024-01-02 03:04:05", "2031-05-06 07:08:09"
WORDS = ("a", "A", "", "it's", "é", None, 1, 2.5, b"\0")


class Sequence:
    """A database, migrated by whoever calls, and the writes to it."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.draw, self.number = path, random.Random(seed), 0
        shape = self.draw.choice(sorted(KEYS))
        self.oracle = Oracle(shape, self.draw.random() < 0.4)
        self.plan = Plan(
            users=Users("users", "id", "email"),
            resources=(
                Resource("projects", "owner_id", "updated_at"),
                Resource("notes", "owner_id"),
            ),
            unowned=Unowned("adopt", "root") if self.oracle.adopts else Unowned(),
        )
        self._make()

    def _make(self) -> None:
        draw, oracle = self.draw, self.oracle
        tail = " WITHOUT ROWID" if oracle.shape == "without rowid" else ""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT, name)")
            connection.execute(
                f"CREATE TABLE projects ({KEYS[oracle.shape]}, owner_id TEXT, title,"
                f" updated_at TEXT){tail}"
            )
            connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, owner_id TEXT, body)")
            connection.execute("CREATE TABLE other (n INTEGER PRIMARY KEY AUTOINCREMENT, body)")
            for name in ("root", "ada", "bob", "zoë")[: draw.randrange(2, 5)]:
                oracle.users[name] = {"email": f"{name}@example.org", "name": name}
                connection.execute(
                    "INSERT INTO users VALUES (?, ?, ?)", (name, f"{name}@example.org", name)
                )
            for _ in range(draw.randrange(1, 7)):
                row = {
                    "owner_id": self._owner(),
                    "title": draw.choice(WORDS),
                    "updated_at": draw.choice([OLD, None]),
                }
                self._insert(connection, "projects", row)
            for _ in range(draw.randrange(4)):
                self._insert(
                    connection, "notes", {"owner_id": self._owner(), "body": draw.choice(WORDS)}
                )

    def _owner(self) -> object:
        nobody = [None, "ghost"] if self.oracle.adopts else []
        return self.draw.choice([*self.oracle.users, *self.oracle.users, *nobody])

    def _key(self, table: str) -> object:
        self.number += 1
        text = table == "projects" and self.oracle.shape != "integer"
        return f"k{self.number}" if text else self.number

    def _insert(self, connection: sqlite3.Connection, table: str, row: Row) -> None:
        key = self._key(table)
        names = ", ".join(["id", *row])
        marks = ", ".join("?" * (len(row) + 1))
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", (key, *row.values()))
        getattr(self.oracle, table)[key] = dict(row)

    def migrated(self) -> None:
        """Tells the oracle that the migration has happened, and at what time."""
        with closing(sqlite3.connect(self.path)) as connection:
            (at,) = connection.execute("SELECT applied_at FROM runbook_ledger").fetchone()
        oracle, now = self.oracle, at[:19]
        oracle.then = Oracle(
            oracle.shape,
            oracle.adopts,
            {k: dict(r) for k, r in oracle.users.items()},
            {k: dict(r) for k, r in oracle.projects.items()},
            {k: dict(r) for k, r in oracle.notes.items()},
        )
        oracle.instant = now
        owners = {r["owner_id"] for r in (*oracle.projects.values(), *oracle.notes.values())}
        owners |= {"root"} if oracle.adopts else set()
        for row in oracle.projects.values():
            row |= {"organization_id": oracle.belongs(row["owner_id"]), "updated_at": now}
        for row in oracle.notes.values():
            row["organization_id"] = oracle.belongs(row["owner_id"])
        for user in owners & oracle.users.keys():
            oracle.organizations[f"org-{user}"] = {
                "name": f"{user}'s Workspace",
                "owner_id": user,
                "type": "personal",
            }
            oracle.memberships[f"mem-{user}"] = {
                "organization_id": f"org-{user}",
                "user_id": user,
                "role": "owner",
            }

    # -- the writes ----------------------------------------------------------------------------

    def write(self) -> str:
        """One random write; returns what it was."""
        makers: list[Callable[[sqlite3.Connection], str]] = [
            *[self._new_row] * 3, *[self._edit] * 5, *[self._move] * 2, *[self._delete] * 2,
            self._other_owner, self._rename_user, self._rename_key, self._new_user, self._drop_user,
            self._new_organization, self._edit_organization, self._drop_organization,
            self._new_member, self._edit_member, self._drop_member, self._elsewhere, self._schema,
        ]  # fmt: skip
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return self.draw.choice(makers)(connection)

    def _table(self) -> str:
        return self.draw.choice(["projects", "projects", "notes"])

    def _pick(self, table: str) -> object:
        rows = list(getattr(self.oracle, table))
        return self.draw.choice(rows) if rows else None

    def _set(
        self, connection: sqlite3.Connection, table: str, key: object, **values: object
    ) -> None:
        sets = ", ".join(f"{name} = ?" for name in values)
        name = "organization_memberships" if table == "memberships" else table
        connection.execute(f"UPDATE {name} SET {sets} WHERE id = ?", (*values.values(), key))
        getattr(self.oracle, table)[key].update(values)

    def _organization(self) -> object:
        return self.draw.choice([*self.oracle.organizations, None])

    def _new_row(self, connection: sqlite3.Connection) -> str:
        table = self._table()
        owner = self.draw.choice([*self.oracle.users, None])
        own = self.oracle.belongs(owner)
        organization = self.draw.choice([own, own, self._organization()])
        row: Row = {"owner_id": owner}
        row |= (
            {"title": self.draw.choice(WORDS), "updated_at": self.draw.choice([NEWER, None, OLD])}
            if table == "projects"
            else {"body": self.draw.choice(WORDS)}
        )
        self._insert(connection, table, row | {"organization_id": organization})
        return f"new row in {table} of {owner} in {organization}"

    def _edit(self, connection: sqlite3.Connection) -> str:
        table = self._table()
        key = self._pick(table)
        if key is None:
            return "nothing"
        word = self.draw.choice(WORDS)
        if table == "notes":
            self._set(connection, table, key, body=word)
            return f"body of {key}"
        values: Row = self.draw.choice(
            [
                {"title": word, "updated_at": NEWER},
                {"title": word},
                {"updated_at": NEWER},
                {"updated_at": None},
                {"updated_at": self.oracle.instant},
            ]
        )
        self._set(connection, table, key, **values)
        return f"{values} of {key}"

    def _move(self, connection: sqlite3.Connection) -> str:
        table = self._table()
        key, organization = self._pick(table), self._organization()
        if key is not None:
            self._set(connection, table, key, organization_id=organization)
        return f"{table} {key} moved to {organization}"

    def _other_owner(self, connection: sqlite3.Connection) -> str:
        table = self._table()
        key, owner = self._pick(table), self.draw.choice([*self.oracle.users, None])
        if key is not None:
            self._set(connection, table, key, owner_id=owner)
        return f"{table} {key} given to {owner}"

    def _delete(self, connection: sqlite3.Connection) -> str:
        return self._gone(connection, self._table())

    def _gone(self, connection: sqlite3.Connection, table: str) -> str:
        key = self._pick(table)
        if key is not None:
            name = "organization_memberships" if table == "memberships" else table
            connection.execute(f"DELETE FROM {name} WHERE id = ?", (key,))
            del getattr(self.oracle, table)[key]
        return f"{table} {key} deleted"

    def _new_user(self, connection: sqlite3.Connection) -> str:
        self.number += 1
        name = f"user {self.number}"
        connection.execute("INSERT INTO users (id, name) VALUES (?, ?)", (name, name))
        self.oracle.users[name] = {"email": None, "name": name}
        return f"new user {name}"

    def _rename_user(self, connection: sqlite3.Connection) -> str:
        user = self._pick("users")
        if user is not None:
            self._set(connection, "users", user, name="renamed", email=self.draw.choice(WORDS))
        return f"name and e-mail of {user}"

    def _rename_key(self, connection: sqlite3.Connection) -> str:
        """Another key, with everything that refers to it, as ON UPDATE CASCADE does."""
        user = self._pick("users")
        self.number += 1
        new = f"was {user} {self.number}"
        if user is None:
            return "nothing"
        connection.execute("UPDATE users SET id = ? WHERE id = ?", (new, user))
        self.oracle.users[new] = self.oracle.users.pop(str(user))
        for table, column in (
            ("projects", "owner_id"),
            ("notes", "owner_id"),
            ("organizations", "owner_id"),
            ("memberships", "user_id"),
        ):
            for key, row in getattr(self.oracle, table).items():
                if row[column] == user:
                    self._set(connection, table, key, **{column: new})
        return f"key of {user} is {new}"

    def _drop_user(self, connection: sqlite3.Connection) -> str:
        return self._gone(connection, "users")

    def _new_organization(self, connection: sqlite3.Connection) -> str:
        self.number += 1
        owner, key = self._pick("users"), f"team {self.number}"
        if owner is None:
            return "nothing"
        kind = self.draw.choice(["team", "personal"])
        connection.execute(
            "INSERT INTO organizations (id, name, slug, owner_id, type) VALUES (?, ?, ?, ?, ?)",
            (key, key, key, owner, kind),
        )
        self.oracle.organizations[key] = {"name": key, "owner_id": owner, "type": kind}
        return f"organization {key} of {owner}, {kind}"

    def _edit_organization(self, connection: sqlite3.Connection) -> str:
        key = self._pick("organizations")
        if key is not None:
            self._set(connection, "organizations", key, name=f"renamed {self.number}")
        return f"organization {key} renamed"

    def _drop_organization(self, connection: sqlite3.Connection) -> str:
        return self._gone(connection, "organizations")

    def _new_member(self, connection: sqlite3.Connection) -> str:
        self.number += 1
        organization, user = self._pick("organizations"), self._pick("users")
        key = f"member {self.number}"
        pairs = {(m["organization_id"], m["user_id"]) for m in self.oracle.memberships.values()}
        if None in (organization, user) or (organization, user) in pairs:
            return "nothing"
        row = {"organization_id": organization, "user_id": user, "role": "viewer"}
        connection.execute(
            "INSERT INTO organization_memberships (id, organization_id, user_id, role)"
            " VALUES (?, ?, ?, ?)",
            (key, *row.values()),
        )
        self.oracle.memberships[key] = row
        return f"{user} is a member of {organization}"

    def _edit_member(self, connection: sqlite3.Connection) -> str:
        key = self._pick("memberships")
        if key is not None:
            self._set(connection, "memberships", key, role="admin")
        return f"role of {key}"

    def _drop_member(self, connection: sqlite3.Connection) -> str:
        return self._gone(connection, "memberships")

    def _elsewhere(self, connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO other (body) VALUES (?)", (self.draw.choice(WORDS),))
        return "a row elsewhere"

    def _schema(self, connection: sqlite3.Connection) -> str:
        """A change of the schema: kept, discarded with the tables that go, or in the way."""
        self.number += 1
        kind = self.draw.choice(["kept", "kept", "kept", "discarded", "in the way"])
        name = f"later_{self.number}"
        sql = {
            "kept": [
                f"CREATE INDEX {name} ON projects(title)",
                f"CREATE TABLE {name} (a, b)",
                f"CREATE VIEW {name} AS SELECT id, email FROM users",
                f"CREATE TRIGGER {name} AFTER INSERT ON other BEGIN SELECT 1; END",
                f"ALTER TABLE users ADD COLUMN {name} TEXT",
            ],
            "discarded": [
                f"CREATE INDEX {name} ON organizations(name)",
                f"ALTER TABLE organization_memberships ADD COLUMN {name}",
            ],
            "in the way": [
                f"ALTER TABLE notes ADD COLUMN {name}",
                f"CREATE VIEW {name} AS SELECT id FROM organizations",
                f"CREATE INDEX {name} ON projects(organization_id, title)",
            ],
        }[kind]
        statement = self.draw.choice(sql)
        connection.execute(statement)
        self.oracle.extras += kind == "discarded"
        self.oracle.obstacles += kind == "in the way"
        return statement
