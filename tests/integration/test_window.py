"""The application is taken through the whole maintenance window, and each line fails once."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.errors import NotAllowedNow, NotConfirmed, NotProven, Refused, WindowFailed
from runbook.headless.run_stages import Options, roll_back, run_stages
from runbook.report.checklist import checklist
from runbook.report.contents import read_contents
from runbook.run.folder import Run
from runbook.stages.monitor import Watching, monitor
from runbook.window import steps
from runbook.window.state import maintenance_state, may_be_shut, window_state
from runbook.window.store import read_step, tick
from runbook.window.workflows import Tried, Workflows
from tests.support.databases import execute
from tests.support.windows import Direct, Site, Window, content, states, write_plan

Settings = dict[str, object]


def test_the_whole_window(site: Site) -> None:
    window = Window.of(site, site.settings())
    seen: list[tuple[int, str]] = []
    executor = Direct(
        before={s: lambda run: seen.append(site.get()) for s in ("preflight", "snapshot")},
        after={"verify": lambda run: seen.append(site.get())},
        rehearse=True,
    )
    window.go(executor)
    assert [status for status, _ in seen] == [200, 503, 503]
    assert site.get() == (200, "welcome")
    assert site.get("/health") == (200, "well, new code")
    assert states(window.run) == ("migrated", "new", "off")
    record = monitor(window.run, Watching(0.6, 0.2))
    assert (record.verdict, record.ended) == ("pass", "in time")
    executor(window.run, "report", {"run_dir": str(window.run.folder)})

    lines = checklist(read_contents(window.run.folder))
    assert [line.state for line in lines] == ["done"] * 7 + ["not done"]
    assert lines[7].details[-1] == "The specification asks for 24 h."
    for line in lines:
        assert line.details, line
    said = {line.number: " ".join(line.details) for line in lines}
    assert "exit status 0" in said[2]
    assert 'answered 503 with "maintenance"' in said[2]
    assert "quiet for" in said[2]
    assert "data version" in said[2]
    assert said[2].count("Proven again at") == 1  # before the migration, beside the first proof
    assert 'answered 200 with "well"' in said[5]
    assert "compared strictly" in said[6]
    assert "0 differences" in said[6]
    assert "The window lasted" in said[7]
    assert "rehearsal took" in said[7]
    assert "write lock was held for" in said[7]
    page = (window.run.folder / "report.html").read_text()
    for title in ("Maintenance on", "Deployment", "Workflows", "Maintenance off"):
        assert title in page


def test_a_full_disk_under_the_terminal_leaves_nobody_shut_out(site: Site) -> None:
    window = Window.of(site, site.settings())

    def full(line: str) -> None:
        raise OSError(28, "No space left on device")

    run_stages(window.run, Options(yes=True, echo=full), Direct())
    assert site.get() == (200, "welcome")
    assert states(window.run) == ("migrated", "new", "off")
    logged = (window.run.folder / "log.jsonl").read_text()
    for words in ("maintenance on", "maintenance off", "No space left on device"):
        assert words in logged


def test_a_step_that_is_done_is_not_repeated(site: Site) -> None:
    settings = site.settings()
    counted = site.folder / "counted"
    settings["window.deploy"] = {"shell": f"echo new > '{site.code}'; echo x >> '{counted}'"}
    window = Window.of(site, settings)
    window.go()
    window.go()
    assert counted.read_text() == "x\n"
    assert states(window.run) == ("migrated", "new", "off")


def test_executing_a_notebook_again_shuts_nobody_out(site: Site) -> None:
    """A kill may leave a finished stage without its notebook; the application is open by now."""
    window = Window.of(site, site.settings())
    window.go()
    (window.run.folder / "notebooks" / "04_migrate.ipynb").unlink()
    seen: list[tuple[int, str]] = []
    window.go(Direct(before={"migrate": lambda run: seen.append(site.get())}))
    assert seen == [(200, "welcome")]
    assert site.get() == (200, "welcome")
    assert states(window.run) == ("migrated", "new", "off")


def test_maintenance_is_proven_again_before_the_migration(site: Site) -> None:
    """Somebody opens the application between two calls: it is shut again."""
    window = Window.of(site, site.settings())

    def stop(run: Run) -> None:
        raise Refused("A stop for the test; go on.")

    with pytest.raises(Refused, match="stop for the test"):
        window.go(Direct(before={"migrate": stop}))
    assert states(window.run) == ("before", "old", "on")
    shut_at = read_step(window.run.folder, "maintenance_on")
    site.maintenance.unlink()
    seen: list[tuple[int, str]] = []
    window.go(Direct(after={"migrate": lambda run: seen.append(site.get())}))
    assert seen[0][0] == 503
    again = read_step(window.run.folder, "maintenance_on")
    assert shut_at is not None
    assert again is not None
    assert again.at == shut_at.at
    assert any("found open at" in e and "shut again" in e for e in again.details)
    assert again.details[: len(shut_at.details)] == shut_at.details


# -- each line fails once ----------------------------------------------------------------------


@dataclass
class Failure:
    """How a line is made to fail, and what must be true then."""

    line: int
    says: str
    states: tuple[str, str, str]
    prepare: Callable[[Site, Settings], object] = lambda site, settings: None
    executor: Callable[[Site], Direct] = field(default=lambda site: Direct())
    error: type[Refused] = WindowFailed
    busy: bool = False


def setting(name: str, **values: object) -> Callable[[Site, Settings], object]:
    return lambda site, settings: settings.__setitem__(name, values)


def refuse(run: Run) -> None:
    raise Refused("The backup cannot be written (No space left); make room.")


def write_late(site: Site) -> Callable[[Run], object]:
    """A row that changes after the snapshot, which the proof before the commit must find."""

    def write(run: Run) -> None:
        execute(site.database, "UPDATE projects SET name = name || ' late' WHERE rowid = 1")
        (site.folder / "late").write_text(content(site.database))

    return write


def lose_an_index(site: Site) -> Callable[[Run], object]:
    return lambda run: execute(site.database, "DROP INDEX idx_projects_org")


def fails_once(site: Site, settings: Settings) -> None:
    """Opening fails the first two times: when it is due, and when the run is gone on with."""
    count = site.folder / "opened"
    settings["window.maintenance_off"] = {
        "shell": f"echo x >> '{count}'; [ $(wc -l < '{count}') -gt 2 ] || exit 7;"
        f" rm -f '{site.maintenance}'"
    }


def stays_shut(site: Site, settings: Settings) -> None:
    count = site.folder / "opened"
    settings["window.maintenance_off"] = {
        "shell": f"echo x >> '{count}'; [ $(wc -l < '{count}') -gt 2 ] || exit 0;"
        f" rm -f '{site.maintenance}'"
    }


FAILURES = {
    "no backup": Failure(
        1,
        "The backup cannot be written",
        ("before", "old", "on"),
        executor=lambda site: Direct(before={"snapshot": refuse}),
        error=Refused,
    ),
    "shutting fails": Failure(
        2,
        "ended with exit status 3",
        ("before", "old", "off"),
        setting("window.maintenance_on", shell="echo no rights >&2; exit 3"),
    ),
    "shutting is not there": Failure(
        2,
        "could not be started",
        ("before", "old", "off"),
        setting("window.maintenance_on", command=["./no-such-command"]),
    ),
    "shutting hangs": Failure(
        2,
        "did not finish within 0.5 s and was stopped",
        ("before", "old", "off"),
        setting("window.maintenance_on", command=["sleep", "600"], timeout=0.5),
    ),
    "the page answers 200": Failure(
        2,
        "200 instead of 503",
        ("before", "old", "off"),
        setting("window.maintenance_on", command=["true"]),
    ),
    "somebody goes on writing": Failure(
        2, "is still written to", ("before", "old", "on"), busy=True
    ),
    "the proof fails": Failure(
        3,
        "The proof failed before the commit",
        ("before", "old", "on"),
        executor=lambda site: Direct(after={"snapshot": write_late(site)}),
        error=NotProven,
    ),
    "the verdict is fail": Failure(
        4,
        "The verdict is fail",
        ("migrated", "old", "on"),
        executor=lambda site: Direct(after={"migrate": lose_an_index(site)}),
        error=NotProven,
    ),
    "the deployment fails": Failure(
        5,
        "ended with exit status 4",
        ("migrated", "unknown", "on"),
        setting("window.deploy", shell="exit 4"),
    ),
    "the new code is never well": Failure(
        5,
        "did not answer as expected within 1.5 s (last: 500 instead of 200)",
        ("migrated", "new", "on"),
        lambda site, settings: settings.__setitem__(
            "window.deploy", {"shell": f"echo broken > '{site.code}'"}
        ),
    ),
    "the smoke test fails": Failure(
        6,
        'ended with exit status 1; correct what it complains of (see "output" in ',
        ("migrated", "new", "on"),
        setting("window.smoke", shell="echo login does not work; exit 1"),
    ),
    "opening fails": Failure(7, "ended with exit status 7", ("migrated", "new", "on"), fails_once),
    "it stays shut": Failure(
        7, "did not come back within 1 s", ("migrated", "new", "on"), stays_shut
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_each_line_fails_once(name: str, site: Site) -> None:
    failure = FAILURES[name]
    settings = site.settings()
    failure.prepare(site, settings)
    before = content(site.database)
    window = Window.of(site, settings)
    with writing(site.database) if failure.busy else contextlib.nullcontext():
        with pytest.raises(failure.error) as caught:
            window.go(failure.executor(site))
        assert caught.value.exit_code == 1
        assert failure.says in str(caught.value)
        assert states(window.run) == failure.states
        # One block: the problem, the three states, and what to type.
        block = window.text[window.text.index("The maintenance window is not over.") :]
        shut = failure.states[2] == "on"
        leave = "To leave it shut" if shut else "To shut it until then"
        for word in ("problem", "database", "code", "maintenance", leave):
            assert word in block
        assert f"runbook run --run-dir {window.run.folder}" in block
        # A rollback puts the old code back and opens; without one, it is to be opened.
        migrated = failure.states[0] == "migrated"
        assert (f"runbook rollback --run-dir {window.run.folder}" in block) == migrated
        opens = shut and not migrated
        assert (f"runbook maintenance off --run-dir {window.run.folder}" in block) == opens
        line = checklist(read_contents(window.run.folder))[failure.line - 1]
        assert line.state == ("failed" if failure.line > 1 else "not done")

        # Going on runs into the same again, and is now told to lead out.
        with pytest.raises(failure.error):
            window.go(failure.executor(site), on_failure="rollback")
    assert site.get() == (200, "welcome")
    assert site.get("/health") == (200, "well, old code")
    late = site.folder / "late"  # what users wrote is theirs, and stays
    assert content(site.database) == (late.read_text() if late.exists() else before)
    assert window_state(window.run).maintenance == "off"
    assert window_state(window.run).database in ("before", "rolled back")


@contextlib.contextmanager
def writing(database: Path) -> Iterator[None]:
    """Another process that commits, all the time, what is there already."""
    code = (
        "import sqlite3, sys, time\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)\n"
        "while True:\n"
        "    c.execute('UPDATE users SET id = id WHERE rowid = 1')\n"
        "    print('.', flush=True)\n"
        "    time.sleep(0.05)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(database)], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


def test_new_code_that_cannot_be_taken_back_is_not_opened(site: Site) -> None:
    settings = {**site.settings(), "window.undeploy": None}
    settings["window.smoke"] = {"command": ["false"]}
    before = content(site.database)
    window = Window.of(site, settings)
    with pytest.raises(WindowFailed, match="smoke test"):
        window.go(on_failure="rollback")
    assert content(site.database) == before
    assert states(window.run) == ("rolled back", "new", "on")
    assert site.get()[0] == 503
    assert "# put the old code back" in window.text
    site.code.write_text("old")  # a person does it, and opens the application
    steps.maintenance_off(window.run, again=True, old_code=True)
    assert site.get()[0] == 200


@pytest.mark.parametrize("remains", [(), ("organizations: 1 rows added",)])
def test_a_workflow_that_fails_is_led_out_of(
    site: Site, monkeypatch: pytest.MonkeyPatch, remains: tuple[str, ...]
) -> None:
    """Line 6 once more: a workflow does not work, or something of it is left."""
    before = content(site.database)
    tried = Tried("organization", "delete", bool(remains), "1 row left")
    monkeypatch.setattr(steps, "try_workflows", lambda *_: Workflows((tried,), remains, 1, 1))
    window = Window.of(site, site.settings())
    says = "remained" if remains else "the workflow delete of organization did not work"
    with pytest.raises(WindowFailed, match=says) as caught:
        window.go(on_failure="rollback")
    assert caught.value.exit_code == 1
    assert checklist(read_contents(window.run.folder))[5].state == "failed"
    assert content(site.database) == before
    assert states(window.run) == ("rolled back", "old", "off")
    assert site.get() == (200, "welcome")


def test_a_rollback_that_is_refused_leaves_it_shut(site: Site) -> None:
    """Somebody made a trigger since, which a rollback would destroy: a person must decide."""
    trigger = "CREATE TRIGGER t BEFORE DELETE ON organizations BEGIN SELECT raise(abort, 'no'); END"
    window = Window.of(site, site.settings())
    with pytest.raises(WindowFailed, match="workflow delete of organization") as caught:
        window.go(
            Direct(after={"verify": lambda run: execute(site.database, trigger)}),
            on_failure="rollback",
        )
    assert caught.value.exit_code == 1
    assert "Leading out of it failed, too" in window.text
    assert states(window.run) == ("migrated", "new", "on")
    assert site.get()[0] == 503


def test_a_rollback_by_hand_opens_with_the_old_code(site: Site) -> None:
    settings = site.settings()
    settings["window.smoke"] = {"command": ["false"]}
    window = Window.of(site, settings)
    with pytest.raises(WindowFailed, match="smoke test"):
        window.go()
    window.lines.clear()
    roll_back(window.run, Options(yes=True, echo=window.lines.append), execute=Direct())
    order = [line.split()[0] for line in window.lines]
    assert order == ["rollback", "undeploy", "maintenance", "report"]
    assert "not over" not in window.text
    assert site.get() == (200, "welcome")
    assert site.get("/health") == (200, "well, old code")
    window.lines.clear()
    roll_back(window.run, Options(yes=True, echo=window.lines.append), execute=Direct())
    assert "done already" in window.text


def test_a_rollback_that_could_not_open_says_how_and_goes_on_there(site: Site) -> None:
    settings = site.settings()
    settings["window.smoke"] = {"command": ["false"]}
    settings["window.undeploy"] = {
        "shell": f"[ -e '{site.folder / 'mended'}' ] && echo old > '{site.code}'"
    }
    window = Window.of(site, settings)
    with pytest.raises(WindowFailed, match="smoke test"):
        window.go()
    window.lines.clear()
    with pytest.raises(WindowFailed, match="old code was not put back"):
        roll_back(window.run, Options(yes=True, echo=window.lines.append), execute=Direct())
    assert states(window.run) == ("rolled back", "unknown", "on")
    assert "To open the application as it was" in window.text
    assert f"runbook rollback --run-dir {window.run.folder} --yes" in window.text
    assert window.lines[-1].startswith("  report     taken back:")
    assert site.get()[0] == 503
    (site.folder / "mended").touch()
    window.lines.clear()
    # Nobody has to agree once more: the database is not changed any more.
    roll_back(window.run, Options(echo=window.lines.append), execute=Direct())
    assert "not over" not in window.text
    assert site.get("/health") == (200, "well, old code")


def test_an_unknown_database_is_left_alone(site: Site) -> None:
    """Another run's row in the ledger: nothing is rolled back and nothing is opened."""
    window = Window.of(site, site.settings())
    other = Direct(
        after={
            "migrate": lambda run: execute(
                site.database, "UPDATE runbook_ledger SET run = 'another'"
            )
        }
    )
    with pytest.raises(Exception, match=r"does not hold this run") as caught:
        window.go(other, on_failure="rollback")
    assert caught.value.exit_code == 3  # type: ignore[attr-defined]
    assert states(window.run)[0] == "unknown"
    assert site.get()[0] == 503
    assert "nothing was rolled back" in window.text


def test_a_person_who_does_not_agree_shuts_nobody_out(site: Site) -> None:
    window = Window.of(site, site.settings())
    with pytest.raises(NotConfirmed):
        run_stages(
            window.run,
            Options(ask=lambda text: "no", echo=window.lines.append, on_failure="rollback"),
            Direct(),
        )
    assert states(window.run) == ("before", "old", "off")
    assert read_step(window.run.folder, "maintenance_on") is None


def test_killed_while_shutting_is_not_taken_for_open(site: Site) -> None:
    """A kill in the middle of the command: it is not known whether the application is shut."""
    settings = site.settings()
    settings["window.maintenance_on"] = {
        "shell": f"touch '{site.maintenance}'; kill -9 $PPID; sleep 5"
    }
    window = Window.of(site, settings)
    steps_run = (
        "from pathlib import Path; from runbook.run.folder import Run; from runbook.window import steps;"
        f"steps.maintenance_on(Run.open(Path({str(window.run.folder)!r})))"
    )
    process = subprocess.run([sys.executable, "-c", steps_run], cwd=Path.cwd(), timeout=60)
    assert process.returncode == -9
    assert may_be_shut(window.run)
    assert maintenance_state(window.run) == "unknown"  # by the records; the page says more
    assert states(window.run) == ("before", "old", "on")


# -- what is not configured --------------------------------------------------------------------


def test_without_a_window_nothing_is_shown_as_done(site: Site) -> None:
    window = Window.of(site, {})
    window.go()
    lines = checklist(read_contents(window.run.folder))
    assert [lines[n - 1].state for n in (2, 5, 7)] == ["not configured"] * 3
    assert lines[5].state == "done"  # workflows need no configuration
    assert "maintenance" not in window.text


def test_a_tick_has_a_name_and_a_time_and_is_not_done(site: Site) -> None:
    window = Window.of(site, {})
    window.go()
    folder = str(window.run.folder)
    ticked = CliRunner().invoke(
        main, ["tick", "2", "--run-dir", folder, "--by", "Ada", "--note", "banner seen"]
    )
    assert ticked.exit_code == 0, ticked.output
    line = checklist(read_contents(window.run.folder))[1]
    assert line.state == "not configured"
    assert line.details[0].startswith("Not configured; ticked by Ada, ")
    assert line.details[0].endswith("banner seen")
    for number, by, code in ((1, "Ada", 1), (6, "Ada", 1), (9, "Ada", 2), (5, " ", 2)):
        refused = CliRunner().invoke(main, ["tick", str(number), "--run-dir", folder, "--by", by])
        assert refused.exit_code == code, (number, refused.output)


def test_a_line_that_is_configured_is_not_ticked(site: Site) -> None:
    window = Window.of(site, site.settings())
    with pytest.raises(NotAllowedNow, match="the plan says how"):
        tick(window.run, 2, "Ada")


def test_scan_enters_its_count_under_line_5(site: Site, tmp_path: Path) -> None:
    window = Window.of(site, site.settings())
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.ts").write_text('const q = "SELECT * FROM projects WHERE owner_id = ?";\n')
    done = CliRunner().invoke(main, ["scan", str(source), "--run-dir", str(window.run.folder)])
    assert done.exit_code == 0, done.output
    assert "a.ts:1" in done.output
    line = checklist(read_contents(window.run.folder))[4]
    assert "1 query still to be changed (1 certain, 0 likely)" in line.details[-1]


def test_the_command_line_opens_and_shuts(site: Site) -> None:
    window = Window.of(site, site.settings())
    folder = str(window.run.folder)
    shut = CliRunner().invoke(main, ["maintenance", "on", "--run-dir", folder])
    assert shut.exit_code == 0, shut.output
    assert site.get()[0] == 503
    assert site.post(id="p-late", name="late", user="u") == 503
    opened = CliRunner().invoke(main, ["maintenance", "off", "--run-dir", folder])
    assert opened.exit_code == 0, opened.output
    assert site.get()[0] == 200


def test_secrets_do_not_reach_the_run_folder(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "s3cr3t-value")
    settings = site.settings()
    settings["window.deploy"] = {"shell": f'echo "using $DEPLOY_TOKEN"; echo new > "{site.code}"'}
    window = Window.of(site, settings)
    window.go()
    step = read_step(window.run.folder, "deploy")
    assert step is not None
    assert step.output == "using ***"
    for path in window.run.folder.rglob("*"):
        if path.is_file():
            assert b"s3cr3t-value" not in path.read_bytes(), path


def test_old_code_after_the_window_is_noticed(site: Site) -> None:
    """The deployment did not reach every server: old code goes on inserting."""
    window = Window.of(site, site.settings())
    window.go()
    site.code.write_text("old")
    with contextlib.closing(__import__("sqlite3").connect(site.database)) as connection:
        (user,) = connection.execute("SELECT owner_id FROM projects LIMIT 1").fetchone()
    assert site.post(id="p-old", name="by old code", user=user) == 201
    folder = str(window.run.folder)
    arguments = ["monitor", "--run-dir", folder, "--for", "1m", "--every", "1s"]
    seen = CliRunner().invoke(main, [*arguments, "--exit-on-violation"])
    assert seen.exit_code == 1
    assert "projects: 1 row without organization" in seen.output
    assert "'p-old'" in seen.output
    assert checklist(read_contents(window.run.folder))[7].state == "failed"


def test_an_interrupted_run_says_where_everything_stands(site: Site) -> None:
    def interrupt(run: Run) -> None:
        raise KeyboardInterrupt

    window = Window.of(site, site.settings())
    with pytest.raises(KeyboardInterrupt):
        window.go(Direct(before={"verify": interrupt}))
    assert "The maintenance window is not over." in window.text
    assert states(window.run) == ("migrated", "old", "on")
    window.go()
    assert states(window.run) == ("migrated", "new", "off")


@pytest.mark.slow
def test_through_the_notebooks_and_out_again(site: Site) -> None:
    """The command itself, with its kernels: the smoke test fails, and everything is taken back."""
    settings = site.settings()
    did = site.folder / "did"
    settings["window.maintenance_on"] = {"shell": f"echo on >> '{did}'; touch '{site.maintenance}'"}
    settings["window.deploy"] = {"shell": f"echo deploy >> '{did}'; echo new > '{site.code}'"}
    settings["window.smoke"] = {"shell": f"echo smoke >> '{did}'; echo nobody logs in; false"}
    plan = write_plan(site.folder / "plan.toml", settings)
    before = content(site.database)
    folder = site.folder / "run"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "runbook", "run", "--yes", "--on-failure", "rollback"),
            *("--database", str(site.database), "--plan", str(plan), "--run-dir", str(folder)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "The smoke test failed" in done.stderr
    assert did.read_text().split() == ["on", "deploy", "smoke"]  # each by its notebook, and once
    executed = (folder / "notebooks" / "05_verify.ipynb").read_text()
    assert "The maintenance window is not over." in executed
    assert "| nobody logs in" in done.stdout
    assert "nobody logs in" not in executed
    for step in ("maintenance on", "deploy", "health", "workflows", "undeploy", "maintenance off"):
        assert re.search(rf"^  {step} +done in ", done.stdout, re.MULTILINE), step
    assert "the application is open" in done.stdout
    assert content(site.database) == before
    assert site.get() == (200, "welcome")
    assert site.get("/health") == (200, "well, old code")
    run = Run.open(folder)
    assert states(run) == ("rolled back", "old", "off")
    assert (folder / "notebooks" / "08_rollback.ipynb").exists()
    assert "Old code put back" in (folder / "report.html").read_text()
