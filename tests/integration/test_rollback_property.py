"""Random databases and random later edits: migrated, edited and rolled back is just edited."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, example, given, settings
from hypothesis import strategies as st

from runbook.audit.later_writes import instant
from runbook.errors import Refused
from runbook.migration.assess import assess
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.migration.rollback import roll_back
from runbook.plan.plan import Plan, Proof, Resource, Unowned, Users
from runbook.plan.shape import read_backup_shape
from runbook.sqlite.quoting import quote_name
from runbook.sqlite.tables import read_objects, read_tables
from runbook.targets.sqlite import SqliteTarget
from tests.support.luck import examples

VALUES = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.sampled_from([2**53 + 1, 2**63 - 1, 1.0, 0.0, -0.0, float(2**53), float("inf")]),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.sampled_from(["a", "A", "a ", "1", "1.0", "", "\0", "e\u0301", "\u00e9"]),
    st.binary(max_size=3),
)
KEYS = {
    "TEXT": ["u1", "U1", "u 1", "ü", "", "o'u", "007"],
    "INTEGER": [1, -7, 0, 2**53 + 1, 42, 43, 44],
    "BLOB": [b"\0", b"\0\0", b"u1", b"\xff", b"", b"a", b"b"],
}
NAMES = ["projects", 'pro"jects', "select", "Ünï", "a b", "x.y"]
SHAPES = ["integer key", "text key", "without rowid", "no key", "unique"]
FORMATS = {
    None: [],
    "text": ["2020-01-02 03:04:05", "2021-01-02 03:04:05", "1999-12-31 23:59:59", None],
    "iso": ["2020-01-02T03:04:05.678Z", "2021-01-02T03:04:05.000Z"],
    "epoch": [1577934245, 1609556645, None],
}
PLANNED = {
    "text": "YYYY-MM-DD HH:MM:SS",
    "iso": "YYYY-MM-DDTHH:MM:SS.sssZ",
    "epoch": "epoch seconds",
}
LATER = {"text": "2031-01-01 00:00:00", "iso": "2031-01-01T00:00:00.000Z", "epoch": 1924992000}


@dataclass(frozen=True)
class Table:
    """A random resource: its rows are (number, owner's position or None, value, updated_at)."""

    name: str
    shape: str
    strict: bool
    collation: str
    format: str | None
    value: str
    rows: list[tuple[int, int | None, object, object]]

    @property
    def create(self) -> str:
        strict = self.strict
        key = {
            "integer key": '"k" INTEGER PRIMARY KEY',
            "text key": f'"k" TEXT {self.collation} PRIMARY KEY',
            "without rowid": f'"k" TEXT {self.collation} PRIMARY KEY',
            "no key": '"k" TEXT',
            "unique": f'"k" TEXT {self.collation} UNIQUE',
        }[self.shape]
        columns = [key, '"own ""er" ' + ("ANY" if strict else ""), f'"v" {"ANY" if strict else ""}']
        if not strict:
            columns[2] = f'"v" {self.value}'
        if self.format:
            kind = "INTEGER" if self.format == "epoch" else "TEXT"
            columns.insert(1, f'"changed at" {kind}')
        options = (["WITHOUT ROWID"] if self.shape == "without rowid" else []) + (
            ["STRICT"] if strict else []
        )
        return f"CREATE TABLE {quote_name(self.name)} ({', '.join(columns)}) {', '.join(options)}"

    def key(self, number: int) -> object:
        return number if self.shape == "integer key" else f"key {number}"


@dataclass(frozen=True)
class Edit:
    """One later write: `kind` is update, insert or delete; `stamp` what updated_at becomes."""

    kind: str
    where: str
    number: int
    value: object
    stamp: str


@dataclass(frozen=True)
class Case:
    key_type: str
    users_shape: str
    email: bool
    users: int
    tables: list[Table]
    adopt: bool
    wal: bool
    encoding: str
    edits: list[Edit]

    @property
    def plan(self) -> Plan:
        adopter = KEYS[self.key_type][0]
        text = adopter.hex() if isinstance(adopter, bytes) else str(adopter)
        return Plan(
            users=Users('us"ers', "the id", "e-mail" if self.email else None),
            resources=tuple(
                Resource(t.name, 'own "er', "changed at", PLANNED[t.format])
                if t.format
                else Resource(t.name, 'own "er')
                for t in self.tables
            ),
            unowned=Unowned("adopt", text) if self.adopt else Unowned(),
            proof=Proof(),
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    users = draw(st.integers(1, 5))
    adopt = draw(st.booleans())
    key_type = draw(st.sampled_from(sorted(KEYS)))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True))
    owner = st.integers(0, users - 1)
    owners = st.one_of(owner, st.none()) if adopt else owner
    tables = []
    for name in names:
        form = draw(st.sampled_from(sorted(FORMATS, key=str)))
        times = st.sampled_from(FORMATS[form]) if form else st.none()
        rows = draw(st.lists(st.tuples(owners, VALUES, times), min_size=2, max_size=6))
        tables.append(
            Table(
                name,
                draw(st.sampled_from(SHAPES)),
                draw(st.booleans()),
                draw(st.sampled_from(["", "COLLATE NOCASE", "COLLATE RTRIM"])),
                form,
                draw(st.sampled_from(["", "TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB"])),
                [(n, *row) for n, row in enumerate(rows)],
            )
        )
    places = [*names, *names, 'us"ers', "notes"]
    edits = draw(
        st.lists(
            st.builds(
                Edit,
                st.sampled_from(["update", "insert", "delete"]),
                st.sampled_from(places),
                st.integers(0, 5),
                VALUES,
                st.sampled_from(["later", "same second", "null"]),
            ),
            min_size=1,
            max_size=10,
            unique_by=lambda e: (e.where, e.number),
        )
    )
    return Case(
        key_type,
        draw(st.sampled_from(["rowid", "without rowid"])),
        draw(st.booleans()),
        users,
        tables,
        adopt,
        draw(st.booleans()),
        draw(st.sampled_from(["UTF-8", "UTF-16le"])),
        edits,
    )


def build(path: Path, case: Case) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA encoding = '{case.encoding}'")
        connection.execute(f"PRAGMA journal_mode = {'WAL' if case.wal else 'DELETE'}")
        email = ', "e-mail"' if case.email else ""
        tail = " WITHOUT ROWID" if case.users_shape == "without rowid" else ""
        connection.execute(
            f'CREATE TABLE "us""ers" ("the id" {case.key_type} PRIMARY KEY, name{email}){tail}'
        )
        connection.execute("CREATE TABLE notes (n INTEGER PRIMARY KEY AUTOINCREMENT, body)")
        connection.execute("CREATE VIEW readers AS SELECT body FROM notes")
        keys = KEYS[case.key_type]
        for n in range(case.users):
            values = [keys[n], f"name {n}", *([f"u{n}@example.com"] if case.email else [])]
            marks = ", ".join("?" * len(values))
            connection.execute(f'INSERT INTO "us""ers" VALUES ({marks})', values)
        connection.execute("INSERT INTO notes (body) VALUES (1), ('two'), (NULL)")
        for table in case.tables:
            connection.execute(table.create)
            for number, owner, value, at in table.rows:
                put(connection, table, number, None if owner is None else keys[owner], value, at)
            connection.execute(
                f'CREATE INDEX {quote_name("i " + table.name)} ON {quote_name(table.name)} ("v")'
            )


def put(
    connection: sqlite3.Connection,
    table: Table,
    number: int,
    owner: object,
    value: object,
    at: object,
) -> None:
    values = {"k": table.key(number), 'own "er': owner, "v": value}
    if table.format:
        values["changed at"] = at
    names = ", ".join(map(quote_name, values))
    marks = ", ".join("?" * len(values))
    connection.execute(
        f"INSERT INTO {quote_name(table.name)} ({names}) VALUES ({marks})", tuple(values.values())
    )


def change(path: Path, case: Case, instants: dict[str, object]) -> None:
    """The later edits, the same for a migrated database and one that never was."""
    tables = {t.name: t for t in case.tables}
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for n, edit in enumerate(case.edits):
            if edit.where == "notes":
                change_notes(connection, edit)
            elif edit.where in tables:
                table = tables[edit.where]
                at = {"same second": instants[table.name], "null": None}.get(
                    edit.stamp, LATER.get(table.format or "")
                )
                # In the same second an edit shows by its value alone, so that one is new.
                value = f"edit {n}" if edit.stamp == "same second" else edit.value
                change_resource(connection, table, edit, value, at)
            else:
                change_users(connection, case, edit)


def change_notes(connection: sqlite3.Connection, edit: Edit) -> None:
    if edit.kind == "update":
        connection.execute("UPDATE notes SET body = ? WHERE n = ?", (edit.value, edit.number))
    elif edit.kind == "insert":
        connection.execute("INSERT INTO notes (body) VALUES (?)", (edit.value,))
    else:
        connection.execute("DELETE FROM notes WHERE n = ?", (edit.number,))


def change_users(connection: sqlite3.Connection, case: Case, edit: Edit) -> None:
    if edit.kind == "update":
        connection.execute(
            'UPDATE "us""ers" SET name = ? WHERE name = ?', (edit.value, f"name {edit.number}")
        )
    elif edit.kind == "insert":
        key = {"TEXT": "new", "INTEGER": 99, "BLOB": b"new"}[case.key_type]
        sql = 'INSERT OR IGNORE INTO "us""ers" ("the id", name) VALUES (?, ?)'
        connection.execute(sql, (key, edit.value))
    else:
        connection.execute('DELETE FROM "us""ers" WHERE name = ?', (f"name {edit.number}",))


def change_resource(
    connection: sqlite3.Connection, table: Table, edit: Edit, value: object, at: object
) -> None:
    name = quote_name(table.name)
    key = table.key(edit.number)
    if edit.kind == "update":
        stamp = ', "changed at" = :at' if table.format else ""
        connection.execute(
            f'UPDATE {name} SET "v" = :value{stamp} WHERE "k" = :key',
            {"value": value, "at": at, "key": key},
        )
    elif edit.kind == "delete":
        connection.execute(f'DELETE FROM {name} WHERE "k" = ?', (key,))
    elif not connection.execute(f'SELECT 1 FROM {name} WHERE "k" = ?', (key,)).fetchone():
        put(connection, table, edit.number, "whoever", value, at)


def everything(path: Path) -> dict[str, object]:
    """All that a database holds, exactly: rows with rowids and storage classes, and the schema."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        held: dict[str, object] = {"schema": read_objects(connection)}
        for table in read_tables(connection):
            if table.kind != "table":
                continue
            order = quote_name(table.rowid) if table.rowid else '"the id"'
            if table.without_rowid:
                order = quote_name(table.key[0])
            cells = ", ".join([order, *map(quote_name, table.column_names)])
            rows = connection.execute(f"SELECT {cells} FROM {quote_name(table.name)} ORDER BY 1")
            held[table.name] = [[(type(cell), repr(cell)) for cell in row] for row in rows]
        return held


def keys_by_rowid(path: Path, case: Case) -> dict[tuple[str, int], object]:
    """Which row has which rowid in the tables that declare no key."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            (table.name, rowid): key
            for table in case.tables
            if table.shape == "no key"
            for rowid, key in connection.execute(f'SELECT rowid, "k" FROM {quote_name(table.name)}')
        }


REUSED = Case(
    key_type="TEXT",
    users_shape="rowid",
    email=False,
    users=2,
    tables=[
        Table("a b", "no key", False, "", None, "TEXT", [(0, None, -2, None), (1, 1, 1, None)])
    ],
    adopt=True,
    wal=True,
    encoding="UTF-16le",
    edits=[Edit("delete", "a b", 1, None, "later"), Edit("insert", "a b", 5, "x", "later")],
)
"""The new row takes the rowid of the deleted one, and nothing else tells them apart."""


@settings(
    deadline=None,
    max_examples=examples(40),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
    suppress_health_check=list(HealthCheck),
)
@example(REUSED)
@given(cases())
def test_rollback_of_edits_of_a_migration_is_the_edits(case: Case) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database, plain, backup = folder / "app.db", folder / "plain.db", folder / "backup.db"
        build(database, case)
        target, plan = SqliteTarget(database), case.plan
        target.backup(backup)
        target.backup(plain)
        before = everything(plain)
        migrate(Job(target, plan, "run", backup))
        assert everything(database) != before
        shape = read_backup_shape(backup, plan)
        with closing(sqlite3.connect(database)) as connection:
            instants = {
                r.table: instant(connection, plan, shape, r) if r.updated_at else None
                for r in plan.resources
            }
        keys = keys_by_rowid(database, case)
        change(database, case, instants)
        change(plain, case, instants)
        job = Job(target, plan, "run", backup)
        counted = assess(job)
        changed = everything(database)
        # In a table without a key, a new row under the rowid of a deleted one is that row, edited:
        # that it has no organization may be what a user wants, and is not discarded unasked.
        now = keys_by_rowid(database, case)
        reused = sum(place in keys and keys[place] != key for place, key in now.items())
        if reused:
            with pytest.raises(Refused, match=rf" and {reused} of the assignments "):
                roll_back(job, folder / "exports")
            assert everything(database) == changed
        record = roll_back(job, folder / "exports", discard_organizations=reused > 0)
        expected = everything(plain)
        assert everything(database) == expected
        assert (expected == before) <= (counted.lost_by_restore == 0)
        assert record.done
        assert record.restored == counted.restored
        assert record.kept == counted.kept
        event(f"kept {min(record.kept, 2)}, restored {record.restored > 0}")
        # And once more, from the start.
        again = folder / "again.db"
        target.backup(again)
        shutil.rmtree(folder / "exports")
        if not any(e.where in {t.name for t in case.tables} | {'us"ers'} for e in case.edits):
            migrate(Job(target, plan, "again", again))
            roll_back(Job(target, plan, "again", again), folder / "exports")
            assert everything(database) == expected
