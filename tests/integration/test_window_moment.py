"""The window says what is, not what was: a real server, old and new code, and every way out typed.

Each situation asks the page, the database, the message, the exit code and the checklist; the
commands that were printed are executed as they stand there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbook.report.checklist import checklist
from runbook.report.contents import read_contents
from runbook.run.folder import Run
from runbook.window.store import read_step
from tests.support.databases import connected, execute
from tests.support.windows import Site, content, states, write_plan

Settings = dict[str, object]
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Answer:
    """How a command ended and all that it printed."""

    code: int
    text: str

    def ways(self) -> dict[str, list[str]]:
        """The printed ways out: title to the lines to be typed."""
        ways: dict[str, list[str]] = {}
        title = ""
        for line in self.text.splitlines():
            if line.startswith("To ") and line.endswith(":"):
                title = line.removesuffix(":")
                ways[title] = []
            elif title and line.startswith("  "):
                ways[title].append(line.strip())
            else:
                title = ""
        return ways


@dataclass
class Operator:
    """A person at a terminal: a plan, a run folder, and what is typed."""

    site: Site
    settings: Settings

    @property
    def folder(self) -> Path:
        return self.site.folder / "run"

    @property
    def run(self) -> Run:
        return Run.open(self.folder)

    def types(self, *words: str) -> Answer:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.direct_cli", *words],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return Answer(done.returncode, done.stdout + done.stderr)

    def begins(self, *more: str) -> Answer:
        plan = write_plan(self.site.folder / "plan.toml", self.settings)
        names = ("--database", str(self.site.database), "--plan", str(plan))
        return self.types("run", *names, "--run-dir", str(self.folder), "--yes", *more)

    def goes_on(self, *more: str) -> Answer:
        return self.types("run", "--run-dir", str(self.folder), "--yes", *more)

    def executes(self, answer: Answer, title: str, by_hand: Callable[[], object] = bool) -> Answer:
        """Types every line of a printed way; a comment is what is to be done by hand."""
        last = answer
        for line in answer.ways()[title]:
            if line.startswith("#"):
                by_hand()
                continue
            program, *words = shlex.split(line)
            assert program == "runbook", line
            last = self.types(*words)
            if last.code:
                return last
        return last

    def line(self, number: int) -> str:
        return checklist(read_contents(self.folder))[number - 1].state

    def verdict(self) -> str:
        audit = json.loads((self.folder / "audit.json").read_text())
        return str(audit["verdict"])


GO_ON = "To go on, once it is corrected"
GO_BACK = "To go back and open the application"


def without_organization(site: Site) -> int:
    with connected(site.database) as connection:
        query = "SELECT count(*) FROM projects WHERE organization_id IS NULL"
        return int(connection.execute(query).fetchone()[0])


def script(site: Site, text: str) -> dict[str, object]:
    """A command that runs `text` as a program of Python's."""
    path = site.folder / f"script{len(list(site.folder.glob('script*')))}.py"
    path.write_text(text)
    return {"command": [sys.executable, str(path)]}


INSERT = """
import sqlite3, sys, pathlib
connection = sqlite3.connect({database!r})
connection.execute(
    "INSERT INTO projects (id, name, owner_id) SELECT 'p-late', 'late', id FROM users LIMIT 1"
)
connection.commit()
pathlib.Path({code!r}).write_text("new")
"""


def test_a_row_of_the_deploy_script_is_found_before_the_opening(site: Site) -> None:
    settings = site.settings()
    names = {"database": str(site.database), "code": str(site.code)}
    settings["window.deploy"] = script(site, INSERT.format(**names))
    operator = Operator(site, settings)
    stopped = operator.begins()
    assert stopped.code == 1, stopped.text
    assert re.search(r"resources without organization \(.*'p-late'\)", stopped.text)
    assert '1 row in "projects"' in stopped.text
    assert "the application was not opened" in stopped.text
    assert "PASS" not in stopped.text
    assert (site.get()[0], states(operator.run)) == (503, ("migrated", "new", "on"))
    assert without_organization(site) == 1
    assert (operator.line(4), operator.line(7), operator.verdict()) == (
        "failed",
        "not done",
        "fail",
    )
    shut = operator.types("maintenance", "off", "--run-dir", str(operator.folder))
    assert (shut.code, site.get()[0]) == (1, 503), shut.text

    still = operator.executes(stopped, GO_ON)  # nothing was corrected: the same again
    assert still.code == 1
    execute(site.database, "DELETE FROM projects WHERE id = 'p-late'")
    done = operator.executes(still, GO_ON)
    assert done.code == 0, done.text
    assert re.search(r"^  deploy +done already: ", done.text, re.MULTILINE)
    assert site.get() == (200, "welcome")
    assert (operator.line(4), operator.line(7), operator.verdict()) == ("done", "done", "pass")
    shown = operator.types("status", "--run-dir", str(operator.folder))
    assert "asked again before the application opens" in shown.text


def test_a_row_with_an_organization_is_named_and_opened(site: Site) -> None:
    """New code may make rows: they are counted in what PASS says, and stop nothing."""
    settings = site.settings()
    insert = INSERT.replace("(id, name, owner_id)", "(id, name, owner_id, organization_id)")
    insert = insert.replace(
        "'late', id FROM users LIMIT 1",
        "'late', owner_id, organization_id FROM projects WHERE organization_id NOT NULL LIMIT 1",
    )
    names = {"database": str(site.database), "code": str(site.code)}
    settings["window.deploy"] = script(site, insert.format(**names))
    operator = Operator(site, settings)
    done = operator.begins()
    assert done.code == 0, done.text
    shown = operator.types("status", "--run-dir", str(operator.folder)).text
    assert "Since the verification: " in shown.splitlines()[0]
    assert '+1 in "projects"' in shown.splitlines()[0]


def test_killed_while_deploying_and_the_page_lost_in_the_reboot(site: Site) -> None:
    settings = site.settings()
    first = site.folder / "first"
    settings["window.deploy"] = {
        "shell": f"[ -e '{first}' ] || {{ touch '{first}'; kill -9 $PPID; exit 1; }};"
        f" echo new > '{site.code}'"
    }
    operator = Operator(site, settings)
    assert operator.begins().code == -9
    site.maintenance.unlink()
    shown = operator.types("status", "--run-dir", str(operator.folder))
    assert "maintenance  open: " in shown.text
    with connected(site.database) as connection:
        (user,) = connection.execute("SELECT id FROM users LIMIT 1").fetchone()
    assert site.post(id="p-late", name="by old code", user=user) == 201
    stopped = operator.goes_on()
    assert stopped.code == 1, stopped.text
    assert "'p-late'" in stopped.text
    assert site.get()[0] == 503
    step = read_step(operator.folder, "maintenance_on")
    assert step is not None
    assert any("found open at" in line for line in step.details)
    assert operator.line(7) == "not done"

    back = operator.executes(stopped, GO_BACK)
    assert back.code == 0, back.text
    assert site.get() == (200, "welcome")
    assert site.get("/health") == (200, "well, old code")
    with connected(site.database) as connection:  # what a user wrote is kept
        assert connection.execute("SELECT count(*) FROM projects WHERE id = 'p-late'").fetchone()[0]
    assert states(operator.run) == ("rolled back", "old", "off")


def test_where_the_page_does_not_answer_the_last_sight_is_dated(site: Site) -> None:
    settings = site.settings()
    settings["window.smoke"] = {"command": ["false"]}
    settings["window.maintenance"]["timeout"] = 0.3  # type: ignore[index]
    operator = Operator(site, settings)
    stopped = operator.begins()
    assert "maintenance  on: " in stopped.text
    assert "nothing: it stays shut" in stopped.text
    site.maintenance.unlink()
    shown = operator.types("status", "--run-dir", str(operator.folder))
    assert "maintenance  open: " in shown.text
    site.process.kill()
    site.process.wait()
    shown = operator.types("status", "--run-dir", str(operator.folder))
    assert re.search(
        r"maintenance  not known: .* gave no connection at .* last proven ", shown.text
    )
    assert "stays shut" not in shown.text


def test_opened_but_not_well_and_every_way_out_shuts_first(site: Site) -> None:
    """The command of opening breaks the new code: the application is open, and not well."""
    for way in (GO_BACK, "To shut it until then", GO_ON):
        settings = site.settings()
        once = site.folder / "once"
        once.unlink(missing_ok=True)
        settings["window.maintenance_off"] = {
            "shell": f"rm -f '{site.maintenance}';"
            f" [ -e '{once}' ] || {{ touch '{once}'; echo broken > '{site.code}'; }}"
        }
        operator = Operator(site, settings)
        if operator.folder.exists():
            operator.folder.rename(site.folder / f"earlier{len(list(site.folder.iterdir()))}")
        before = content(site.database)
        stopped = operator.begins()
        assert stopped.code == 1, stopped.text
        assert site.get()[0] == 200
        assert "maintenance  open: " in stopped.text
        assert "stays shut" not in stopped.text
        for title, lines in stopped.ways().items():
            assert lines[0] == f"runbook maintenance on --run-dir {operator.folder}", title
        assert operator.line(7) == "failed"
        if way == GO_ON:
            site.code.write_text("new")
        ended = operator.executes(stopped, way)
        assert ended.code == 0, ended.text
        if way == GO_BACK:
            assert content(site.database) == before
            assert site.get("/health") == (200, "well, old code")
            assert states(operator.run) == ("rolled back", "old", "off")
        elif way == GO_ON:
            assert site.get() == (200, "welcome")
            assert states(operator.run) == ("migrated", "new", "off")
        else:
            assert site.get()[0] == 503
            assert operator.executes(stopped, GO_BACK).code == 0
            assert content(site.database) == before


def test_a_rollback_shuts_an_open_application_before_it_begins(site: Site) -> None:
    settings = site.settings()
    seen = site.folder / "seen"
    settings["window.undeploy"] = {
        "shell": f"[ -e '{site.maintenance}' ] && echo shut > '{seen}'; echo old > '{site.code}'"
    }
    operator = Operator(site, settings)
    assert operator.begins().code == 0
    back = operator.types("rollback", "--run-dir", str(operator.folder), "--yes")
    assert back.code == 0, back.text
    assert seen.read_text() == "shut\n"
    assert site.get("/health") == (200, "well, old code")


def test_code_is_not_opened_over_a_database_that_it_does_not_fit(site: Site) -> None:
    """Old code over the new database, then new code over the old one."""
    settings: Settings = {**site.settings(), "window.deploy": {"command": ["false"]}}
    operator = Operator(site, settings)
    assert operator.begins().code == 1
    folder = str(operator.folder)
    refused = operator.types("maintenance", "off", "--run-dir", folder)
    assert refused.code == 1
    assert "the database is migrated, and its code is not known to be new" in refused.text
    assert "--regardless" in refused.text
    assert site.get()[0] == 503
    site.code.write_text("new")
    opened = operator.types("maintenance", "off", "--run-dir", folder, "--regardless")
    assert opened.code == 0, opened.text
    assert "Opened by hand, although the database is migrated" in opened.text
    assert site.get()[0] == 200


def test_an_undeploy_by_hand_is_recorded_and_opens(site: Site) -> None:
    settings: Settings = {**site.settings(), "window.undeploy": None}
    settings["window.smoke"] = {"command": ["false"]}
    operator = Operator(site, settings)
    stopped = operator.begins("--on-failure", "rollback")
    assert stopped.code == 1
    folder = str(operator.folder)
    refused = operator.types("maintenance", "off", "--run-dir", folder)
    assert refused.code == 1
    assert "the database is as before, and" in refused.text
    assert site.get()[0] == 503
    early = operator.types("tick", "undeploy", "--run-dir", folder, "--by", " ")
    assert early.code == 2
    opened = operator.executes(
        stopped, "To open the application as it was", lambda: site.code.write_text("old")
    )
    assert opened.code == 0, opened.text
    assert (site.get()[0], states(operator.run)) == (200, ("rolled back", "old", "off"))
    shown = operator.types("status", "--run-dir", folder)
    assert "The old code was put back" in shown.text


def test_after_a_verdict_of_fail_the_verification_is_made_again(site: Site) -> None:
    settings = site.settings()
    settings["window.deploy"] = {"shell": f"echo new > '{site.code}'"}
    operator = Operator(site, settings)
    assert operator.begins("--until", "migrate").code == 0
    with connected(site.database) as connection:
        (index,) = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE name = 'idx_projects_org'"
        ).fetchone()
    execute(site.database, "DROP INDEX idx_projects_org")
    failed = operator.goes_on()
    assert failed.code == 1
    assert "verdict fail" in failed.text
    assert site.get()[0] == 503
    assert operator.executes(failed, GO_ON).code == 1  # asked again, and fails again
    execute(site.database, index)
    done = operator.executes(failed, GO_ON)
    assert done.code == 0, done.text
    assert "done already: verdict" not in done.text
    assert site.get() == (200, "welcome")
    kept = sorted(p.name for p in (operator.folder / "stages" / "attempts").iterdir())
    assert kept == ["05_verify_1.json", "05_verify_2.json"]
    assert operator.line(4) == "done"
    shown = operator.types("status", "--run-dir", str(operator.folder)).text
    assert "Verified before, " in shown
    assert "kept in stages/attempts/05_verify_1.json" in shown


def test_an_undeploy_that_failed_says_how_it_stands_when_called_again(site: Site) -> None:
    settings = site.settings()
    settings["window.smoke"] = {"command": ["false"]}
    mended = site.folder / "mended"
    settings["window.undeploy"] = {"shell": f"[ -e '{mended}' ] && echo old > '{site.code}'"}
    operator = Operator(site, settings)
    before = content(site.database)
    assert operator.begins("--on-failure", "rollback").code == 1
    again = operator.goes_on("--on-failure", "rollback")
    assert again.code == 1
    assert "was not opened again" in again.text
    assert "begin a new" not in again.text
    assert "maintenance  on: " in again.text
    assert (site.get()[0], states(operator.run)) == (503, ("rolled back", "unknown", "on"))
    mended.touch()
    opened = operator.executes(again, "To open the application as it was")
    assert opened.code == 0, opened.text
    assert site.get("/health") == (200, "well, old code")
    assert content(site.database) == before
    last = operator.goes_on()
    assert last.code == 1
    assert "begin a new one" in last.text


@pytest.mark.parametrize("text", ["", "maintenance"])
def test_the_poller_hangs_up_on_nobody(site: Site, text: str) -> None:
    """Answers of a megabyte, expected or not, are read: the application logs no broken pipe."""
    from runbook.plan.plan import Maintenance
    from runbook.window.web import ask

    for status in (200, 503):
        page = Maintenance(url=f"{site.url}/large", status=status, text=text)
        for _ in range(5):
            ask(page)
    assert site.errors.read_text() == ""
