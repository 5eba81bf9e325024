"""Random writes before and after the migration, with an oracle that says what must become of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from runbook.errors import NotProven, Refused
from runbook.migration.assess import assess
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.migration.rollback import roll_back
from runbook.plan.plan import Plan, Resource, Users
from runbook.sqlite.cells import decode
from runbook.sqlite.quoting import quote_name
from runbook.targets.sqlite import SqliteTarget
from tests.support.databases import connected, dump, execute

SHAPES = {
    "integer key": "k INTEGER PRIMARY KEY, {columns}) ",
    "text key": "k TEXT PRIMARY KEY, {columns})",
    "no key": "k, {columns})",
    "without rowid": "k TEXT PRIMARY KEY, {columns}) WITHOUT ROWID",
    "strict": "k TEXT PRIMARY KEY, {columns}) STRICT",
}
KEYS = {"TEXT": ["a", "", "ü"], "INTEGER": [0, -7, 2**53 + 1], "BLOB": [b"", b"\0", b"u"]}
NAMES = ["items", 'it"ems', "select", "a b"]
VALUES = st.one_of(st.none(), st.integers(-9, 9), st.text("ab'\"\0é", max_size=3))
TIMES = st.sampled_from(["2020-01-02 03:04:05", "2031-01-02 03:04:05", None])
SETTINGS = settings(
    deadline=None,
    max_examples=15,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
    suppress_health_check=list(HealthCheck),
)


class Case:
    """A random database: rows are numbered, row n belongs to user n modulo three."""

    def __init__(self, data: st.DataObject, folder: Path) -> None:
        self.folder, self.data = folder, data
        self.shape = data.draw(st.sampled_from(sorted(SHAPES)))
        self.kind = data.draw(st.sampled_from(sorted(KEYS)))
        self.name = data.draw(st.sampled_from(NAMES))
        self.table = quote_name(self.name)
        self.path = folder / "app.db"
        self.plan = Plan(
            users=Users("users", "id"), resources=(Resource(self.name, 'ow"ner', "at"),)
        )
        self.rows = data.draw(st.integers(2, 5))
        with connected(self.path) as connection:
            journal = data.draw(st.sampled_from(["WAL", "DELETE"]))
            connection.execute(f"PRAGMA journal_mode = {journal}")
            connection.execute(f"CREATE TABLE users (id {self.kind} PRIMARY KEY, name TEXT)")
            connection.execute("CREATE TABLE other (n INTEGER PRIMARY KEY AUTOINCREMENT, body)")
            connection.execute("INSERT INTO other (body) VALUES (1), ('1'), (NULL)")
            columns = f'"ow""ner" {self.kind}, at TEXT, title TEXT'
            if data.draw(st.booleans()):
                columns += ", day TEXT AS (substr(at, 1, 10)) STORED"
            body = SHAPES[self.shape].format(columns=columns)
            connection.execute(f"CREATE TABLE {self.table} ({body}")
            connection.executemany("INSERT INTO users (id) VALUES (?)", [(k,) for k in self.keys])
            for n in range(self.rows):
                self.insert(connection, n, self.keys[n % 3], data.draw(TIMES))
        self.target = SqliteTarget(self.path)
        self.job = Job(self.target, self.plan, "run", folder / "backup.db")
        self.target.backup(self.job.backup)

    @property
    def keys(self) -> list[object]:
        return list(KEYS[self.kind])

    def insert(self, connection, n: int, owner: object, at: object, **more: object) -> None:  # type: ignore[no-untyped-def]
        values = {"k": n, 'ow"ner': owner, "at": at, "title": f"t{n}", **more}
        names = ", ".join(map(quote_name, values))
        marks = ", ".join("?" * len(values))
        connection.execute(
            f"INSERT INTO {self.table} ({names}) VALUES ({marks})", tuple(values.values())
        )

    def row(self) -> str:
        """The condition for one random row."""
        return f"title = 't{self.data.draw(st.integers(0, self.rows - 1))}'"


def write_before(case: Case) -> None:
    """One random write to anything in the database."""
    draw = case.data.draw
    where = case.row()
    column = draw(st.sampled_from(["at", "title", 'ow"ner', "row", "user", "other", "file"]))
    with connected(case.path) as connection:
        if column == "row":
            if draw(st.booleans()):
                case.insert(connection, 99, case.keys[0], draw(TIMES))
            else:
                connection.execute(f"DELETE FROM {case.table} WHERE {where}")
        elif column == "user":
            key, name = draw(st.sampled_from(case.keys)), draw(VALUES)
            connection.execute("UPDATE users SET name = ? WHERE id = ?", (name, key))
        elif column == "other":
            statement = draw(
                st.sampled_from(
                    [
                        "UPDATE other SET body = 1.0 WHERE n = 1",
                        "INSERT INTO other DEFAULT VALUES",
                        "UPDATE sqlite_sequence SET seq = seq + 1",
                        "DELETE FROM other WHERE n = 3",
                    ]
                )
            )
            connection.execute(statement)
        elif column == "file":
            setting = draw(st.sampled_from(["user_version", "application_id"]))
            connection.execute(f"PRAGMA {setting} = {draw(st.integers(0, 3))}")
        else:
            value = draw({"at": TIMES, "title": VALUES}.get(column, st.sampled_from(case.keys)))
            connection.execute(
                f"UPDATE {case.table} SET {quote_name(column)} = ? WHERE {where}", (value,)
            )


def state(path: Path) -> tuple[object, ...]:
    with connected(path) as connection:
        pragmas = [
            connection.execute(f"PRAGMA {name}").fetchone()
            for name in ("user_version", "application_id")
        ]
    return dump(path), pragmas


@SETTINGS
@given(st.data())
def test_whatever_is_written_before_the_first_step_is_refused(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        case = Case(data, Path(name))
        before = state(case.path)
        write_before(case)
        written = state(case.path)
        if written == before:
            assert migrate(case.job).committed
            return
        with pytest.raises(NotProven):
            migrate(case.job)
        assert state(case.path) == written


def write_after(case: Case, organizations: dict[object, str]) -> dict[str, tuple[object, ...]]:
    """Some random writes to assignments; what must be exported, by title.

    The oracle follows each row: an assignment is the users' own if it is neither what the rule
    gives to the owner of now, nor what it gave to the owner of before.
    """
    draw = case.data.draw
    users = case.keys
    rows: dict[str, tuple[object, object, object]] = {
        f"t{n}": (users[n % 3], users[n % 3], organizations[users[n % 3]]) for n in range(case.rows)
    }
    with connected(case.path) as connection:
        for _ in range(draw(st.integers(1, 4))):
            kind = draw(st.sampled_from(["move", "own", "new", "delete", "edit"]))
            title = draw(st.sampled_from(sorted(rows))) if rows else ""
            to = draw(st.sampled_from([*organizations.values(), None]))
            user = draw(st.sampled_from([*users, None]))
            if kind == "new":
                title = f"t{100 + len(rows)}"
                number = int(title[1:])
                case.insert(connection, number, user, None, organization_id=to)
                rows[title] = (None, user, to)
            elif not title:
                continue
            elif kind == "delete":
                connection.execute(f"DELETE FROM {case.table} WHERE title = ?", (title,))
                del rows[title]
            elif kind == "edit":
                connection.execute(f"UPDATE {case.table} SET at = NULL WHERE title = ?", (title,))
            else:
                column = "organization_id" if kind == "move" else 'ow"ner'
                value = to if kind == "move" else user
                connection.execute(
                    f"UPDATE {case.table} SET {quote_name(column)} = ? WHERE title = ?",
                    (value, title),
                )
                was, owner, organization = rows[title]
                rows[title] = (was, owner, to) if kind == "move" else (was, user, organization)
    expected = {}
    for title, (was, owner, organization) in rows.items():
        by_rule = [None if u is None else organizations[u] for u in (was, owner)]
        new = int(title[1:]) >= 100
        if new:
            lost = organization is not None and organization != by_rule[1]
        else:
            lost = organization not in by_rule
        if lost:
            expected[title] = (owner, organization)
    return expected


@SETTINGS
@given(st.data())
def test_assignments_are_exported_and_refused_as_the_oracle_says(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        case = Case(data, Path(name))
        migrate(case.job)
        with connected(case.path) as connection:
            owners = connection.execute("SELECT owner_id, id FROM organizations").fetchall()
        organizations = dict(owners)
        for user in case.keys:
            organizations.setdefault(user, f"org-{user}")
        expected = write_after(case, organizations)
        exports = case.folder / "exports"
        assert assess(case.job).assignments == len(expected)
        if expected:
            migrated = dump(case.path)
            with pytest.raises(Refused, match="assignments"):
                roll_back(case.job, exports)
            assert dump(case.path) == migrated
        record = roll_back(case.job, exports, discard_organizations=bool(expected))
        assert record.done
        exported = [
            (decode(row['ow"ner']), decode(row["organization_id"]))
            for file in exports.glob("assignments-*.parquet")
            for row in pq.read_table(file).to_pylist()
        ]
        assert sorted(exported, key=repr) == sorted(expected.values(), key=repr)
        execute(case.path, f"SELECT k FROM {case.table}")
