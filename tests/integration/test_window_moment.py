"""The window says what is, not what was: a real server, with old code and new.

What is printed in each situation is typed in `test_window_ways.py`; here is what else must hold.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.support.databases import connected, execute
from tests.support.typist import Answer, in_this_process
from tests.support.typist import Operator as AtATerminal
from tests.support.windows import Site, content, states

__all__ = ["in_this_process"]

Settings = dict[str, object]


pytestmark = pytest.mark.usefixtures("in_this_process")


@dataclass(frozen=True)
class Operator(AtATerminal):
    """A person at a terminal with a plan of this application."""

    settings: Settings = field(default_factory=dict)

    def starts(self, *more: str) -> Answer:
        return self.begins(self.settings, *more)

    def takes(self, answer: Answer, title: str, by_hand: Callable[[], object] = bool) -> Answer:
        """Types every line of a printed way."""
        return self.executes(answer.ways()[title], lambda line: by_hand())

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
    operator = Operator(site, settings=settings)
    stopped = operator.starts()
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

    still = operator.takes(stopped, GO_ON)  # nothing was corrected: the same again
    assert still.code == 1
    execute(site.database, "DELETE FROM projects WHERE id = 'p-late'")
    done = operator.takes(still, GO_ON)
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
    operator = Operator(site, settings=settings)
    done = operator.starts()
    assert done.code == 0, done.text
    shown = operator.types("status", "--run-dir", str(operator.folder)).text
    assert "since the verification: " in shown.splitlines()[0]
    assert '+1 in "projects"' in shown.splitlines()[0]


def test_where_the_page_does_not_answer_the_last_sight_is_dated(site: Site) -> None:
    settings = site.settings()
    settings["window.smoke"] = {"command": ["false"]}
    settings["window.maintenance"]["timeout"] = 0.3  # type: ignore[index]
    operator = Operator(site, settings=settings)
    stopped = operator.starts()
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
    again = operator.goes_on()  # proven in vain: that it was shut, and when, is said all the same
    assert re.search(r"^  verify +done already: ", again.text, re.MULTILINE)
    assert re.search(r"shut .*, last proven .*; after that its proof failed", again.text)
    assert "the database passes, but the window is not over" in again.text


def test_a_rollback_shuts_an_open_application_before_it_begins(site: Site) -> None:
    settings = site.settings()
    seen = site.folder / "seen"
    settings["window.undeploy"] = {
        "shell": f"[ -e '{site.maintenance}' ] && echo shut > '{seen}'; echo old > '{site.code}'"
    }
    operator = Operator(site, settings=settings)
    assert operator.starts().code == 0
    back = operator.types("rollback", "--run-dir", str(operator.folder), "--yes")
    assert back.code == 0, back.text
    assert seen.read_text() == "shut\n"
    assert site.get("/health") == (200, "well, old code")


def test_code_is_not_opened_over_a_database_that_it_does_not_fit(site: Site) -> None:
    """Old code over the new database, then new code over the old one."""
    settings: Settings = {**site.settings(), "window.deploy": {"command": ["false"]}}
    operator = Operator(site, settings=settings)
    assert operator.starts().code == 1
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
    operator = Operator(site, settings=settings)
    stopped = operator.starts("--on-failure", "rollback")
    assert stopped.code == 1
    folder = str(operator.folder)
    refused = operator.types("maintenance", "off", "--run-dir", folder)
    assert refused.code == 1
    assert "the database is as before, and" in refused.text
    assert site.get()[0] == 503
    early = operator.types("tick", "undeploy", "--run-dir", folder, "--by", " ")
    assert early.code == 2
    opened = operator.takes(
        stopped, "To open the application as it was", lambda: site.code.write_text("old")
    )
    assert opened.code == 0, opened.text
    assert (site.get()[0], states(operator.run)) == (200, ("rolled back", "old", "off"))
    shown = operator.types("status", "--run-dir", folder)
    assert "The old code was put back" in shown.text


def test_after_a_verdict_of_fail_the_verification_is_made_again(site: Site) -> None:
    settings = site.settings()
    settings["window.deploy"] = {"shell": f"echo new > '{site.code}'"}
    operator = Operator(site, settings=settings)
    assert operator.starts("--until", "migrate").code == 0
    with connected(site.database) as connection:
        (index,) = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE name = 'idx_projects_org'"
        ).fetchone()
    execute(site.database, "DROP INDEX idx_projects_org")
    failed = operator.goes_on()
    assert failed.code == 1
    assert "verdict fail" in failed.text
    assert site.get()[0] == 503
    assert operator.takes(failed, GO_ON).code == 1  # asked again, and fails again
    execute(site.database, index)
    done = operator.takes(failed, GO_ON)
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
    operator = Operator(site, settings=settings)
    before = content(site.database)
    assert operator.starts("--on-failure", "rollback").code == 1
    again = operator.goes_on("--on-failure", "rollback")
    assert again.code == 1
    assert "was not opened again" in again.text
    assert "begin a new" not in again.text
    assert "maintenance  on: " in again.text
    assert (site.get()[0], states(operator.run)) == (503, ("rolled back", "unknown", "on"))
    mended.touch()
    opened = operator.takes(again, "To open the application as it was")
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
