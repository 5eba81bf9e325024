"""A fleet from beginning to end, its orders carried out in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import signal
import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runbook.errors import (
    BadInput,
    NotAllowedNow,
    NotConfirmed,
    OutcomeUnknown,
    Refused,
    RunFolderError,
)
from runbook.files import read_sealed
from runbook.fleet.records import Order, Outcome
from runbook.fleet.report import write_fleet_report
from runbook.fleet.shares import Share, read_waves
from runbook.fleet.store import Fleet
from runbook.fleet.work import work
from runbook.run.folder import Run
from runbook.run.records import MigrateRecord
from runbook.sample.make import make_sample
from tests.support.databases import execute
from tests.support.fleets import (
    BLOCKED,
    copy_folder,
    fingerprint,
    ledger,
    losing,
    make_tenants,
    members,
    migrate_fleet,
    pool_of,
    size_of,
    states,
    take_back,
)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three databases in `tenants` and their migrated fleet in `fleet`."""
    folder = tmp_path_factory.mktemp("migrated")
    make_tenants(folder / "tenants", 3)
    migrate_fleet(folder / "tenants", folder / "fleet", canaries=1, waves=read_waves("2,100%"))
    return folder


def spoil(path: Path) -> None:
    execute(path, BLOCKED)


def changed_behind(number: int):  # type: ignore[no-untyped-def]
    """Carries orders out; one database is written to between its snapshot and its migration."""

    def carry_out(order: Order) -> Outcome:
        if order.number == number and order.until == "report":
            early = dataclasses.replace(order, until="snapshot", leave_out=("rehearse", "report"))
            assert work(early).state == "ready"
            execute(Path(order.database), "UPDATE users SET name = 'Changed'")
        return work(order)

    return carry_out


def test_every_database_is_an_ordinary_run(migrated: Path) -> None:
    fleet = migrated / "fleet"
    assert states(fleet) == ["after"] * 3
    assert [m.wave for m in members(fleet)] == [0, 1, 2]
    for member in members(fleet):
        run = Run.open(fleet / member.run)
        assert ledger(Path(member.database)) == [run.info.run]
        assert run.result("migrate", MigrateRecord).committed
        agreed = run.result("migrate", MigrateRecord).confirmation
        assert agreed is not None
        assert agreed.how == "fleet fleet, --yes"
        assert run.finished("rehearse") is (member.wave == 0)
        assert json.loads((run.folder / "audit.json").read_text())["verdict"] == "pass"


def test_a_run_folder_stays_small(tmp_path: Path) -> None:
    """A fleet has thousands of them: 200 kB each is what docs/fleet.md promises."""
    (tmp_path / "tenants").mkdir()
    for name in ("a", "b"):
        make_sample(tmp_path / "tenants" / f"{name}.db", users=100, projects=500)
    fleet = migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", canaries=1)
    assert states(fleet) == ["after"] * 2
    assert size_of(fleet / members(fleet)[1].run) < 200_000  # the canary has notebooks


def test_the_report_counts_and_links(migrated: Path) -> None:
    fleet = migrated / "fleet"
    data = json.loads((fleet / "fleet.json").read_text())
    assert data["verdict"] == "pass"
    assert data["counts"] == {"after": 3}
    assert data["sums"]["databases"] == 3
    assert sum(band["databases"] for band in data["durations"]) == 3
    page = (fleet / "report.html").read_text()
    for member in members(fleet):
        assert f'href="{member.run}/report.html"' in page
        assert (fleet / member.run / "report.html").is_file()
    suite = ElementTree.parse(fleet / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "0")


def test_the_report_of_many_is_read_in_parts_and_written_on_one_line(
    migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = migrated / "fleet" / "fleet.json"
    whole = path.read_text()
    monkeypatch.setattr("runbook.fleet.report.FILES_AT_ONCE", 2)
    monkeypatch.setattr("runbook.fleet.report.MOST_ROWS", 2)
    with contextlib.closing(Fleet.open(path.parent)) as fleet:
        write_fleet_report(fleet)
        assert path.read_text().count("\n") == 1
        assert json.loads(path.read_text()) == json.loads(whole)
        assert json.loads(whole)["hazards"]
        monkeypatch.undo()
        write_fleet_report(fleet)
    assert path.read_text() == whole


def test_a_second_call_touches_nothing(migrated: Path) -> None:
    before = {p: p.read_bytes() for p in migrated.rglob("runs/*/stages/*.json")}
    lines: list[str] = []

    def nobody(order: Order) -> Outcome:
        raise AssertionError(order)

    migrate_fleet(migrated / "tenants", migrated / "fleet", pool_of(nobody), lines=lines)
    assert {p: p.read_bytes() for p in migrated.rglob("runs/*/stages/*.json")} == before
    assert any(line.split()[:2] == ["after", "3"] for line in lines)


def test_blocked_and_broken_ones_are_refused_and_the_rest_passes(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 4)
    spoil(paths[1])
    paths[2].write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    (tmp_path / "tenants" / "t05.db").symlink_to(paths[0])
    before = {path: fingerprint(path) for path in paths[1:3]}
    with pytest.raises(Refused, match="3 databases of 5 failed"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", most_failures=Share(3))
    assert states(tmp_path / "fleet") == ["after", "before", "before", "after", "before"]
    assert {path: fingerprint(path) for path in before} == before
    errors = [m.error for m in members(tmp_path / "fleet")]
    assert "Preflight blocks the run" in errors[1]
    assert "t03.db" in errors[2]
    assert "the same database as" in errors[4]
    data = json.loads((tmp_path / "fleet" / "fleet.json").read_text())
    assert data["verdict"] == "fail"
    blocking = [h for h in data["hazards"] if h["title"].startswith("block")]
    assert [h["names"] for h in blocking] == [[str(paths[1])]]
    suite = ElementTree.parse(tmp_path / "fleet" / "junit.xml").getroot()
    assert suite.get("failures") == "3"


def test_too_many_that_are_blocked_stop_before_anything_changes(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 4)
    spoil(paths[3])
    before = [fingerprint(path) for path in paths]
    lines: list[str] = []
    with pytest.raises(Refused, match="nothing was changed"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", lines=lines)
    assert [fingerprint(path) for path in paths] == before
    assert states(tmp_path / "fleet") == ["ready", "ready", "ready", "before"]
    execute(paths[3], "DELETE FROM projects WHERE id = 'lost'")
    migrate_fleet(tmp_path / "tenants", tmp_path / "fleet")  # goes on once it is put right
    assert states(tmp_path / "fleet") == ["after"] * 4


def test_a_finding_stops_the_wave_at_the_number_that_is_allowed(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 6)
    before = [fingerprint(path) for path in paths]
    pool = pool_of(changed_behind(3))
    lines: list[str] = []
    with pytest.raises(Refused, match="--max-failures allows 0"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", pool, lines=lines)
    assert states(tmp_path / "fleet") == ["after", "after", "before", "ready", "ready", "ready"]
    assert [fingerprint(p) for p in paths[3:]] == before[3:]
    assert ledger(paths[2]) == []
    assert any(line.split()[:2] == ["ready", "3"] for line in lines)


def test_one_that_may_fail_stops_nothing(tmp_path: Path) -> None:
    make_tenants(tmp_path / "tenants", 4)
    pool = pool_of(changed_behind(2))
    with pytest.raises(Refused, match="1 database of 4 failed"):
        migrate_fleet(
            tmp_path / "tenants", tmp_path / "fleet", pool, most_failures=Share(25, percent=True)
        )
    assert states(tmp_path / "fleet") == ["after", "before", "after", "after"]


def test_a_canary_that_fails_stops_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = make_tenants(tmp_path / "tenants", 3)

    def fail(order: Order, execute: object) -> Outcome:
        return Outcome(order.number, "before", "rehearse", "the copy said no")

    monkeypatch.setattr("runbook.fleet.coordinate.perform", fail)
    with pytest.raises(Refused, match=r"the canary .*t01.db failed \(the copy said no\)"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", most_failures=Share(3))
    assert [ledger(path) for path in paths] == [[], [], []]


def test_waves_go_as_far_as_they_say(tmp_path: Path) -> None:
    make_tenants(tmp_path / "tenants", 4)
    migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", canaries=0, waves=read_waves("1,50%"))
    assert states(tmp_path / "fleet") == ["after", "after", "ready", "ready"]
    assert json.loads((tmp_path / "fleet" / "fleet.json").read_text())["verdict"] == "open"


@pytest.mark.parametrize("until", ["preflight", "rehearse", "snapshot"])
def test_before_the_change_it_ends_where_it_should(until: str, tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 2)
    before = [fingerprint(path) for path in paths]
    migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", until=until, yes=False)
    assert [fingerprint(path) for path in paths] == before
    runs = [Run.open(tmp_path / "fleet" / m.run) for m in members(tmp_path / "fleet")]
    canary, other = (run.finished(until) for run in runs)
    assert (canary, other) == (True, until != "rehearse")
    assert states(tmp_path / "fleet") == ["ready", "ready"]


def test_a_place_to_end_that_is_none_is_bad_input(tmp_path: Path) -> None:
    make_tenants(tmp_path / "tenants", 1)
    with pytest.raises(BadInput, match="does not end after"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", until="migrate")


def test_nobody_agrees_and_nothing_changes(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 2)
    before = [fingerprint(path) for path in paths]
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "yes"

    with pytest.raises(NotConfirmed, match='"yes" was typed'):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", yes=False, ask=ask)
    assert "2 databases of the fleet fleet" in asked[0]
    with pytest.raises(NotConfirmed, match="no terminal"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", yes=False)
    assert [fingerprint(path) for path in paths] == before
    migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", yes=False, ask=lambda text: "fleet")
    assert states(tmp_path / "fleet") == ["after", "after"]


# -- lost workers, and calls that were cut off ---------------------------------------------------


def test_a_lost_order_that_has_happened_is_not_done_again(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 2)
    done: list[int] = []

    def lose(order: Order) -> str:
        done.append(order.number)
        return "after" if order.until == "report" else ""

    migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", losing(lose), canaries=0)
    assert states(tmp_path / "fleet") == ["after", "after"]
    assert sorted(done) == [1, 1, 2, 2]  # preflight and the rest, each once
    assert [len(ledger(path)) for path in paths] == [1, 1]


def test_a_lost_order_is_tried_again_and_given_up_in_the_end(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 2)
    tried: list[int] = []

    def lose(order: Order) -> str:
        if order.until != "report":
            return ""
        tried.append(order.number)
        return "before" if order.number == 1 or tried.count(2) < 3 else ""

    with pytest.raises(Refused, match="1 database of 2 failed"):
        migrate_fleet(
            tmp_path / "tenants",
            tmp_path / "fleet",
            losing(lose),
            canaries=0,
            most_failures=Share(1),
        )
    assert states(tmp_path / "fleet") == ["before", "after"]
    assert "worker was lost 3 times (KilledWorker" in members(tmp_path / "fleet")[0].error
    assert [len(ledger(path)) for path in paths] == [0, 1]


def test_an_order_that_is_lost_during_a_stop_is_given_up_at_once(tmp_path: Path) -> None:
    make_tenants(tmp_path / "tenants", 1)

    def lose(order: Order) -> str:
        if order.until != "report":
            return ""
        signal.raise_signal(signal.SIGINT)  # Ctrl-C
        return "before"

    with pytest.raises(Refused, match="because Ctrl-C was pressed"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", losing(lose), canaries=0)
    (member,) = members(tmp_path / "fleet")
    assert "worker was lost 1 time (KilledWorker" in member.error


class Cut(BaseException):
    """The end of a process, which nothing of ours catches."""


@pytest.mark.parametrize("after", [False, True], ids=["before its work", "after its work"])
def test_a_second_call_goes_on_where_the_first_was_cut_off(after: bool, tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 3)

    def cut(order: Order) -> Outcome:
        if order.number == 2 and order.until == "report":
            if after:
                work(order)
            raise Cut
        return work(order)

    with pytest.raises(Cut):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", pool_of(cut))
    assert states(tmp_path / "fleet") == ["after", "running", "ready"]
    migrate_fleet(tmp_path / "tenants", tmp_path / "fleet")
    assert states(tmp_path / "fleet") == ["after"] * 3
    assert [len(ledger(path)) for path in paths] == [1, 1, 1]


def test_one_that_is_unknown_has_an_exit_code_of_its_own_and_is_asked_again(
    tmp_path: Path,
) -> None:
    paths = make_tenants(tmp_path / "tenants", 2)
    asked: list[str] = []

    def unanswered(order: Order) -> Outcome:
        if order.number == 1 and order.until == "report":
            return Outcome(1, "unknown", "migrate", "no answer came")
        return work(order)

    fleet = tmp_path / "fleet"
    with pytest.raises(OutcomeUnknown, match="Of 1 database it is not known"):
        migrate_fleet(
            tmp_path / "tenants", fleet, pool_of(unanswered), canaries=0, most_failures=Share(1)
        )
    assert states(fleet) == ["unknown", "after"]

    def watched(order: Order) -> Outcome:
        asked.append(order.until)
        return work(order)

    migrate_fleet(tmp_path / "tenants", fleet, pool_of(watched), canaries=0)
    assert asked == ["report"]  # its ledger is asked by the migration, not by preflight
    assert [len(ledger(path)) for path in paths] == [1, 1]


def test_a_worker_of_another_version_does_nothing(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 1)

    def other(order: Order) -> Outcome:
        return work(dataclasses.replace(order, version="0.0.1"))

    with pytest.raises(Refused):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", pool_of(other))
    (member,) = members(tmp_path / "fleet")
    assert "the fleet was begun with 0.0.1" in member.error
    assert ledger(paths[0]) == []


def test_ctrl_c_lets_the_database_at_work_end(tmp_path: Path) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    paths = make_tenants(tmp_path / "tenants", 3)

    def press(order: Order) -> Outcome:
        if order.until == "report":
            signal.raise_signal(signal.SIGINT)
        return work(order)

    with pytest.raises(Refused, match="Ctrl-C was pressed"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", pool_of(press), canaries=0)
    assert states(tmp_path / "fleet") == ["after", "ready", "ready"]
    assert [len(ledger(path)) for path in paths] == [1, 0, 0]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_full_disk_is_named_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from runbook.targets.sqlite import SqliteTarget

    paths = make_tenants(tmp_path / "tenants", 3)
    backup = SqliteTarget.backup

    def full(self: SqliteTarget, to: Path, *more: object) -> None:
        if "00002" in str(to):
            raise OSError(errno.ENOSPC, "No space left on device", str(to))
        backup(self, to, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(SqliteTarget, "backup", full)
    with pytest.raises(Refused, match="1 database of 3 failed"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", most_failures=Share(1))
    assert states(tmp_path / "fleet") == ["after", "before", "after"]
    assert "No space left on device" in members(tmp_path / "fleet")[1].error
    assert ledger(paths[1]) == []


# -- folders and plans that do not fit --------------------------------------------------------


def test_two_calls_do_not_coordinate_one_fleet(migrated: Path) -> None:
    fleet = Fleet.open(migrated / "fleet")
    with fleet.locked(), pytest.raises(NotAllowedNow, match="Another process"):
        migrate_fleet(migrated / "tenants", migrated / "fleet")
    fleet.close()


def test_a_fleet_folder_of_another_plan_is_refused(migrated: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[migration]\nname = "0006_other"\n')
    with pytest.raises(RunFolderError, match="begun with another plan"):
        migrate_fleet(migrated / "tenants", migrated / "fleet", wanted={"plan": str(plan)})


def test_a_plan_that_is_changed_on_the_way_begins_no_run(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 2)
    plan = tmp_path / "plan.toml"
    plan.write_text('[migration]\nname = "0006_first"\n')

    def change(order: Order) -> Outcome:
        if order.number == 2:
            plan.write_text('[migration]\nname = "0007_second, longer"\n')
        return work(order)

    with pytest.raises(Refused, match="nothing was changed"):
        migrate_fleet(
            tmp_path / "tenants", tmp_path / "fleet", pool_of(change), wanted={"plan": str(plan)}
        )
    assert states(tmp_path / "fleet") == ["ready", "before"]
    assert "is not the one that the fleet was begun with" in members(tmp_path / "fleet")[1].error
    assert [ledger(path) for path in paths] == [[], []]


def test_a_plan_that_fits_some_is_named_for_the_others(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 2)
    execute(paths[1], "ALTER TABLE projects RENAME TO tasks")
    with pytest.raises(Refused, match="1 database of 2 failed"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", most_failures=Share(1))
    assert states(tmp_path / "fleet") == ["after", "before"]
    assert "projects" in members(tmp_path / "fleet")[1].error


def test_commands_of_a_window_are_refused_for_a_fleet(tmp_path: Path) -> None:
    make_tenants(tmp_path / "tenants", 1)
    plan = tmp_path / "plan.toml"
    plan.write_text('[window.deploy]\ncommand = ["true"]\n')
    with pytest.raises(BadInput, match=r"\[window.deploy\] would be used for each database"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", wanted={"plan": str(plan)})
    assert not (tmp_path / "fleet").exists()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    make_tenants(tmp_path / "tenants", 1)
    with pytest.raises(RunFolderError, match="is not a fleet folder"):
        migrate_fleet(tmp_path / "tenants", tmp_path / "tenants")


def test_a_damaged_fleet_db_is_named(tmp_path: Path) -> None:
    (tmp_path / "fleet.db").write_bytes(b"x" * 4096)
    with pytest.raises(RunFolderError, match="ledgers know what was migrated"):
        Fleet.open(tmp_path)


def test_a_name_that_means_another_database_by_now_is_refused(migrated: Path) -> None:
    from runbook.fleet.databases import Entry

    fleet = Fleet.open(migrated / "fleet")
    name = next(fleet.members()).name
    with pytest.raises(RunFolderError, match="from the folder where the fleet was begun"):
        fleet.add([Entry(name, "/elsewhere/t01.db")])
    fleet.close()


# -- the way back -----------------------------------------------------------------------------


def test_the_way_back_for_one_and_for_all(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 3)
    originals = copy_folder(tmp_path / "tenants", tmp_path / "originals")
    migrate_fleet(tmp_path / "tenants", tmp_path / "fleet")
    sealed = read_sealed(tmp_path / "fleet" / "seal.json")["root"]
    take_back(tmp_path / "fleet", frozenset([str(paths[1])]))
    assert states(tmp_path / "fleet") == ["after", "taken back", "after"]
    assert read_sealed(tmp_path / "fleet" / "seal.json")["root"] != sealed
    take_back(tmp_path / "fleet")
    assert states(tmp_path / "fleet") == ["taken back"] * 3
    assert json.loads((tmp_path / "fleet" / "fleet.json").read_text())["verdict"] == "taken back"
    for path in paths:
        with sqlite3.connect(path) as new, sqlite3.connect(originals / path.name) as old:
            for table in ("users", "projects"):
                every = f"SELECT rowid, * FROM {table} ORDER BY rowid"
                assert new.execute(every).fetchall() == old.execute(every).fetchall()
            schema = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'runbook%' AND name NOT LIKE 'sqlite%'"
            assert new.execute(schema).fetchall() == old.execute(schema).fetchall()
        new.close()
        old.close()


def test_one_that_cannot_be_taken_back_stays_and_is_named(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 2)
    migrate_fleet(tmp_path / "tenants", tmp_path / "fleet")
    execute(
        paths[0],
        "INSERT INTO organizations (id, name, slug, owner_id) "
        "SELECT 'new', name, 'new-' || slug, owner_id FROM organizations LIMIT 1",
    )
    with pytest.raises(Refused):
        take_back(tmp_path / "fleet", most_failures=Share(1))
    assert states(tmp_path / "fleet") == ["after", "taken back"]
    assert "organization" in members(tmp_path / "fleet")[0].error


def test_a_stranger_in_only_is_bad_input(migrated: Path) -> None:
    with pytest.raises(BadInput, match=r"/nowhere/x.db is no database of the fleet"):
        take_back(migrated / "fleet", frozenset(["/nowhere/x.db"]))


def test_a_database_that_is_gone_on_the_second_call_is_named(tmp_path: Path) -> None:
    paths = make_tenants(tmp_path / "tenants", 2)
    migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", until="preflight")
    shutil.move(paths[1], tmp_path / "elsewhere.db")
    with pytest.raises(Refused):
        migrate_fleet(tmp_path / "tenants", tmp_path / "fleet", most_failures=Share(1))
    assert states(tmp_path / "fleet") == ["after", "before"]
    assert "t02.db" in members(tmp_path / "fleet")[1].error
