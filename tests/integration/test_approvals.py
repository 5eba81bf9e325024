"""Two people: whoever began a run cannot approve it, and an approval is about what was rehearsed."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.errors import BadInput, NotAllowedNow
from runbook.files import read_sealed, write_sealed
from runbook.plan.plan import ApprovalRule, Migration
from runbook.run.approvals import read_approvals, same_name, standing
from runbook.run.folder import Run
from runbook.run.records import Confirmation
from runbook.sample.make import make_sample
from runbook.stages import migrate, preflight, rehearse, report, snapshot
from runbook.stages.approve import approve
from tests.support.databases import connected
from tests.support.prepared import Prepared
from tests.support.runs import agreed, begin
from tests.support.windows import Direct, Site, Window, running_site, states


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(tmp_path_factory.mktemp("approvals"))


@pytest.fixture
def rehearsed(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """A run by "tester" from the account `ada-l`, rehearsed; the plan asks for so many approvals."""

    def make(place: Path, required: int) -> Run:
        database, plan = place / "app.db", place / "plan.toml"
        make_sample(database, users=10, projects=20)
        plan.write_text(f"[approval]\nrequired = {required}\n")
        run = begin(database, place / "run", plan)
        preflight.preflight(run)
        rehearse.rehearse(run)
        return run

    def take(required: int = 1) -> Run:
        monkeypatch.setenv("LOGNAME", "ada-l")
        run = prepared.take(f"required-{required}", lambda place: make(place, required))
        monkeypatch.setenv("LOGNAME", "ben")
        return run

    return take


def write_something(run: Run) -> None:
    with connected(Path(run.info.database)) as database:
        database.execute("UPDATE users SET email = 'new@example.org' WHERE rowid = 1")


def test_without_an_approval_nothing_migrates(rehearsed: Callable[..., Run]) -> None:
    run = rehearsed()
    snapshot.snapshot(run)
    with pytest.raises(NotAllowedNow, match=r"the plan asks for 1 approval .* other people") as at:
        migrate.migrate(run, agreed(run))
    assert f"approve --run-dir {run.folder} --by NAME" in str(at.value)
    assert run.record("migrate") is None


def test_with_it_the_migration_is_made_and_every_view_names_who_agreed(
    rehearsed: Callable[..., Run],
) -> None:
    run = rehearsed()
    called = CliRunner().invoke(main, ["approve", "--run-dir", str(run.folder), "--by", "Ben Bit"])
    assert (called.exit_code, "it may be migrated" in called.output) == (0, True)
    snapshot.snapshot(run)
    migrate.migrate(run, agreed(run))
    report.report(run)
    audit = json.loads((run.folder / "audit.json").read_text())["approvals"]
    assert (audit["required"], audit["counted"]) == (1, 1)
    assert audit["approvals"][0]["by"] == "Ben Bit"
    assert "Approved by Ben Bit, " in (run.folder / "report.html").read_text()
    status = CliRunner().invoke(main, ["status", "--run-dir", str(run.folder)])
    assert "      Approved by Ben Bit, " in status.output


def test_status_says_that_it_waits(rehearsed: Callable[..., Run]) -> None:
    status = CliRunner().invoke(main, ["status", "--run-dir", str(rehearsed().folder)])
    assert "Waits for 1 approval by other people" in status.output


@pytest.mark.parametrize(
    "by", ["tester", " Tester ", "T.e.s-t e\u200br", "TÉSTER", "ada-l", "Ada L", " ", "--", ""]
)
def test_who_began_it_cannot_approve_it(rehearsed: Callable[..., Run], by: str) -> None:
    run = rehearsed()
    with pytest.raises(BadInput):
        approve(run, by)
    assert standing(run).missing == 1


def test_who_confirms_is_not_another_person(rehearsed: Callable[..., Run]) -> None:
    run = rehearsed()
    approve(run, "Ben")
    snapshot.snapshot(run)
    with pytest.raises(NotAllowedNow, match="Ben began or confirmed the run"):
        migrate.migrate(run, Confirmation("ben", "", "terminal"))
    assert not run.finished("migrate")


def test_two_are_two_people(rehearsed: Callable[..., Run]) -> None:
    run = rehearsed(2)
    first = approve(run, "Ben Bit")
    assert approve(run, "BEN  BIT") == first
    assert standing(run).missing == 1
    approve(run, "Cleo")
    assert standing(run).missing == 0


@pytest.mark.parametrize("copies", [1, 2])
def test_a_copy_of_an_approval_is_none(rehearsed: Callable[..., Run], copies: int) -> None:
    run = rehearsed(2)
    approve(run, "Ben")
    folder = run.folder / "approvals"
    for number in range(2, 2 + copies):
        shutil.copy(folder / "1.json", folder / f"{number}.json")
        shutil.copy(folder / "1.txt", folder / f"{number}.txt")
    assert standing(run).missing == 1


def change_plan(run: Run) -> None:
    run.settle(plan=dataclasses.replace(run.info.plan, migration=Migration("another")))


def change_rehearsal(run: Run) -> None:
    write_something(run)
    rehearse.rehearse(run, again=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_plan, "the plan is another one now"),
        (change_rehearsal, "a new rehearsal had another outcome"),
    ],
)
def test_what_was_approved_is_what_is_made(
    rehearsed: Callable[..., Run], change: Callable[[Run], None], reason: str
) -> None:
    run = rehearsed()
    approve(run, "Ben")
    assert standing(run).missing == 0
    change(run)
    snapshot.snapshot(run)
    with pytest.raises(NotAllowedNow, match=f"that of Ben is void, because {reason}"):
        migrate.migrate(run, agreed(run))
    if change is not change_plan:
        approve(run, "Ben")
        migrate.migrate(run, agreed(run))


def test_the_same_rehearsal_again_voids_nothing(rehearsed: Callable[..., Run]) -> None:
    run = rehearsed()
    approve(run, "Ben")
    rehearse.rehearse(run, again=True)
    assert standing(run).missing == 0


def test_other_sql_voids_it(rehearsed: Callable[..., Run]) -> None:
    run = rehearsed()
    approve(run, "Ben")
    record = read_sealed(run.record_path("rehearse"))
    record["result"]["script"] = "0" * 64
    write_sealed(run.record_path("rehearse"), record)
    assert standing(run).approvals[0].void == "the SQL that would run is another one now"


@pytest.mark.parametrize("before", [True, False])
def test_a_new_snapshot_with_other_rows_voids_it(
    rehearsed: Callable[..., Run], before: bool
) -> None:
    """An approval from before any snapshot is for the first one: until then, users write."""
    run = rehearsed()
    if before:
        snapshot.snapshot(run)
    approve(run, "Ben")
    if not before:
        write_something(run)
        snapshot.snapshot(run)
    assert standing(run).missing == 0
    snapshot.snapshot(run, again=True)  # of the same rows
    assert standing(run).missing == 0
    with connected(Path(run.info.database)) as database:
        database.execute("UPDATE users SET email = 'newer@example.org' WHERE rowid = 2")
    snapshot.snapshot(run, again=True)
    assert standing(run).approvals[0].void == "a new snapshot holds other rows"
    with pytest.raises(NotAllowedNow, match="a new snapshot holds other rows"):
        migrate.migrate(run, agreed(run))


def test_what_a_person_states_cannot_be_changed_afterwards(rehearsed: Callable[..., Run]) -> None:
    run = rehearsed()
    approve(run, "Ben")
    path = run.folder / "approvals" / "1.txt"
    path.write_text(path.read_text().replace("by: Ben", "by: Bob"))
    assert "does not state what its record says" in standing(run).approvals[0].void


def test_nothing_is_approved_before_its_rehearsal_or_after_the_migration(
    sample: Path, tmp_path: Path
) -> None:
    run = begin(sample, tmp_path / "run")
    with pytest.raises(NotAllowedNow, match="before its rehearsal"):
        approve(run, "Ben")
    assert not (run.folder / "approvals").exists()


def test_after_the_migration_it_is_too_late(rehearsed: Callable[..., Run]) -> None:
    run = rehearsed(0)
    snapshot.snapshot(run)
    migrate.migrate(run, agreed(run))
    with pytest.raises(NotAllowedNow, match="was begun already"):
        approve(run, "Ben")


def new_key(folder: Path, name: str) -> Path:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not on this machine")
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


def test_a_signature_names_its_key_and_covers_the_statement(
    rehearsed: Callable[..., Run], tmp_path: Path
) -> None:
    run = rehearsed(2)
    key = new_key(tmp_path, "ben")
    signed = approve(run, "Ben", key)
    assert signed.key.startswith("ED25519 key SHA256:")
    with pytest.raises(BadInput, match="Ben has approved with that key already"):
        approve(run, "Cleo", key)
    assert standing(run).counted == 1
    assert len(read_approvals(run.folder)) == 1
    path = run.folder / "approvals" / "1.txt.sig"
    new = new_key(tmp_path, "other")
    path.unlink()
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "runbook", "-f", new, path.with_suffix("")],
        check=True,
    )
    assert "signed with another key" in standing(run).approvals[0].void
    path.unlink()
    assert "signature" in standing(run).approvals[0].void


def test_the_file_of_allowed_signers_says_who_it_was(
    rehearsed: Callable[..., Run], tmp_path: Path
) -> None:
    run = rehearsed()
    mine, theirs, strange = (new_key(tmp_path, name) for name in ("mine", "theirs", "strange"))
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(
        f"tester {mine.with_suffix('.pub').read_text()}"
        f"ben@example.org {theirs.with_suffix('.pub').read_text()}"
    )
    plan = dataclasses.replace(run.info.plan, approval=ApprovalRule(1, "allowed_signers"))
    run.settle(plan=plan, plan_file=str(tmp_path / "plan.toml"))
    with pytest.raises(BadInput, match="accepts only approvals signed by a key"):
        approve(run, "Ben")
    with pytest.raises(BadInput, match="is not listed in"):
        approve(run, "Ben", strange)
    with pytest.raises(BadInput, match="and so cannot approve it"):
        approve(run, "Ben", mine)
    assert list((run.folder / "approvals").iterdir()) == []
    assert approve(run, "Ben", theirs).principal == "ben@example.org"
    assert standing(run).missing == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ada Lovelace", "ada  lovelace", True),
        ("José", "JOSE\u0301", True),
        ("Straße", "STRASSE", True),
        ("ada", "ada2", False),
    ],
)
def test_names_are_compared_without_case_and_spaces(one: str, other: str, same: bool) -> None:
    assert (same_name(one) == same_name(other)) is same


@pytest.fixture
def site(tmp_path: Path) -> object:
    with running_site(tmp_path / "site") as site:
        yield site


def test_a_run_stops_before_the_application_is_shut(site: Site) -> None:
    window = Window.of(site, site.settings() | {"approval": {"required": 1}})
    with pytest.raises(NotAllowedNow, match="the plan asks for 1 approval"):
        window.go(Direct(rehearse=True))
    assert not site.maintenance.exists()
    assert window.run.record("snapshot") is None
    with pytest.raises(NotAllowedNow, match="the plan asks for 1 approval"):
        Direct()(window.run, "snapshot", {"run_dir": str(window.run.folder)})  # by hand
    assert not site.maintenance.exists()
    approve(window.run, "Ben")
    window.go(Direct(rehearse=True))
    assert states(window.run) == ("migrated", "new", "off")
