"""Monitoring a live database: nobody who writes is failed, and old code is noticed at once."""

from __future__ import annotations

import dataclasses
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import time_machine
from click.testing import CliRunner

from runbook.cli import main
from runbook.errors import NotAllowedNow, Violated
from runbook.plan.plan import Monitor
from runbook.plan.shape import read_shape
from runbook.report.checklist import checklist
from runbook.report.contents import read_contents
from runbook.report.write import write_report
from runbook.run.folder import Run
from runbook.run.window_records import Answer, MonitorRecord, Observation
from runbook.stages import rollback
from runbook.stages.monitor import Watching, monitor
from runbook.targets.open_target import open_target
from runbook.window.series import append, describe, read_series, sum_up
from runbook.window.watch import Watcher
from tests.support.databases import connected, execute
from tests.support.report_page import Page
from tests.support.runs import agreed, begin, until_migrated

WRITER = """
import queue, sqlite3, sys, threading
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=2)
c.execute("PRAGMA synchronous = OFF")
user, organization = c.execute(
    "SELECT owner_id, organization_id FROM projects WHERE organization_id IS NOT NULL"
).fetchone()
asked = queue.SimpleQueue()
threading.Thread(target=lambda: [asked.put(line.strip()) for line in sys.stdin], daemon=True).start()
n, word = 0, ""
while word != "end":
    word = "" if asked.empty() else asked.get()
    c.execute(
        "INSERT INTO projects (id, name, owner_id, organization_id) VALUES (?, 'x', ?, ?)",
        (f"w-{n}", user, None if word == "old" else organization),
    )
    n += 1
    if word:
        print(word, flush=True)
"""


@pytest.fixture
def migrated(sample: Path, tmp_path: Path) -> Run:
    return until_migrated(begin(sample, tmp_path / "run"))


def watcher(run: Run) -> Watcher:
    with sqlite3.connect(run.backup) as connection:
        shape = read_shape(connection, run.info.plan)
    connection.close()
    return Watcher(open_target(run.info.database), run.info.plan, shape, run.info.run, every=1.0)


@pytest.fixture
def clock(migrated: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Traveller]:
    """The clock stands still, except that it goes on at once where the monitoring waits."""
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        monkeypatch.setattr("runbook.stages.monitor.time", SimpleNamespace(sleep=clock.shift))
        yield clock


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_no_writer_fails_and_old_code_is_noticed_within_one_interval(
    migrated: Run, mode: str
) -> None:
    """The writer writes without a pause, and gives up where it is kept waiting for two seconds."""
    database = Path(migrated.info.database)
    execute(database, f"PRAGMA journal_mode = {mode}")
    observations: list[Observation] = []
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def ask(word: str) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(word + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == word + "\n"

        def show(observation: Observation) -> None:
            observations.append(observation)
            ask("old" if len(observations) == 3 else "new")

        ask("new")
        record = monitor(migrated, Watching(10, 1, show=show))
        ask("end")
        assert process.wait(timeout=60) == 0
    assert [each.without_organization["projects"] for each in observations] == [0] * 3 + [1] * 8
    assert record.verdict == "fail"
    assert record.violated == 8


def test_a_query_that_takes_too_long_lets_go_and_is_not_taken_as_an_answer(
    migrated: Run,
) -> None:
    """With a rollback journal, a reader keeps writers waiting: the bound is for that."""
    database = Path(migrated.info.database)
    with connected(database) as connection:
        connection.execute("BEGIN")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000) "
            "INSERT INTO organization_memberships (id, organization_id, user_id, role) "
            "SELECT 'x-' || i, 'none-' || i, 'none', 'owner' FROM n"
        )
        connection.execute("COMMIT")
    slow = watcher(migrated)
    slow.plan = dataclasses.replace(slow.plan, monitor=Monitor(blocking_seconds=0.005))
    observation = slow.observe()
    assert observation.unanswered["references_to_nothing"] == "not within 0.005 s"
    assert "references_to_nothing" not in observation.violations
    assert observation.without_organization == {"projects": 0}
    slow.plan = dataclasses.replace(slow.plan, monitor=Monitor(blocking_seconds=30.0))
    observation = slow.observe()
    assert observation.violations["references_to_nothing"] == 300_000
    assert not observation.unanswered


def test_a_locked_database_is_no_evidence_that_all_is_well(
    migrated: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbook.window.watch._PATIENCE", 0.1)
    with connected(Path(migrated.info.database)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        observation = watcher(migrated).observe()
    assert list(observation.unanswered) == ["database"]
    assert observation.ok
    assert sum_up([observation], 1.0).verdict == "fail"
    assert sum_up([watcher(migrated).observe()], 1.0).verdict == "pass"


@pytest.mark.parametrize("left", ["", "no database"])
def test_a_database_that_is_gone_is_a_problem(migrated: Run, left: str) -> None:
    watching, path = watcher(migrated), Path(migrated.info.database)
    before = watching.observe()
    path.unlink()
    if left:
        path.write_text(left)
    gone = watching.observe()
    assert not gone.ok
    assert "ok" not in describe(gone).split("; ")
    assert sum_up([before, gone], 1.0).verdict == "fail"


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        (
            "UPDATE organization_memberships SET role = 'viewer' WHERE rowid = 1",
            "owner_memberships_without_owner_role",
        ),
        (
            "DELETE FROM organization_memberships WHERE rowid = 1",
            "organizations_without_owner_membership",
        ),
        (
            "UPDATE projects SET organization_id = 'org-nobody' WHERE rowid = 1",
            "resources_of_missing_organization",
        ),
        (
            "INSERT INTO organizations (id, name, slug, owner_id) SELECT 'two', 'Two', 'two',"
            " owner_id FROM organizations LIMIT 1",
            "users_with_several_personal_organizations",
        ),
        ("DELETE FROM users WHERE id = (SELECT owner_id FROM organizations LIMIT 1)",
         "references_to_nothing"),
        (
            "DELETE FROM organization_memberships WHERE rowid = 2",
            "users_without_organization",
        ),
    ],
)  # fmt: skip
def test_each_lasting_invariant_is_seen_to_break(migrated: Run, statement: str, name: str) -> None:
    whole = watcher(migrated).observe()
    assert not whole.violated, whole
    execute(Path(migrated.info.database), statement)
    observation = watcher(migrated).observe()
    assert observation.violations[name] > 0
    assert any(sample.place.startswith(name) for sample in observation.samples)


def test_new_teams_and_new_rows_violate_nothing(migrated: Run) -> None:
    """What the application does after the migration is life, not a violation."""
    execute(
        Path(migrated.info.database),
        "INSERT INTO organizations (id, name, slug, owner_id, type) SELECT 'team', 'Team', 'team',"
        " owner_id, 'team' FROM organizations LIMIT 1",
        "INSERT INTO organization_memberships (id, organization_id, user_id, role)"
        " SELECT 'team-' || owner_id, id, owner_id, 'owner' FROM organizations WHERE id = 'team'",
        "INSERT INTO projects (id, name, owner_id, organization_id)"
        " SELECT 'of-team', 'x', owner_id, id FROM organizations WHERE id = 'team'",
        "DELETE FROM projects WHERE rowid = 3",
    )
    assert watcher(migrated).observe().ok


@pytest.mark.usefixtures("clock")
def test_it_survives_a_restart_and_ends_by_itself(migrated: Run) -> None:
    first = monitor(migrated, Watching(seconds=1500, every=300, once=True))
    assert (first.observations, first.ended) == (1, "")
    assert migrated.record("monitor").status == "started"  # type: ignore[union-attr]
    with (migrated.folder / "monitor.jsonl").open("a") as file:
        file.write('{"at": "2026-')  # a crash in the middle of a line
    record = monitor(migrated, Watching(seconds=1500, every=300))
    assert record.ended == "in time"
    assert record.start == first.start
    assert record.observations == len(read_series(migrated.folder)) == 6
    assert record.verdict == "pass"
    again = monitor(migrated, Watching(seconds=1500, every=300))
    assert again.observations == 7  # no verdict without an observation of its own


@pytest.mark.usefixtures("clock")
def test_a_finished_trial_is_continued(migrated: Run) -> None:
    trial = monitor(migrated, Watching(seconds=3, every=1))
    assert (trial.ended, trial.observations) == ("in time", 4)
    whole = monitor(migrated, Watching(seconds=1500, every=300))
    assert whole.start == trial.start
    assert whole.watched_seconds >= 1350
    assert whole.observations >= 9


@pytest.mark.parametrize("options", [["--once"], ["--for", "1s", "--exit-on-violation"]])
def test_what_comes_after_a_finished_trial_is_found(options: list[str], migrated: Run) -> None:
    monitor(migrated, Watching(seconds=0.01, every=0.01))
    assert migrated.finished("monitor")
    execute(
        Path(migrated.info.database),
        "UPDATE projects SET organization_id = NULL WHERE id IN (SELECT id FROM projects LIMIT 2)",
    )
    arguments = ["monitor", "--run-dir", str(migrated.folder), "--every", "1s", *options]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "projects: 2 rows without organization" in result.output


def test_a_kill_loses_nothing(migrated: Run) -> None:
    command = [sys.executable, "-m", "runbook", "monitor", "--run-dir", str(migrated.folder)]
    with subprocess.Popen([*command, "--for", "1h", "--every", "1s"]) as process:
        while len(read_series(migrated.folder)) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    before = read_series(migrated.folder)
    monitor(migrated, Watching(seconds=3600, every=0.1, once=True))
    assert read_series(migrated.folder)[: len(before)] == before
    assert len(read_series(migrated.folder)) == len(before) + 1


def test_a_violation_ends_it_with_1_and_it_can_go_on(migrated: Run) -> None:
    execute(
        Path(migrated.info.database),
        "UPDATE projects SET organization_id = NULL WHERE id IN (SELECT id FROM projects LIMIT 2)",
    )
    with pytest.raises(Violated, match="projects: 2 rows without organization") as caught:
        monitor(migrated, Watching(seconds=60, every=0.2, exit_on_violation=True))
    assert caught.value.exit_code == 1
    record = migrated.record("monitor")
    assert record is not None
    assert record.status == "failed"
    assert record.result is not None
    assert record.result["ended"] == "at a violation"
    assert monitor(migrated, Watching(seconds=60, every=0.1, once=True)).observations == 2


def test_a_rollback_ends_it(migrated: Run) -> None:
    monitor(migrated, Watching(seconds=60, every=0.1, once=True))
    done: list[MonitorRecord] = []
    observed = threading.Event()
    watching = Watching(seconds=600, every=0.2, show=lambda _: observed.set())
    thread = threading.Thread(target=lambda: done.append(monitor(migrated, watching)))
    thread.start()
    assert observed.wait(timeout=60)
    rollback.rollback(migrated, agreed(migrated))  # while the monitoring goes on
    thread.join(timeout=60)
    assert done[0].ended == "by a rollback"
    for watching in (Watching(once=True), Watching()):  # the old verdict is not what is true now
        with pytest.raises(NotAllowedNow, match="rollback is already done"):
            monitor(migrated, watching)
    with pytest.raises(NotAllowedNow):
        monitor(begin(Path(migrated.info.database), migrated.folder.with_name("other")), Watching())


def test_two_do_not_watch_at_once(migrated: Run) -> None:
    with migrated.locked("monitor"), pytest.raises(NotAllowedNow, match="Another process"):
        monitor(migrated, Watching(once=True))


def test_it_does_not_touch_the_database(migrated: Run) -> None:
    database = Path(migrated.info.database)
    before = database.read_bytes(), database.stat().st_mtime_ns
    monitor(migrated, Watching(seconds=60, every=0.1, once=True))
    assert (database.read_bytes(), database.stat().st_mtime_ns) == before


def test_the_command_line_for_a_scheduler(migrated: Run) -> None:
    arguments = ["monitor", "--run-dir", str(migrated.folder), "--once"]
    seen = CliRunner().invoke(main, arguments)
    assert seen.exit_code == 0, seen.output
    assert seen.output.rstrip().endswith("  ok")
    wrong = CliRunner().invoke(main, [*arguments, "--for", "soon"])
    assert wrong.exit_code == 2
    assert "is not a valid duration" in wrong.output


def observed_at(minute: int, **more: object) -> Observation:
    at = f"2026-11-{22 + minute // 1440}T{minute // 60 % 24:02d}:{minute % 60:02d}:00.000+00:00"
    return Observation(
        at=at, seconds=0.1, without_organization={"projects": 0}, every=300.0, **more
    )  # type: ignore[arg-type]


def day(step: int = 5) -> Iterator[Observation]:
    yield from (observed_at(minute) for minute in range(0, 1441, step))


def seal(run: Run, series: list[Observation]) -> None:
    """The record that a monitoring with this series leaves."""
    for observation in series:
        append(run.folder, observation)
    run.perform("monitor", MonitorRecord, lambda stage: sum_up(series, 86_400.0, "in time"))


def test_a_whole_day_is_done(migrated: Run) -> None:
    seal(migrated, list(day()))
    line = checklist(read_contents(migrated.folder))[7]
    assert line.state == "done"
    assert line.details[0].startswith("Watched for 24 h from 22 November 2026, 00:00:00 UTC")


def test_a_day_with_a_gap_is_not_done(migrated: Run) -> None:
    series = [observation for i, observation in enumerate(day()) if not 100 < i < 200]
    assert sum_up(series, 86_400.0).watched_seconds == pytest.approx(86_400 - 100 * 300 + 300)
    seal(migrated, series)
    line = checklist(read_contents(migrated.folder))[7]
    assert line.state == "not done"
    assert line.details[-1] == "The specification asks for 24 h."


@pytest.mark.parametrize(
    "amiss",
    [
        {"log_lines": 1, "log_samples": ("ERROR",)},
        {"health": Answer(0.0, 500, False, "500 instead of 200")},
        {"violations": {"references_to_nothing": 1}},
    ],
)
def test_a_day_in_which_something_was_amiss_failed(migrated: Run, amiss: dict[str, object]) -> None:
    seal(migrated, [*day(), observed_at(1445, **amiss)])
    assert checklist(read_contents(migrated.folder))[7].state == "failed"


def test_a_question_that_is_never_answered_is_named_everywhere(migrated: Run) -> None:
    """On a large database without WAL, a query may need longer than writers may be kept waiting."""
    why = "not within 0.25 s"
    series = [
        dataclasses.replace(observation, unanswered={"references_to_nothing": why})
        for observation in day()
    ]
    assert "not answered: references_to_nothing (not within 0.25 s)" in describe(series[0])
    seal(migrated, series)
    line = checklist(read_contents(migrated.folder))[7]
    assert "Never answered, so not known to hold: references_to_nothing" in line.details
    write_report(migrated.folder)
    page = Page((migrated.folder / "report.html").read_text())
    row = f"references_to_nothing {why} {len(series)} {len(series)}"
    assert f"Not answered Observations {row}" in page.text
    # Answered once, it is known, and still said how often it was not.
    append(migrated.folder, observed_at(1445))
    line = checklist(read_contents(migrated.folder))[7]
    assert not any("Never answered" in detail for detail in line.details)
    assert f"{len(series)} observations in which a question was not answered" in line.details


def test_the_picture_tells_what_was_seen() -> None:
    from runbook.report.monitoring_chart import monitoring_chart

    assert monitoring_chart([]) == ""
    quiet = monitoring_chart(list(day()))
    assert "Rows without organization: no problem" in quiet
    assert 'class="amiss"' not in quiet
    loud = monitoring_chart([*day(), observed_at(1445, log_lines=7)])
    assert "Log lines that match: 7, in 1 observation" in loud
    assert ">7</text>" in loud
    assert loud.count('class="amiss"') == 1
    assert "<script" not in monitoring_chart([observed_at(0, violations={"<script>": 1})])
