"""Random schemas: odd names, views, triggers, indexes, generated columns, literals in double quotes.

What SQLite does not take when it is made is left out. A seed gives the same schema every time.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runbook.plan.plan import Plan, Resource, Triggers, Users

NAMES = (
    "projects", "Docs", 'od"d', "select", "a b", "x.y", "Ünï", "order", "t", "notes", "u", "rules",
    "before", "main", "r", "owners", "it's", "[b]", "new", "old", "a;b", "--c", "users2", "main2",
)  # fmt: skip
COLUMNS = (
    "title", "body", "state", "n", "Size", 'q"uote', "group", "a b", "x.y", "é", "row", "value",
    "organization", "org_id", "user", "b", "k.k", "oid", "type", "[x]", "it's", "c1",
)  # fmt: skip
TYPES = ("", "TEXT", "INTEGER", "REAL", "BLOB", "NUMERIC", "TEXT COLLATE NOCASE", "DATETIME")
VALUES = ("NULL", "1", "'a'", "'A '", "2.5", "x'00'", "''", "-0.0", "'1'", "9007199254740993")


def quoted(name: str) -> str:
    """The name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class RandomSchema:
    """What was made: the plan for it, and how often SQLite took an object."""

    plan: Plan
    accepted: int


@dataclass(frozen=True)
class _Table:
    name: str
    columns: tuple[str, ...]
    resource: bool

    @property
    def sql(self) -> str:
        return quoted(self.name)


class _Maker:
    """Makes one schema; `tables` and `views` grow as they are made."""

    def __init__(self, connection: sqlite3.Connection, seed: int) -> None:
        self.connection, self.draw = connection, random.Random(seed)
        names = self.draw.sample(NAMES, 8)
        self.users, self.log, self.copy, *self.free = names
        self.key = self.draw.choice(["id", "Key", "user id"])
        self.tables: list[_Table] = []
        self.views: list[_Table] = []
        self.accepted = 0

    def attempt(self, sql: str) -> bool:
        """Whether SQLite takes it."""
        try:
            self.connection.execute(sql)
        except sqlite3.Error:
            return False
        self.accepted += 1
        return True

    def make(self) -> Plan:
        draw = self.draw
        kind = draw.choice(["TEXT", "INTEGER"])
        keys = ["'u1'", "'u2'", "'ü 3'"] if kind == "TEXT" else ["1", "-7", "42"]
        self.connection.execute(
            f"CREATE TABLE {quoted(self.users)} ({quoted(self.key)} {kind} PRIMARY KEY, name, mail)"
        )
        for n, key in enumerate(keys):
            self.connection.execute(
                f"INSERT INTO {quoted(self.users)} VALUES ({key}, 'n{n}', 'm{n}@example.org')"
            )
        self.tables.append(_Table(self.users, (self.key, "name", "mail"), False))
        self.connection.execute(f"CREATE TABLE {quoted(self.log)} (what, who)")
        resources = tuple(
            self._resource(self.free.pop(), kind, keys) for _ in range(draw.choice([1, 1, 2]))
        )
        for _ in range(draw.randrange(2)):
            self._other(self.free.pop())
        for n in range(draw.randrange(1, 5)):
            self._view(f"view {n}" if draw.random() < 0.3 else f"v{n}")
        for n in range(draw.randrange(4)):
            self._trigger(f"trigger {n}" if draw.random() < 0.3 else f"t{n}")
        for n in range(draw.randrange(3)):
            self._index(f"i{n}")
        policy = draw.choice(["suspend", "suspend", "suspend", "fire", "refuse"])
        written = (self.log,) if policy == "fire" else ()
        triggers = Triggers(policy, written)  # type: ignore[arg-type]
        mail = draw.choice(["mail", None])
        return Plan(users=Users(self.users, self.key, mail), resources=resources, triggers=triggers)

    def _resource(self, name: str, kind: str, keys: list[str]) -> Resource:
        draw = self.draw
        owner, at = (
            draw.choice(["owner", "by", "user_id"]),
            draw.choice(["updated_at", "at", "Changed At"]),
        )
        shape = draw.choice(["integer", "text", "none", "without"])
        # The same names in several tables are what NATURAL JOIN and USING live on.
        columns = ["k", owner, at, *draw.sample(COLUMNS, draw.randrange(1, 4))]
        types = {
            owner: kind,
            at: "TEXT",
            "k": {"integer": "INTEGER PRIMARY KEY", "none": ""}.get(
                shape, "TEXT PRIMARY KEY NOT NULL"
            ),
        }
        parts = [f"{quoted(c)} {types.get(c, draw.choice(TYPES))}" for c in columns]
        if draw.random() < 0.3:
            source = draw.choice(columns[1:])
            stored = draw.choice(["STORED", "VIRTUAL"])
            parts.append(f"gen AS (substr({quoted(source)}, 1, 4)) {stored}")
        if draw.random() < 0.2:
            parts.append(f'CHECK ({quoted(columns[-1])} IS NOT "never this")')
        tail = " WITHOUT ROWID" if shape == "without" else ""
        self.connection.execute(f"CREATE TABLE {quoted(name)} ({', '.join(parts)}){tail}")
        listed = ", ".join(map(quoted, columns))
        for n in range(draw.randrange(1, 6)):
            time = draw.choice(["'2024-01-02 03:04:05'", "'2023-11-12 13:14:15'", "NULL"])
            rest = [draw.choice(VALUES) for _ in columns[3:]]
            values = ", ".join([str(n + 1), draw.choice(keys), time, *rest])
            self.connection.execute(f"INSERT INTO {quoted(name)} ({listed}) VALUES ({values})")
        self.tables.append(_Table(name, tuple(columns), True))
        return Resource(name, owner, at)

    def _other(self, name: str) -> None:
        columns = ["k", *self.draw.sample(COLUMNS, 2)]
        if self.draw.random() < 0.4:
            columns.append("organization_id")
        parts = ", ".join(f"{quoted(c)} {self.draw.choice(TYPES)}" for c in columns)
        if self.attempt(f"CREATE TABLE {quoted(name)} ({parts})"):
            for n in range(self.draw.randrange(4)):
                values = ", ".join([str(n + 1), *(self.draw.choice(VALUES) for _ in columns[1:])])
                self.attempt(f"INSERT INTO {quoted(name)} VALUES ({values})")
            self.tables.append(_Table(name, tuple(columns), False))

    # -- views ---------------------------------------------------------------------------------

    def _view(self, name: str) -> None:
        makers: list[Callable[[], str]] = [
            self._columns_of, self._star, self._natural, self._using, self._union, self._grouped,
            self._member, self._literal, self._scalar, self._renamed,
        ]  # fmt: skip
        sql = self.draw.choice(makers)()
        if not self.attempt(f"CREATE VIEW {quoted(name)} AS {sql}"):
            return
        try:
            cursor = self.connection.execute(f"SELECT * FROM {quoted(name)} LIMIT 0")
        except sqlite3.Error:
            return  # it stays, broken, as in real databases
        columns = tuple(column[0] for column in cursor.description)
        self.views.append(_Table(name, columns, False))

    def _source(self) -> _Table:
        return self.draw.choice([*self.tables, *self.tables, *self.views])

    def _column(self, table: _Table) -> str:
        return quoted(self.draw.choice(table.columns))

    def _columns_of(self) -> str:
        table = self._source()
        return f"SELECT {self._column(table)}, {self._column(table)} AS second FROM {table.sql}"

    def _star(self) -> str:
        one, two = self._source(), self._source()
        return self.draw.choice(
            [
                f"SELECT * FROM {one.sql}",
                f"SELECT a.*, b.{self._column(two)} AS other FROM {one.sql} AS a, {two.sql} AS b",
                f"SELECT count(*) AS n FROM (SELECT * FROM {one.sql})",
            ]
        )

    def _natural(self) -> str:
        one, two = self._source(), self._source()
        join = self.draw.choice(["NATURAL JOIN", "NATURAL LEFT JOIN"])
        what = self.draw.choice(["*", "count(*) AS n", self._column(one)])
        return f"SELECT {what} FROM {one.sql} {join} {two.sql}"

    def _using(self) -> str:
        one, two = self._source(), self._source()
        common = [c for c in one.columns if c in two.columns] or ["k"]
        using = quoted(self.draw.choice(common))
        return f"SELECT {using}, {self._column(two)} AS more FROM {one.sql} JOIN {two.sql} USING ({using})"

    def _union(self) -> str:
        one, two = self._source(), self._source()
        nothing = ", ".join(["NULL"] * len(one.columns))
        return self.draw.choice(
            [
                f"SELECT * FROM {one.sql} UNION ALL SELECT {nothing}",
                f"SELECT {self._column(one)} AS c FROM {one.sql} EXCEPT SELECT {self._column(two)} FROM {two.sql}",
                f"SELECT * FROM {one.sql} INTERSECT SELECT * FROM {one.sql}",
            ]
        )

    def _grouped(self) -> str:
        table = self._source()
        return f"SELECT {self._column(table)} AS c, count(*) AS n FROM {table.sql} GROUP BY 1"

    def _member(self) -> str:
        table = self._source()
        listed = ", ".join(map(quoted, table.columns))
        return self.draw.choice(
            [
                f"SELECT {self._column(table)} AS c FROM {table.sql} WHERE ({listed}) IN (SELECT * FROM {table.sql})",
                f"WITH one AS (SELECT * FROM {table.sql}) SELECT {self._column(table)} AS c FROM one",
                f"WITH one({listed}) AS (SELECT * FROM {table.sql}) SELECT count(*) AS n FROM one",
            ]
        )

    def _literal(self) -> str:
        table = self._source()
        return f'SELECT {self._column(table)} AS c, "no such column" AS l FROM {table.sql}'

    def _scalar(self) -> str:
        one, two = self._source(), self._source()
        return (
            f"SELECT a.{self._column(one)} AS c, (SELECT count(*) FROM {two.sql} AS b WHERE"
            f" organization_id IS NOT NULL) AS n FROM {one.sql} AS a"
        )

    def _renamed(self) -> str:
        table = self._source()
        column = self._column(table)
        return f"SELECT {column} AS organization_id, {column} AS k FROM {table.sql}"

    # -- triggers and indexes ------------------------------------------------------------------

    def _trigger(self, name: str) -> None:
        draw = self.draw
        table = draw.choice(self.tables)
        event = draw.choice(["INSERT", "UPDATE", "DELETE", f"UPDATE OF {self._column(table)}"])
        when = draw.choice(["BEFORE", "AFTER", "AFTER"])
        row = "old" if event == "DELETE" else "new"
        target = draw.choice([t for t in self.tables if not t.resource] or self.tables)
        values = ", ".join(f"{row}.{self._column(table)}" for _ in target.columns)
        log = quoted(self.log)
        body = draw.choice(
            [
                f'INSERT INTO {log} VALUES ({row}.{self._column(table)}, "{draw.choice(["x", "y z"])}")',
                f"INSERT INTO {log} (what) SELECT count(*) FROM {table.sql}",
                f"INSERT INTO {target.sql} VALUES ({values})",
                f"INSERT INTO {log} SELECT {self._column(table)}, 1 FROM {table.sql} NATURAL JOIN {target.sql}",
                f"INSERT INTO {table.sql} SELECT * FROM {table.sql} WHERE 0",
                f"UPDATE {target.sql} SET {self._column(target)} = {row}.{self._column(table)} WHERE 0",
                "SELECT 1",
            ]
        )
        if self.views and draw.random() < 0.35:
            view = draw.choice(self.views)
            names = ", ".join(quoted(c) for c in table.columns)
            new_row = ", ".join(f"new.{self._column(view)}" for _ in table.columns)
            body = draw.choice(
                [
                    f"INSERT INTO {table.sql} VALUES ({new_row})",
                    f"INSERT INTO {table.sql} ({names}) VALUES ({new_row})",
                    f"DELETE FROM {table.sql} WHERE {self._column(table)} = new.{self._column(view)}",
                ]
            )
            event = draw.choice(["INSERT", "UPDATE"])
            self.attempt(
                f"CREATE TRIGGER {quoted(name)} INSTEAD OF {event} ON {view.sql} BEGIN {body}; END"
            )
            return
        self.attempt(
            f"CREATE TRIGGER {quoted(name)} {when} {event} ON {table.sql} BEGIN {body}; END"
        )

    def _index(self, name: str) -> None:
        table = self.draw.choice(self.tables)
        one, two = self._column(table), self._column(table)
        self.attempt(
            self.draw.choice(
                [
                    f"CREATE INDEX {quoted(name)} ON {table.sql} ({one})",
                    f"CREATE INDEX {quoted(name)} ON {table.sql} (length({one}), {two} DESC)",
                    f'CREATE INDEX {quoted(name)} ON {table.sql} ({one}) WHERE {two} IS NOT "x"',
                    f"CREATE UNIQUE INDEX {quoted(name)} ON {table.sql} ({one}, {two}, k)",
                ]
            )
        )


def make(path: Path, seed: int) -> RandomSchema:
    """Writes a database of a random schema."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if seed % 3 == 0:
            connection.execute("PRAGMA encoding = 'UTF-16le'")
        maker = _Maker(connection, seed)
        plan = maker.make()
        return RandomSchema(plan, maker.accepted)


# -- what views return and what compiles -------------------------------------------------------

Rows = tuple[tuple[str, ...], list[str]]


def objects(path: Path, kind: str) -> list[tuple[str, str]]:
    """Name and table of all views or triggers."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT name, tbl_name FROM sqlite_schema WHERE type = ? ORDER BY rowid", (kind,)
        ).fetchall()


def read_views(path: Path) -> dict[str, Rows | None]:
    """Each view with its columns and rows, those of the new column left out; None: it fails."""
    views: dict[str, Rows | None] = {}
    with closing(sqlite3.connect(path)) as connection:
        for name, _ in objects(path, "view"):
            try:
                cursor = connection.execute(f"SELECT * FROM {quoted(name)}")
                columns = [column[0] for column in cursor.description]
                rows = sorted(repr(row) for row in cursor)
            except sqlite3.Error:
                views[name] = None
            else:
                views[name] = tuple(columns), rows
    return views


def without_new_column(path: Path, before: dict[str, Rows | None]) -> dict[str, Rows | None]:
    """Each view by the columns that it had before; None: it fails, or a column is not there."""
    views: dict[str, Rows | None] = {}
    with closing(sqlite3.connect(path)) as connection:
        for name, rows in before.items():
            views[name] = None
            if rows is None:
                continue
            listed = ", ".join(quoted(column) for column in rows[0])
            try:
                cursor = connection.execute(f"SELECT * FROM {quoted(name)}")
                extra = [c[0] for c in cursor.description if c[0] not in rows[0]]
                if any(not column.startswith("organization_id") for column in extra):
                    continue
                cursor = connection.execute(f"SELECT {listed} FROM {quoted(name)}")
                views[name] = rows[0], sorted(repr(row) for row in cursor)
            except sqlite3.Error:
                continue
    return views


def compiling(path: Path) -> set[tuple[str, str]]:
    """Table or view, and statement, for every use of a trigger that compiles."""
    good = set()
    with closing(sqlite3.connect(path)) as connection:
        for table in {table for _, table in objects(path, "trigger")}:
            columns = [
                name
                for name, hidden in connection.execute(
                    "SELECT name, hidden FROM pragma_table_xinfo(?)", (table,)
                )
                if not hidden and name != "organization_id"
            ]
            sets = ", ".join(f"{quoted(c)} = {quoted(c)}" for c in columns)
            for sql in (
                f"INSERT INTO {quoted(table)} DEFAULT VALUES",
                f"UPDATE {quoted(table)} SET {sets}",
                f"DELETE FROM {quoted(table)}",
            ):
                try:
                    connection.execute(f"EXPLAIN {sql}")
                    good.add((table, sql.split()[0]))
                except sqlite3.Error:
                    continue
    return good


def with_old_times(path: Path, before: Path, plan: Plan) -> Path:
    """A copy of the migrated database with the times of before, its triggers dropped."""
    copy = path.with_name("old-times.db")
    copy.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        for name, _ in objects(copy, "trigger"):
            connection.execute(f"DROP TRIGGER {quoted(name)}")
        connection.execute("ATTACH ? AS past", (str(before),))
        for resource in plan.resources:
            table, at = quoted(resource.table), quoted(resource.updated_at or "")
            connection.execute(
                f"UPDATE main.{table} AS r SET {at} = (SELECT b.{at} FROM past.{table} AS b"
                " WHERE b.k = r.k)"
            )
    return copy
