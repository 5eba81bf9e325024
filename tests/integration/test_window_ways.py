"""Every command that is printed in the maintenance window is executed, and keeps its promise.

For each situation: what the page answers, what is in the database, the message, the exit code and
the checklist; then each printed way, typed as it stands in a copy of the situation. The server is a
real one with both versions of its code; runs up to the step before are prepared once.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runbook.report.masking import mask_emails
from runbook.stages import verify
from runbook.window.store import read_step
from runbook.window.ways import block
from tests.support.brief import brief
from tests.support.databases import connected, execute
from tests.support.typist import (
    OPERATOR,
    SECRET,
    Answer,
    Frozen,
    Operator,
    in_this_process,
    settings_of_scripts,
    write_scripts,
)
from tests.support.windows import Site, content, running_site, states

__all__ = ["in_this_process"]

pytestmark = pytest.mark.xdist_group("window ways")  # what is prepared takes as long as the tests

Do = Callable[[Operator], object]
Act = Callable[[Operator], Answer]


@dataclass(frozen=True)
class Prepared:
    """The site with runs that were taken up to certain moments."""

    site: Site
    moments: Mapping[str, Frozen]
    before: str

    def at(self, moment: str) -> Operator:
        self.moments[moment].put_back()
        return Operator(self.site)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, in_this_process: None) -> Iterator[Prepared]:
    """Rehearsed, migrated and verified; the last also by plans that name fewer commands."""
    folder = tmp_path_factory.mktemp("ways")
    moments = {}
    with running_site(folder / "ada's site") as site:
        before = content(site.database)

        def keep(moment: str) -> None:
            moments[moment] = Frozen.of(site, folder / moment)

        write_scripts(site)
        operator, settings = Operator(site), settings_of_scripts(site)
        assert operator.begins(settings, "--until", "rehearse").code == 0
        keep("rehearsed")
        assert operator.goes_on("--until", "migrate").code == 0
        keep("migrated")
        assert verify.verify(operator.run).verdict == "pass"
        keep("verified")
        fewer = {
            "no undeploy": {"window.undeploy": None},
            "page alone": {"window.maintenance_on": None, "window.maintenance_off": None},
            "deploy alone": {
                name: None for name in settings if "maintenance" in name or "health" in name
            },
        }
        for moment, changes in fewer.items():
            moments["rehearsed"].put_back()
            shutil.rmtree(operator.folder)
            if "page" in moment:
                site.maintenance.touch()
            done = operator.begins(settings | changes, "--until", "migrate")
            assert done.code == 0, done.text
            assert verify.verify(operator.run).verdict == "pass"
            keep(moment)
        yield Prepared(site, moments, before)


# -- the situations ----------------------------------------------------------------------------


def nothing(operator: Operator) -> None:
    """Nothing has happened."""


def broken(**scripts: str) -> Do:
    return lambda operator: write_scripts(operator.site, **scripts)


def insert_late(operator: Operator) -> None:
    execute(
        operator.site.database,
        "INSERT INTO projects (id, name, owner_id) SELECT 'p-late', 'l', id FROM users LIMIT 1",
    )


def deletes_late(operator: Operator) -> None:
    write_scripts(operator.site)
    execute(operator.site.database, "DELETE FROM projects WHERE id = 'p-late'")


def deploy_inserts(operator: Operator) -> None:
    site = operator.site
    statement = "INSERT INTO projects (id, name, owner_id) SELECT 'p-late', 'l', id FROM users"
    python = f"import sqlite3; c = sqlite3.connect({str(site.database)!r}); c.execute("
    python += f"{statement + ' LIMIT 1'!r}); c.commit()"
    program = site.folder / "insert.py"
    program.write_text(python)
    write_scripts(site, deploy=f'python3 "{program}" && echo new > "{site.code}"')


def killed_and_lost(operator: Operator) -> Answer:
    """Killed in the deployment; the page is lost in the reboot, and old code inserts a project."""
    site = operator.site
    write_scripts(site, deploy="kill -9 $PPID")
    assert operator.types_elsewhere("run", "--run-dir", str(operator.folder), "--yes").code == -9
    write_scripts(site)
    site.maintenance.unlink()
    assert "maintenance  open: " in operator.asks("status").text
    with connected(site.database) as connection:
        (user,) = connection.execute("SELECT id FROM users LIMIT 1").fetchone()
    assert site.post(id="p-late", name="by old code", user=user) == 201
    answer = operator.goes_on()
    shut = read_step(operator.folder, "maintenance_on")
    assert shut is not None
    assert any("found open at" in line for line in shut.details)
    return answer


def opened_not_well(operator: Operator) -> None:
    site = operator.site
    page, code = shlex.quote(str(site.maintenance)), shlex.quote(str(site.code))
    off = f"rm -f {page}; echo broken > {code}"
    write_scripts(site, maintenance_off=off)


def lose_an_index(operator: Operator) -> None:
    with connected(operator.site.database) as connection:
        query = "SELECT sql FROM sqlite_schema WHERE name = 'idx_projects_org'"
        (text,) = connection.execute(query).fetchone()
    (operator.site.folder / "index.sql").write_text(text)
    execute(operator.site.database, "DROP INDEX idx_projects_org")


def bring_the_index_back(operator: Operator) -> None:
    execute(operator.site.database, (operator.site.folder / "index.sql").read_text())


def finished_then_shutting_breaks(operator: Operator) -> Answer:
    assert operator.goes_on().code == 0
    write_scripts(operator.site, maintenance_on="echo no rights >&2; exit 3")
    return operator.asks("rollback", "--yes")


def twice(*words: str) -> Act:
    def act(operator: Operator) -> Answer:
        assert operator.goes_on(*words).code == 1
        return operator.goes_on(*words)

    return act


def then_opens(operator: Operator) -> Answer:
    assert operator.goes_on().code == 1
    return operator.asks("maintenance", "off")


def back_then_opens(operator: Operator) -> Answer:
    assert operator.goes_on("--on-failure", "rollback").code == 1
    return operator.asks("maintenance", "off")


def opens_the_page(operator: Operator) -> Answer:
    """Stopped, and then somebody opens the application: what is printed again says so."""
    assert operator.goes_on().code == 1
    operator.site.maintenance.unlink()
    return operator.goes_on("--until", "migrate")


def mend(operator: Operator) -> None:
    write_scripts(operator.site)
    if operator.site.code.read_text().strip() == "broken":
        operator.site.code.write_text("new")


@dataclass(frozen=True)
class Situation:
    """How it comes about, and what must be true of it.

    `states` are those of database, code and maintenance; `line` is a line of the checklist with its
    state. `mend` corrects what is wrong: before going on always, before other ways where the
    commands that they need are themselves broken.
    """

    moment: str
    says: str
    page: int
    states: tuple[str, str, str]
    line: tuple[int, str]
    prepare: Do = nothing
    act: Act = Operator.goes_on
    code: int = 1
    mend: Do = mend
    mend_first: bool = False
    late_row: bool = False
    titles: int = 3
    output: str = ""


SHUT = ("migrated", "new", "on")
PAINS = f"echo using --token={SECRET}; echo no space left on ada@example.org"

SITUATIONS = {
    "shutting fails": Situation(
        *("rehearsed", "ended with exit status 3", 200, ("before", "old", "off")),
        line=(2, "failed"),
        prepare=broken(maintenance_on="echo no rights >&2; exit 3"),
        mend_first=True,
        output="| no rights",
    ),
    "stopped on purpose": Situation(
        *("rehearsed", "the run was to end after snapshot", 503, ("before", "old", "on")),
        line=(7, "not done"),
        act=lambda operator: operator.goes_on("--until", "snapshot"),
        code=0,
    ),
    "killed while deploying, the page lost, a row by old code": Situation(
        *("verified", "'p-late'", 503, SHUT),
        line=(4, "failed"),
        act=killed_and_lost,
        mend=deletes_late,
        late_row=True,
    ),
    "the deploy script inserts a row": Situation(
        *("verified", "resources without organization", 503, SHUT),
        line=(4, "failed"),
        prepare=deploy_inserts,
        mend=deletes_late,
        late_row=True,
    ),
    "the deployment fails": Situation(
        *("verified", "ended with exit status 4", 503, ("migrated", "unknown", "on")),
        line=(5, "failed"),
        prepare=broken(deploy=f"{PAINS}; exit 4"),
        titles=4,
        output="| no space left on ada@example.org",
    ),
    "Ctrl-C in the deployment": Situation(
        *(
            "verified",
            "the deployment failed (it was interrupted)",
            503,
            ("migrated", "unknown", "on"),
        ),
        line=(5, "failed"),
        prepare=broken(deploy="kill -INT $PPID; sleep 60"),
        titles=4,
    ),
    "the new code is never well": Situation(
        *("verified", "500 instead of 200", 503, SHUT),
        line=(5, "failed"),
        prepare=lambda operator: write_scripts(
            operator.site, deploy=f'echo broken > "{operator.site.code}"'
        ),
    ),
    "the smoke test fails": Situation(
        *("verified", "The smoke test failed", 503, SHUT),
        line=(6, "failed"),
        prepare=broken(smoke="echo login does not work; exit 1"),
        output="| login does not work",
    ),
    "opened, and not well": Situation(
        *("verified", "500 instead of 200", 200, ("migrated", "new", "off")),
        line=(7, "failed"),
        prepare=opened_not_well,
        mend_first=True,
    ),
    "opening fails": Situation(
        *("verified", "ended with exit status 7", 503, SHUT),
        line=(7, "failed"),
        prepare=broken(maintenance_off="exit 7"),
        mend_first=True,
        titles=4,
    ),
    "the verdict is fail": Situation(
        *("migrated", "The verdict is fail", 503, ("migrated", "old", "on")),
        line=(4, "failed"),
        prepare=lose_an_index,
        mend=bring_the_index_back,
    ),
    "the old code is not put back, and the same command again": Situation(
        *("verified", "was not opened again", 503, ("rolled back", "unknown", "on")),
        line=(7, "not done"),
        prepare=broken(smoke="exit 1", undeploy="echo gone; exit 9"),
        act=twice("--on-failure", "rollback"),
        mend_first=True,
    ),
    "no command puts the old code back": Situation(
        *("no undeploy", "names no command that takes it back", 503, ("rolled back", "new", "on")),
        line=(7, "not done"),
        prepare=broken(smoke="exit 1"),
        act=lambda operator: operator.goes_on("--on-failure", "rollback"),
        titles=2,
    ),
    "shutting fails before a rollback": Situation(
        *("verified", "ended with exit status 3", 200, ("migrated", "new", "off")),
        line=(2, "failed"),
        act=finished_then_shutting_breaks,
        mend_first=True,
        titles=4,
        output="| no rights",
    ),
    "old code over the migrated database": Situation(
        *("verified", "its code is not known to be new", 503, ("migrated", "unknown", "on")),
        line=(7, "not done"),
        prepare=broken(deploy="exit 4"),
        act=then_opens,
        titles=0,
    ),
    "new code that failed its smoke test": Situation(
        *("verified", "because the smoke test failed (the command under", 503, SHUT),
        line=(7, "not done"),
        prepare=broken(smoke="exit 1"),
        act=then_opens,
        titles=0,
    ),
    "new code over the database as before": Situation(
        *("no undeploy", "the database is as before, and", 503, ("rolled back", "new", "on")),
        line=(7, "not done"),
        prepare=broken(smoke="exit 1"),
        act=back_then_opens,
        titles=0,
    ),
    "the ledger holds another run": Situation(
        *("migrated", "does not hold this run", 503, ("unknown", "old", "on")),
        line=(4, "failed"),
        prepare=lambda operator: execute(
            operator.site.database, "UPDATE runbook_ledger SET run = 'another'"
        ),
        code=3,
    ),
    "somebody opens it after a stop": Situation(
        *("verified", "the run was to end after migrate", 200, (*SHUT[:2], "off")),
        line=(6, "failed"),
        prepare=broken(smoke="exit 1"),
        act=opens_the_page,
        code=0,
    ),
    "no command opens it": Situation(
        *("page alone", "did not come back", 503, SHUT),
        line=(7, "failed"),
    ),
    "no maintenance mode, and the deployment fails": Situation(
        *(
            "deploy alone",
            "ended with exit status 4",
            200,
            ("migrated", "unknown", "not configured"),
        ),
        line=(5, "failed"),
        prepare=broken(deploy="exit 4"),
    ),
}


OFTEN = (
    "killed while deploying, the page lost, a row by old code",
    "the deploy script inserts a row",
    "opening fails",
    "the verdict is fail",
    "the old code is not put back, and the same command again",
    "somebody opens it after a stop",
)
"""What `make test` takes of them; `make faults` takes all."""


@pytest.mark.parametrize("name", brief(SITUATIONS, OFTEN.__contains__))
def test_every_printed_command_keeps_its_promise(
    name: str, prepared: Prepared, tmp_path: Path
) -> None:
    situation, operator = SITUATIONS[name], prepared.at(SITUATIONS[name].moment)
    situation.prepare(operator)
    answer = situation.act(operator)

    assert answer.code == situation.code, answer.text
    assert situation.says in answer.text
    assert SECRET not in answer.text
    assert situation.output in answer.text
    assert prepared.site.get()[0] == situation.page, answer.text
    assert states(operator.run) == situation.states
    assert operator.line(situation.line[0]) == situation.line[1]
    assert bool(late_rows(operator)) == situation.late_row
    ways, sentences = answer.ways(), answer.in_sentences()
    assert len(ways) >= situation.titles, answer.text
    assert ways or sentences, answer.text
    lines = [*sentences, *(line for way in ways.values() for line in way)]
    if situation.states[2] == "off":  # whatever is done, it is shut first
        for title, way in ways.items():
            assert " by hand" in title or "maintenance on" in way[0], title
    assert not [line for line in lines if "***" in line or "\u2022" in line]

    frozen = Frozen.of(prepared.site, tmp_path / "situation")
    trial = Trial(prepared, situation, operator)
    for title, way in ways.items():
        frozen.put_back()
        trial.keeps(title, way)
        if title.startswith("To shut the application by hand"):
            trial.goes_on_shut_by_hand(ways)
    for line in sentences:
        frozen.put_back()
        done = operator.types_line(line)
        assert done.code in (0, 1), (line, done.text)
        trial.fits(line)


@dataclass(frozen=True)
class Trial:
    """One printed way, typed in a copy of the situation."""

    prepared: Prepared
    situation: Situation
    operator: Operator
    promises: Mapping[str, Callable[[Trial], None]] = field(default_factory=dict)

    def keeps(self, title: str, lines: list[str]) -> None:
        """Raises unless the way does what its title says."""
        situation, site = self.situation, self.prepared.site
        if title == "To leave it shut":
            assert lines == ["nothing: it stays shut until one of these commands is run"]
            assert site.get()[0] == 503
            return
        by_hand = " by hand" in title
        if title.startswith("To go on") or (situation.mend_first and not by_hand):
            situation.mend(self.operator)
        done = self.operator.executes(lines, self.by_hand)
        if title == "To go back, and then open the application by hand":
            assert (done.code, site.get()[0]) == (1, 503), done.text
            title, lines = next(w for w in done.ways().items() if w[0].startswith("To open"))
            done = self.operator.executes(lines, self.by_hand)
        assert done.code == 0, (title, done.text)
        self.fits(title)
        shuts = title == "To shut it until then" or title.startswith("To shut the application by")
        if title == "To find out what is true":
            assert "another" in done.text
        elif shuts:
            assert site.get()[0] in (503, 200 if "deploy alone" in situation.moment else 503)
            assert states(self.operator.run)[:2] == situation.states[:2]
        elif title.startswith(("To go on", "To bring the new code", "To open the application by")):
            self.is_open_with_new_code(title)
        elif title.startswith("To open the application, once"):
            assert site.get()[0] == 200
        else:
            assert title.startswith(("To go back", "To open the", "To put the old code")), title
            self.is_open_as_before(title)

    def goes_on_shut_by_hand(self, ways: Mapping[str, list[str]]) -> None:
        """The plan's command still fails, and every other way goes on all the same."""
        back = "To go back and open the application"
        title = back if back in ways else "To go on, once it is corrected"
        done = self.operator.executes(ways[title], self.by_hand)
        assert done.code == 0, done.text
        (self.is_open_as_before if title == back else self.is_open_with_new_code)(title)

    def by_hand(self, line: str) -> None:
        """Does what a line with `#` asks a person to do."""
        site = self.prepared.site
        match re.sub(r"^# |, and then:$", "", line):
            case "shut the application":
                site.maintenance.touch()
            case "open the application":
                site.maintenance.unlink(missing_ok=True)
            case "bring the new code":
                site.code.write_text("new")
            case "put the old code back":
                site.code.write_text("old")
            case other:
                raise AssertionError(other)

    def fits(self, why: str) -> None:
        """Open, the application's code fits its database; `--regardless` is the only exception."""
        site = self.prepared.site
        if site.get()[0] == 200 and self.situation.states[0] != "unknown":
            database, code, _ = states(self.operator.run)
            if code in ("old", "new") and database != "unknown":
                new = site.code.read_text().strip() == "new"
                assert new == (database == "migrated"), why

    def is_open_with_new_code(self, title: str) -> None:
        site = self.prepared.site
        assert site.get() == (200, "welcome"), title
        assert site.get("/health") == (200, "well, new code"), title
        database, code, maintenance = states(self.operator.run)
        assert (database, code) == ("migrated", "new"), title
        assert maintenance in ("off", "not configured"), title
        assert self.operator.line(4) == "done", title
        if "maintenance" not in self.situation.says:
            assert late_rows(self.operator) == [], title

    def is_open_as_before(self, title: str) -> None:
        site = self.prepared.site
        assert site.get() == (200, "welcome"), title
        assert site.get("/health") == (200, "well, old code"), title
        database, code, maintenance = states(self.operator.run)
        assert database in ("before", "rolled back"), title
        assert code == "old", title
        assert maintenance in ("off", "not configured"), title
        if self.situation.late_row:  # what was written is the users' own
            assert len(late_rows(self.operator)) == 1
            execute(site.database, "DELETE FROM projects WHERE id = 'p-late'")
        assert without_index(content(site.database)) == without_index(self.prepared.before), title


def without_index(text: str) -> str:
    """The content without the inner tables of the full-text index, which grow by use."""
    return "\n".join(line for line in text.splitlines() if "project_search_" not in line)


def late_rows(operator: Operator) -> list[tuple[object, ...]]:
    with connected(operator.site.database) as connection:
        return connection.execute("SELECT id FROM projects WHERE id = 'p-late'").fetchall()


# -- what a person vouches for -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "step", "code", "says"),
    [
        ("rehearsed", "maintenance_on", 1, "200 instead of 503"),
        ("verified", "maintenance_off", 1, "its code is not known to be new"),
        ("rehearsed", "maintenance_off", 0, "Done by hand, says Ada: by the balancer"),
        ("migrated", "deploy", 1, "because the database is not verified"),
        ("verified", "deploy", 0, "Done by hand, says Ada: by the balancer"),
        ("verified", "undeploy", 1, "There is no new code"),
        ("verified", "smoke", 2, "is no step that is done by hand"),
        ("verified", "9", 2, "There is no line 9"),
        ("deploy alone", "maintenance_on", 1, "vouch for the line of the checklist instead"),
    ],
)
def test_what_an_address_shows_decides_over_a_person(
    moment: str, step: str, code: int, says: str, prepared: Prepared
) -> None:
    operator = prepared.at(moment)
    page = prepared.site.get()[0]
    words = ("tick", step, "--run-dir", str(operator.folder), "--by", "Ada")
    ticked = operator.types(*words, "--note", "by the balancer")
    assert ticked.code == code, ticked.text
    assert says in ticked.text
    assert prepared.site.get()[0] == page  # no command of the plan was run
    for line in ticked.in_sentences():
        assert operator.types_line(line).code == 0


def test_opened_by_hand_is_not_open_while_the_page_is_up(prepared: Prepared) -> None:
    operator = prepared.at("verified")
    write_scripts(operator.site, maintenance_off="exit 7")
    assert operator.goes_on().code == 1
    early = operator.types(
        "tick", "maintenance_off", "--run-dir", str(operator.folder), "--by", "Ada"
    )
    assert (early.code, prepared.site.get()[0]) == (1, 503)
    assert "still in maintenance" in early.text
    assert states(operator.run) == SHUT


# -- what is masked, and what is typed ---------------------------------------------------------


def test_no_command_is_masked_in_a_notebook(prepared: Prepared) -> None:
    """The operator's name is an e-mail address: hidden in what is said, whole in what is typed."""
    operator = prepared.at("no undeploy")
    write_scripts(operator.site, smoke="echo mail grace@example.org; exit 1")
    stopped = operator.goes_on("--on-failure", "rollback")
    typed = [line for way in stopped.ways().values() for line in way]
    assert any(OPERATOR in line for line in typed)
    problem = f"grace@example.org failed; `runbook tick deploy --by {OPERATOR}`"
    hidden = block(operator.run, problem, hide=mask_emails)
    assert [line for way in Answer(1, hidden).ways().values() for line in way] == typed
    assert "grace@" not in hidden
    assert f"--by {OPERATOR}`" in hidden
