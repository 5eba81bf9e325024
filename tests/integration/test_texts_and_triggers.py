"""The way back leaves the texts of the schema word for word, and triggers in their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.errors import NotProven
from runbook.migration import rollback as acts
from runbook.run.folder import Run
from runbook.sqlite.tables import read_objects
from runbook.stages import migrate, rehearse, rollback, verify
from tests.support.databases import connected, dump, execute
from tests.support.runs import agreed, begin, until_snapshot

PLAN = """
[users]
table = "users"
key = "id"

[[resources]]
table = "tickets"
owner = "user_id"
updated_at = "updated_at"

[triggers]
policy = "suspend"
"""
USERS = (
    "CREATE TABLE users (id TEXT PRIMARY KEY)",
    "INSERT INTO users VALUES ('u1'), ('u2')",
    'CREATE TABLE history (line INTEGER PRIMARY KEY, what TEXT DEFAULT "none")',
)
SHAPES = {
    "integer key": "(id INTEGER PRIMARY KEY, {columns})",
    "text key": '("id" TEXT PRIMARY KEY, {columns})',
    "without rowid": "(id TEXT PRIMARY KEY, {columns}) WITHOUT ROWID",
    "strict": "(id TEXT PRIMARY KEY, {columns}) STRICT",
}
COLUMNS = (
    'user_id TEXT NOT NULL, state TEXT DEFAULT "open" CHECK (state IN ("open", "it""s", \'shut\')),'
    ' updated_at TEXT, "odd ""name" TEXT'
)
LITERALS = (
    'CREATE VIEW tickets_open AS SELECT id, "state" FROM tickets WHERE state = "open"',
    'CREATE TRIGGER tickets_history AFTER INSERT ON tickets BEGIN INSERT INTO history (what) VALUES ("new " || NEW.id); END',
    'CREATE INDEX "tickets ""shut" ON tickets (user_id) WHERE state = "shut"',
    'CREATE TABLE "other ""one" (a DEFAULT "b", CHECK (a <> "c"))',
    'CREATE VIEW chained AS SELECT id FROM tickets_open WHERE "state" = "open"',
)
ORDER = (
    "CREATE TRIGGER on_any AFTER UPDATE ON tickets BEGIN INSERT INTO history (what) VALUES ('any'); END",
    "CREATE TRIGGER on_state AFTER UPDATE OF state ON tickets BEGIN INSERT INTO history (what) VALUES ('state'); END",
    'CREATE TRIGGER "a ""third" BEFORE UPDATE OF state ON tickets WHEN NEW.state = "open" BEGIN INSERT INTO history (what) VALUES (\'third\'); END',
)


def file_of(run: Run) -> Path:
    return Path(run.info.database)


def start(tmp_path: Path, shape: str, *statements: str, journal: str = "DELETE") -> Run:
    path = tmp_path / "app.db"
    execute(
        path,
        f"PRAGMA journal_mode = {journal}",
        *USERS,
        f"CREATE TABLE tickets {SHAPES[shape].format(columns=COLUMNS)}",
        "INSERT INTO tickets (id, user_id, state, updated_at) VALUES (1, 'u1', 'open', '2024-01-01 00:00:00'),"
        " (2, 'u2', 'shut', NULL)",
        *statements,
    )
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    return begin(path, tmp_path / "run", tmp_path / "plan.toml")


def sorted_dump(run: Run) -> list[str]:
    """What the database holds; suspended triggers stand behind other objects afterwards."""
    return sorted(dump(file_of(run)).splitlines())


def fired(path: Path) -> list[str]:
    """What the triggers write into the journal, in their order; it is taken back."""
    with connected(path) as connection:
        connection.execute("BEGIN")
        connection.execute("UPDATE tickets SET state = 'open' WHERE id = 1")
        rows = connection.execute("SELECT what FROM history ORDER BY line").fetchall()
        connection.execute("ROLLBACK")
    return [what for (what,) in rows]


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize("shape", SHAPES)
def test_texts_come_back_word_for_word(tmp_path: Path, shape: str, journal: str) -> None:
    run = start(tmp_path, shape, *LITERALS, *ORDER, journal=journal)
    before, order = sorted_dump(run), fired(file_of(run))
    until_snapshot(run)
    rehearse.rehearse(run)
    migrate.migrate(run, agreed(run))
    assert fired(file_of(run)) == order
    assert verify.verify(run).verdict == "pass"
    rollback.rollback(run, agreed(run))
    assert sorted_dump(run) == before
    assert fired(file_of(run)) == order
    with connected(file_of(run)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("INSERT INTO tickets (id, user_id) VALUES (7, 'u1')")
        state = connection.execute("SELECT state FROM tickets WHERE id = '7'").fetchone()
        assert state == ("open",)


@pytest.mark.parametrize("shape", SHAPES)
def test_texts_that_the_application_made_since_stay_as_they_are(tmp_path: Path, shape: str) -> None:
    run = until_snapshot(start(tmp_path, shape))
    migrate.migrate(run, agreed(run))
    execute(file_of(run), *LITERALS, *ORDER)
    with connected(file_of(run)) as connection:
        since = {o.name: o for o in read_objects(connection)}
    order = fired(file_of(run))
    rollback.rollback(run, agreed(run))
    with connected(file_of(run)) as connection:
        left = {o.name: o for o in read_objects(connection)}
    names = ["tickets_open", "tickets_history", 'tickets "shut', 'other "one', "chained", "on_any"]
    assert {n: left[n] for n in names} == {n: since[n] for n in names}
    assert fired(file_of(run)) == order
    # Everybody else reads the restored texts as well.
    execute(file_of(run), 'INSERT INTO "other ""one" DEFAULT VALUES')


def test_a_text_that_is_not_restored_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = until_snapshot(start(tmp_path, "integer key", *LITERALS))
    migrate.migrate(run, agreed(run))
    before = dump(file_of(run))
    monkeypatch.setattr(acts, "rewritten_objects", lambda connection: ())
    with pytest.raises(NotProven, match="is not what it must be again"):
        rollback.rollback(run, agreed(run))
    assert dump(file_of(run)) == before


@pytest.mark.parametrize("stage", ["migrate", "rollback"])
def test_another_order_of_triggers_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    run = until_snapshot(start(tmp_path, "integer key", *ORDER))
    if stage == "rollback":
        migrate.migrate(run, agreed(run))
    before = dump(file_of(run))
    with monkeypatch.context() as patched:
        swap(patched)
        with pytest.raises(NotProven, match="fire in another order"):
            (migrate.migrate if stage == "migrate" else rollback.rollback)(run, agreed(run))
    assert dump(file_of(run)) == before


def swap(patched: pytest.MonkeyPatch) -> None:
    """Creates suspended triggers again in the opposite order."""
    from runbook.migration import rollback as back
    from runbook.script import migration

    def turned(*_: object) -> tuple[object, ...]:
        return tuple(reversed(plain(*_)))

    plain = back.suspended_triggers
    patched.setattr(back, "suspended_triggers", turned)
    values = migration.template_values

    def template_values(*args: object, **named: object) -> dict[str, object]:
        given = values(*args, **named)  # type: ignore[arg-type]
        given["suspended"] = list(reversed(given["suspended"]))  # type: ignore[call-overload]
        return given

    patched.setattr(migration, "template_values", template_values)


AFTER_THE_SNAPSHOT = {
    "another text": ("DROP TRIGGER on_any", ORDER[0].replace("'any'", "'every'")),
    "one blank more": ("DROP TRIGGER on_any", ORDER[0].replace("INSERT ", "INSERT  ")),
    "another order": ("DROP TRIGGER on_any", ORDER[0]),
    "one less": ("DROP TRIGGER on_state",),
    "one that does not fire by then": (
        "CREATE TRIGGER later BEFORE DELETE ON tickets BEGIN SELECT 1; END",
    ),
    "one of another table": ("CREATE TRIGGER later AFTER INSERT ON history BEGIN SELECT 1; END",),
}


@pytest.mark.parametrize("change", AFTER_THE_SNAPSHOT.values(), ids=AFTER_THE_SNAPSHOT)
def test_a_trigger_changed_after_the_snapshot_is_not_put_back(
    change: tuple[str, ...], tmp_path: Path
) -> None:
    """Suspended triggers are made anew from the backup: what the application changed would be lost."""
    run = until_snapshot(start(tmp_path, "text key", *ORDER))
    execute(file_of(run), *change)
    before, order = dump(file_of(run)), fired(file_of(run))
    with pytest.raises(NotProven, match=r"trigger.* take a new snapshot"):
        migrate.migrate(run, agreed(run))
    assert dump(file_of(run)) == before
    assert fired(file_of(run)) == order
