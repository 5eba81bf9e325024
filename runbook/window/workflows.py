"""Tries what the application will do, on the real database, and takes all of it back.

A resource, an organization and a membership are created, read, updated and deleted through the
queries of the new code, inside a savepoint that is rolled back. Then every table is compared,
strictly, with what is committed: nothing may remain.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.errors import Refused
from runbook.plan.plan import Plan, Resource
from runbook.plan.shape import Shape
from runbook.script.migration import template_values
from runbook.sqlite.authorizer import note_compiling
from runbook.sqlite.compare_database import compare_databases
from runbook.sqlite.connect import file_uri, open_writable
from runbook.sqlite.interrupts import hear_interrupts
from runbook.sqlite.quoting import fold_name, quote_name, same_name
from runbook.sqlite.tables import Table, read_tables
from runbook.templates import sql_file
from runbook.window.rows import CannotMake, Like, NewRow, Value, make_row
from runbook.wording import counted


@dataclass(frozen=True)
class Tried:
    """One thing tried: `ok` None where it could not be tried, and `note` says why."""

    subject: str
    action: str
    ok: bool | None
    note: str

    def __str__(self) -> str:
        word = {True: "", False: " FAILED", None: " not tried"}[self.ok]
        return f"{self.action}{word} ({self.note})"


@dataclass(frozen=True)
class Workflows:
    """What was tried, and what remained of it: `remains` names differences, () if there are none.

    `tables` and `rows` is what was compared.
    """

    tried: tuple[Tried, ...]
    remains: tuple[str, ...]
    tables: int
    rows: int

    @property
    def failed(self) -> tuple[Tried, ...]:
        """What did not work."""
        return tuple(t for t in self.tried if t.ok is False)

    @property
    def impossible(self) -> tuple[Tried, ...]:
        """What could not be tried."""
        return tuple(t for t in self.tried if t.ok is None)


def try_workflows(
    database: Path, plan: Plan, shape: Shape, wait: float = 30.0, *, compare: bool = True
) -> Workflows:
    """Tries the workflows on the migrated SQLite file `database`, which stays as it is.

    Holds the write lock meanwhile, for about one reading of the database, if it is to `compare`;
    `wait` is how many seconds to wait for it.

    Raises:
        Refused: the write lock was not to be had.
    """
    with contextlib.closing(open_writable(database, wait)) as connection:
        hear_interrupts(connection)
        connection.execute("PRAGMA foreign_keys = ON")  # as the application's connections have it
        # The same file once more: what is committed, beside what this transaction sees.
        connection.execute("ATTACH ? AS committed", (file_uri(database, mode="ro"),))
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise Refused(
                f"The key workflows could not be tried, because {database} is locked by another "
                f"process ({error}); stop what writes to it, and run this again; nothing was "
                "changed."
            ) from error
        try:
            connection.execute("SAVEPOINT workflows")
            tried = tuple(_Trial(connection, plan, shape).all())
            connection.execute("ROLLBACK TO workflows")
            return _compared(connection, tried) if compare else Workflows(tried, (), 0, 0)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _compared(connection: sqlite3.Connection, tried: tuple[Tried, ...]) -> Workflows:
    """What was tried, with the comparison of everything in the database."""
    difference = compare_databases(connection, before="committed", samples=0)
    remains = (
        *(f"{each.type} {each.name} {each.change}" for each in difference.objects),
        *(
            f"{each.table}: {counted(each.added, 'row')} added, {each.removed} removed, "
            f"{each.rows_changed} changed"
            for each in difference.tables
        ),
    )
    return Workflows(tried, remains, difference.tables_compared, difference.rows_compared)


class _Stop(Exception):
    """Later actions on this subject need one that failed or could not be tried."""


@dataclass
class _Trial:
    """The actions, one after the other, in the open transaction."""

    connection: sqlite3.Connection
    plan: Plan
    shape: Shape

    def __post_init__(self) -> None:
        self._values = template_values(self.plan, self.shape)
        self._tables = {fold_name(t.name): t for t in read_tables(self.connection)}
        self._tried: list[Tried] = []

    def all(self) -> Iterator[Tried]:
        """Everything, subject by subject; one that stops leaves the others to be tried."""
        with self._subject("organization"):
            self._organization()
        with self._subject("membership"):
            self._membership()
        for resource in self.plan.resources:
            with self._subject(resource.table):
                self._resource(resource)
        yield from self._tried

    # -- the three subjects ------------------------------------------------------------------

    def _organization(self) -> None:
        owner, _ = self._owner()
        new = {"id": f"org-{uuid.uuid4()}", "slug": f"team-{uuid.uuid4()}", "owner": owner}
        rows = self._run("organization_create", **new, name="Runbook trial")
        self._record("organization", "create", rows == 1, f"{rows} row")
        stored = self._rows("organization_read", id=new["id"])
        known = len(stored) == 1 and stored[0][:3] == (new["id"], "Runbook trial", new["slug"])
        self._record("organization", "read", known, f"{len(stored)} row")
        rows = self._run("organization_update", id=new["id"], name="Renamed")
        stored = self._rows("organization_read", id=new["id"])
        renamed = rows == 1 and bool(stored) and stored[0][1] == "Renamed"
        self._record("organization", "update", renamed, f"{rows} row, read again")
        member = f"mem-{uuid.uuid4()}"
        self._run(
            "membership_create",
            id=member, organization=new["id"], user=owner, role="owner", inviter=None,
        )  # fmt: skip
        rows = self._run("organization_delete", id=new["id"])
        left = len(self._rows("organization_read", id=new["id"]))
        left += len(self._rows("membership_read", organization=new["id"], user=owner))
        note = f"{rows} row with its membership, {left} left"
        self._record("organization", "delete", rows >= 1 and left == 0, note)

    def _membership(self) -> None:
        owner, organization = self._owner()
        guest = self._stranger(organization)
        queries = [(r, self._query("after_by_organization", r)) for r in self.plan.resources]

        def visible_to(user: Value) -> int:
            return sum(self._count(query, (user,)) for _, query in queries)

        before, theirs = visible_to(guest), visible_to(owner)
        place = {"organization": organization, "user": guest}
        new = f"mem-{uuid.uuid4()}"
        rows = self._run("membership_create", **place, id=new, role="member", inviter=owner)
        self._record("membership", "create", rows == 1, f"{rows} row")
        stored, now = self._rows("membership_read", **place), visible_to(guest)
        note = (
            f"role {stored[0][0] if stored else 'none'}, guest sees {counted(now, 'row')}: "
            f"{before:,} own and {theirs:,} of the organization"
        )
        known = [tuple(r) for r in stored] == [("member",)] and now == before + theirs
        self._record("membership", "read", known, note)
        rows = self._run("membership_update", **place, role="viewer")
        stored = self._rows("membership_read", **place)
        changed = rows == 1 and [tuple(r) for r in stored] == [("viewer",)]
        self._record("membership", "update", changed, "role viewer")
        rows = self._run("membership_delete", **place)
        after = visible_to(guest)
        note = f"guest sees {counted(after, 'row')} again"
        self._record("membership", "delete", rows == 1 and after == before, note)

    def _resource(self, resource: Resource) -> None:
        name = resource.table
        table = self._table(name)
        like: Like | None = None
        stored = self._rows("owner_with_rows", resource)
        if stored:
            owner, organization = stored[0]
            where = f"organization_id = ? AND {quote_name(resource.owner)} = ?"
            like = Like(where, (organization, owner))
        else:
            owner, organization = self._owner()
        query = self._query("after_by_organization", resource)
        before = self._count(query, (owner,))
        fixed = {resource.owner: owner, "organization_id": organization}
        new = make_row(self.connection, table, fixed, like)
        if isinstance(new, CannotMake):
            self._record(name, "create", None, f"a valid row could not be created: {new.reason}")
            raise _Stop
        how = "like one that is there" if like else "the least that the table asks for"
        self._record(name, "create", True, f"1 row, {how}")
        now = self._count(query, (owner,))
        self._record(
            name,
            "read",
            now == before + 1,
            f"{before:,}, then {counted(now, 'row')} by the new query",
        )
        self._update(resource, table, new, owner)
        rows = self.connection.execute(
            f"DELETE FROM {quote_name(name)} WHERE {new.where} AND {_MINE}", (*new.key, owner)
        ).rowcount
        after = self._count(query, (owner,))
        note = f"{counted(after, 'row')} again"
        self._record(name, "delete", rows == 1 and after == before, note)

    def _update(self, resource: Resource, table: Table, new: NewRow, owner: Value) -> None:
        """Changes the new row through the organization, in a column that lets itself be changed."""
        target = quote_name(table.name)
        reason = "no column could be changed"
        for column, expression in self._changes(resource, table):
            name = quote_name(column)
            if self._set_by_trigger(table.name, column):
                continue  # whatever is written, its trigger has the last word
            self.connection.execute("SAVEPOINT one_change")
            try:
                (meant,) = self._one(
                    f"SELECT {expression} FROM {target} WHERE {new.where}", new.key
                )
                rows = self.connection.execute(
                    f"UPDATE {target} SET {name} = ? WHERE {new.where} AND {_MINE}",
                    (meant, *new.key, owner),
                ).rowcount
                (same,) = self._one(
                    f"SELECT {name} IS ? FROM {target} WHERE {new.where}", (meant, *new.key)
                )
            except sqlite3.Error as error:
                self.connection.execute("ROLLBACK TO one_change")
                reason = str(error)
            else:
                note = f'"{column}" of {rows} row, read again'
                self._record(table.name, "update", rows == 1 and bool(same), note)
                return
            finally:
                self.connection.execute("RELEASE one_change")
        self._record(table.name, "update", None, reason, stop=False)

    def _set_by_trigger(self, table: str, column: str) -> bool:
        """Whether an update of this column has a trigger write the same column of this table."""
        writes: set[tuple[str, str]] = set()

        def note(
            action: int, where: str | None, what: str | None, _: str | None, by: str | None
        ) -> None:
            if by and where and action in (sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_INSERT):
                whole = action == sqlite3.SQLITE_INSERT  # INSERT OR REPLACE writes every column
                writes.add((fold_name(where), "*" if whole else fold_name(what or "")))

        name = quote_name(column)
        try:
            with note_compiling(self.connection, note):
                self.connection.execute(f"EXPLAIN UPDATE {quote_name(table)} SET {name} = {name}")
        except sqlite3.Error:
            return False  # the real one says what is wrong
        return bool({(fold_name(table), fold_name(column)), (fold_name(table), "*")} & writes)

    def _changes(self, resource: Resource, table: Table) -> Iterator[tuple[str, str]]:
        """Columns that may be changed, with their new value; the likeliest to be let first."""
        taken = {fold_name(c.name) for c in table.columns if c.primary_key_position}
        taken |= {fold_name(resource.owner), "organization_id"}
        taken |= {
            fold_name(str(child))
            for (child,) in self.connection.execute(
                'SELECT "from" FROM pragma_foreign_key_list(?)', (table.name,)
            )
        }
        columns = [c.name for c in table.columns if c.generated == "no"]
        columns = [c for c in columns if fold_name(c) not in taken]
        if resource.updated_at:
            columns.sort(key=lambda c: same_name(c, resource.updated_at or ""))
        for column in columns:
            name = quote_name(column)
            yield (
                column,
                (
                    f"CASE typeof({name}) WHEN 'text' THEN {name} || ' (changed)'"
                    f" WHEN 'integer' THEN {name} + 1 WHEN 'real' THEN {name} + 1.0"
                    f" WHEN 'blob' THEN randomblob(length({name})) ELSE 'changed' END"
                ),
            )
        # Nothing lets itself be changed: it may still be moved to where it is.
        yield "organization_id", "organization_id"

    @contextlib.contextmanager
    def _subject(self, name: str) -> Iterator[None]:
        try:
            yield
        except _Stop:
            pass
        except sqlite3.Error as error:
            done = [t.action for t in self._tried if t.subject == name]
            actions = ("create", "read", "update", "delete")
            at = next((a for a in actions if a not in done), "delete")
            # What only the application's own connections know is no fault of the application.
            ours = re.match(r"no such (function|collation|module)", str(error))
            self._tried.append(Tried(name, at, None if ours else False, str(error)))

    def _record(
        self, subject: str, action: str, ok: bool | None, note: str, *, stop: bool = True
    ) -> None:
        self._tried.append(Tried(subject, action, ok, note))
        if ok is False and stop:
            raise _Stop

    def _owner(self) -> tuple[Value, Value]:
        """A user with a personal organization, and that organization."""
        stored = self._rows("owner")
        if not stored:
            self._record("organization", "create", None, "no user has a personal organization yet")
            raise _Stop
        return stored[0][0], stored[0][1]

    def _stranger(self, organization: Value) -> Value:
        """A user who is no member; made on the spot where everybody is."""
        stored = self._rows("stranger", organization=organization)
        if not stored:
            users = self.plan.users
            anybody = Like(f"{quote_name(users.key)} IS NOT NULL", ())
            new = make_row(self.connection, self._table(users.table), {}, anybody)
            if isinstance(new, CannotMake):
                self._record(
                    "membership",
                    "create",
                    None,
                    f"a second user could not be created: {new.reason}",
                )
                raise _Stop
            stored = self._rows("stranger", organization=organization)
        value: Value = stored[0][0]
        return value

    def _table(self, name: str) -> Table:
        return self._tables[fold_name(name)]

    def _query(self, name: str, resource: Resource) -> str:
        """One of the application's queries for this resource."""
        return sql_file(f"queries/{name}").render(
            **self._values, resource=self._subject_of(resource)
        )

    def _subject_of(self, resource: Resource) -> object:
        subjects = self._values["resources"]
        assert isinstance(subjects, list)
        return subjects[self.plan.resources.index(resource)]

    def _rows(self, name: str, resource: Resource | None = None, /, **bound: Value) -> list[Any]:
        values = dict(self._values)
        if resource is not None:
            values["resource"] = self._subject_of(resource)
        sql = sql_file(f"workflows/{name}").render(**values)
        return self.connection.execute(sql, bound).fetchall()

    def _run(self, name: str, /, **bound: Value) -> int:
        return self.connection.execute(sql_file(f"workflows/{name}").render(), bound).rowcount

    def _one(self, sql: str, values: tuple[Value, ...]) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self.connection.execute(sql, values).fetchone()
        return row or (None,)

    def _count(self, query: str, values: tuple[Value, ...]) -> int:
        return int(self._one(f"SELECT count(*) FROM (\n{query}\n)", values)[0] or 0)


_MINE = """organization_id IN (
    SELECT om.organization_id
    FROM organization_memberships AS om
    JOIN organizations AS o ON o.id = om.organization_id
    WHERE om.user_id = ? AND o.type = 'personal'
)"""
