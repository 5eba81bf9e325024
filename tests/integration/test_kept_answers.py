"""What a process keeps meets nothing that has changed since: a warm process says what a new one does."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runbook import __version__
from runbook.audit import duckdb_session
from runbook.audit.duckdb_session import one_duckdb, open_duckdb
from runbook.audit.snapshot import capture
from runbook.cache import Cache
from runbook.errors import RunFolderError
from runbook.files import write_sealed
from runbook.fleet.plan_digest import digest_of_plan
from runbook.fleet.records import Order
from runbook.plan.plan import Plan
from runbook.plan.shape import Shape
from runbook.run.json_form import read_part, read_record, to_json
from runbook.run.stage import StageRecord
from runbook.script.migration import render
from runbook.script.new_objects import new_objects
from runbook.sqlite.tables import read_tables
from tests.support.databases import connected, execute
from tests.support.faults.harness import environment
from tests.support.fleets import SCHEMA, copy_folder, make_tenant, outcome_of

OTHER_PLAN = """
[migration]
name = "0006_other"
[users]
table = "users"
key = "id"
[[resources]]
table = "projects"
owner = "owner_id"
[organizations]
for = "all_users"
"""

CHANGED = (
    "CREATE VIEW shown AS SELECT * FROM projects",
    "CREATE INDEX by_title ON projects (title)",
    "INSERT INTO users VALUES ('alone', 'alone@t.example', 'Alone')",
)


def order(database: Path, folder: Path, plan: str) -> Order:
    run_dir = str(folder / f"run-{database.stem}")
    digest = digest_of_plan(plan)
    return Order(1, str(database), run_dir, plan, digest, __version__, leave_out=("rehearse",))


def make(folder: Path) -> list[Order]:
    """Databases of several schemas, migrated by two plans in turn, so that each meets the others'."""
    folder.mkdir()
    plan = folder / "plan.toml"
    plan.write_text(OTHER_PLAN)
    orders = []
    for number, (changes, by) in enumerate(
        [((), ""), (CHANGED, ""), ((), str(plan)), (CHANGED, str(plan)), ((), "")]
    ):
        path = make_tenant(folder / f"t{number}.db", number)
        if changes:
            execute(path, *changes)
        orders.append(order(path, folder, by))
    return orders


IN_A_NEW_PROCESS = """
import json, sys
from runbook.fleet.records import Order
from tests.support.fleets import outcome_of
print(json.dumps(outcome_of(Order(**json.loads(sys.argv[1])))))
"""


def test_plans_and_schemas_in_turn_get_what_a_new_process_gets(tmp_path: Path) -> None:
    warm = make(tmp_path / "warm")
    cold = copy_folder(tmp_path / "warm", tmp_path / "cold")
    answers = [outcome_of(each) for each in warm]
    assert [a["state"] for a in answers] == ["after"] * 5
    assert len({str(a["checksum"]) for a in answers}) == 2  # one for each plan
    starred = ["views_select_star" in str(a["hazards"]) for a in answers]
    assert starred == [False, True, False, True, False]
    for number in (1, 2):  # what a process would get wrong that took the first one's answers
        path = cold / f"t{number}.db"
        plan = warm[number].plan and str(cold / "plan.toml")
        handed = json.dumps(dataclasses.asdict(order(path, cold, plan)))
        command = [sys.executable, "-c", IN_A_NEW_PROCESS, handed]
        ended = subprocess.run(command, env=environment(), capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout) == json.loads(json.dumps(answers[number]))


def test_a_schema_that_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    execute(path, *SCHEMA)
    with connected(path) as connection:
        (projects, _) = read_tables(connection)
        assert projects.column_names == ("id", "owner_id", "title", "updated_at")
        connection.execute("ALTER TABLE projects ADD COLUMN more TEXT")
        assert read_tables(connection)[0].column_names[-1] == "more"
        connection.execute("ALTER TABLE projects DROP COLUMN more")
        assert read_tables(connection)[0] == projects


def test_a_schema_that_changes_while_it_is_read_is_not_kept_under_what_it_was(
    tmp_path: Path,
) -> None:
    path, as_before = tmp_path / "t.db", tmp_path / "as_before.db"
    schema = ("CREATE TABLE changing (id TEXT PRIMARY KEY)", "CREATE TABLE other (a)")
    execute(path, *schema)
    execute(as_before, *schema)
    with connected(path) as reading, connected(path) as writing:
        changes = ["ALTER TABLE changing ADD COLUMN more TEXT"]

        def change_once(statement: str) -> None:
            if "pragma_table" in statement.casefold() and changes:
                writing.execute(changes.pop())

        reading.set_trace_callback(change_once)
        assert read_tables(reading)[0].column_names == ("id", "more")
        assert not changes, "nothing was changed while the schema was read"
    with connected(as_before) as reading:
        assert read_tables(reading)[0].column_names == ("id",)


def test_two_plans_of_one_shape_have_scripts_and_objects_of_their_own() -> None:
    shape = Shape(row_keys={"users": ("id",), "projects": ("id",), "notes": ("id",)})
    one = Plan()
    other = dataclasses.replace(
        one, resources=(dataclasses.replace(one.resources[0], table="notes"),)
    )
    assert render(one, shape).checksum != render(other, shape).checksum
    assert "notes" in render(other, shape).text
    assert "notes" not in render(one, shape).text
    indexes = [{name for kind, name in new_objects(plan, shape)} for plan in (one, other)]
    assert ["idx_notes_org" in names for names in indexes] == [False, True]
    assert ["idx_projects_org" in names for names in indexes] == [True, False]


FORKED = """
import os, sys
from pathlib import Path
from runbook.audit import duckdb_session
with duckdb_session.open_duckdb(Path(sys.argv[1])):
    pass
assert len(duckdb_session._kept) == 1, "nothing is kept, so nothing is shown"
child = os.fork()
if not child:
    with duckdb_session.open_duckdb(Path(sys.argv[1])) as connection:
        own = connection.execute("SELECT 1").fetchone() == (1,)
    shared = duckdb_session._of_parents and duckdb_session._of_parents[0] in duckdb_session._kept
    os._exit(0 if own and duckdb_session._of_parents and not shared else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_takes_no_engine_of_its_parent(tmp_path: Path) -> None:
    """Its threads are the parent's alone, and a query in the child would wait for ever."""
    folder = capture(make_tenant(tmp_path / "t.db"), tmp_path / "one").folder
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, str(folder)]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


def test_a_record_that_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record = StageRecord("run", "verify", 1, "finished", "now", result=to_json({"a": 1}))
    for number in (1, 2):
        write_sealed(path, to_json(dataclasses.replace(record, order=number)))
        assert read_record(path, StageRecord).order == number
        assert read_record(path, StageRecord) is read_record(path, StageRecord)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"order": 2', b'"order": 3'))
    for _ in range(2):  # what is refused is not kept
        with pytest.raises(RunFolderError, match="does not match the checksum"):
            read_record(path, StageRecord)
    path.write_bytes(whole)
    assert read_part(path, dict[str, int], "result") == {"a": 1}
    path.unlink()
    with pytest.raises(RunFolderError, match="missing or damaged"):
        read_record(path, StageRecord)


def test_what_is_kept_is_bounded_and_failures_are_not() -> None:
    kept: Cache[int] = Cache(2)
    calls: list[str] = []

    def answer(key: str) -> int:
        calls.append(key)
        return len(calls)

    for key in ("a", "b", "a", "c", "a", "b"):  # b went when c came
        kept.get(key, lambda key=key: answer(key))
    assert calls == ["a", "b", "c", "b"]
    with pytest.raises(ZeroDivisionError):
        kept.get("d", lambda: 1 // 0)
    assert kept.get("d", lambda: 7) == 7


def test_a_kept_duckdb_is_empty_for_the_next_and_for_one_at_a_time(tmp_path: Path) -> None:
    path = make_tenant(tmp_path / "t.db")
    folders = [capture(path, tmp_path / name).folder for name in ("one", "two")]
    duckdb_session._kept.clear()
    with open_duckdb(folders[0]) as connection:
        connection.execute(
            "CREATE SCHEMA before; CREATE TABLE before.t (x INT); CREATE TABLE t (x INT)"
        )
        connection.execute("CREATE TEMP TABLE u (x INT)")
    (engine,) = duckdb_session._kept
    with one_duckdb(folders[1]), open_duckdb(folders[1]) as connection:
        assert not duckdb_session._kept
        tables = "SELECT count(*) FROM duckdb_tables() WHERE NOT internal"
        assert connection.execute(tables).fetchone() == (0,)
        spills = connection.execute("SELECT current_setting('temp_directory')").fetchone()
        assert str(folders[1]) in spills[0]
        other: list[bool] = []

        def meanwhile() -> None:
            with open_duckdb(folders[0]):
                other.append(engine in duckdb_session._kept)

        thread = threading.Thread(target=meanwhile)
        thread.start()
        thread.join()
        assert other == [False]
    with pytest.raises(ZeroDivisionError), open_duckdb(folders[0]):
        raise ZeroDivisionError
    assert len(duckdb_session._kept) == 1  # the one that failed is closed
    assert not list(tmp_path.rglob(".duckdb-*"))
