"""The notebooks in real JupyterLab in Chromium, cell by cell, as an operator goes through them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runbook.sample.make import make_sample
from tests.support.notebooks import stage_folder
from tests.support.paths import ROOT
from tests.support.runs import begin, until_migrated

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Locator, Page, expect  # noqa: E402

from tests.support.lab import Lab, Notebook, jupyterlab, without_outputs  # noqa: E402

SCREENS = ROOT / "build" / "screens"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("jupyterlab"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is neither chromium nor google-chrome"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the project, with a fresh sample and notebooks that were never run."""
    folder = tmp_path_factory.mktemp("project")
    without_outputs(stage_folder(folder))
    return folder


@pytest.fixture(scope="module")
def lab(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with jupyterlab(project, tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


def opened(page: Page, lab: Lab, name: str) -> Notebook:
    page.goto(lab.address(f"notebooks/{name}.ipynb"))
    return Notebook(page, name)


def followed(notebook: Notebook, name: str) -> Notebook:
    """The notebook behind the link in the last line."""
    notebook.codes()[-1].locator(".jp-OutputArea-output a", has_text=name).click()
    return Notebook(notebook.page, name)


def shown(page: Page, name: str) -> Notebook:
    """The notebook that is open already, behind its tab."""
    page.locator("#jp-main-dock-panel [role=tab]", has_text=name).click()
    return Notebook(page, name)


def set_parameters(project: Path, name: str, **values: str) -> None:
    """Writes parameters into a notebook, as a person does before running it."""
    path = project / "notebooks" / f"{name}.ipynb"
    notebook = json.loads(path.read_text())
    cell = next(c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", []))
    lines = "".join(cell["source"]).splitlines()
    for parameter, value in values.items():
        (number,) = [n for n, line in enumerate(lines) if line.startswith(f"{parameter}:")]
        comment = lines[number].partition("  #")
        lines[number] = f'{parameter}: str = "{value}"' + "".join(comment[1:])
    cell["source"] = "\n".join(lines)
    path.write_text(json.dumps(notebook))


def record(project: Path, stem: str) -> dict[str, Any]:
    (run,) = (project / "runs").glob("*-sample")
    loaded: dict[str, Any] = json.loads((run / "stages" / f"{stem}.json").read_text())
    return loaded


def ledger(project: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(project / "sample" / "sample.db")) as connection:
        return connection.execute("SELECT * FROM runbook_ledger").fetchall()


def fill_form(notebook: Notebook) -> None:
    """Runs 01_preflight with its form, whose button begins the run."""
    parameters, choice, *following = notebook.codes()
    notebook.run(parameters, 1)
    notebook.run(choice, 2)
    form = choice.locator(".widget-vbox")
    expect(form.locator("select").first).to_have_value("../sample/sample.db")
    form.get_by_label("ticket").fill("OPS-7")
    notebook.picture(SCREENS / "01_form.png")
    form.locator("button").click()
    expect(choice).to_contain_text("Begun in ../runs/", timeout=60_000)
    expect(form).to_have_count(0)
    for number, cell in enumerate(following, start=3):
        notebook.run(cell, number)
        expect(notebook.errors(cell), notebook.text(cell)).to_have_count(0)
    expect(following[0]).to_contain_text("OPS-7")
    notebook.picture(SCREENS / "01_preflight.png")


def loaded_anew_while_it_asks(notebook: Notebook, cell: Locator) -> Notebook:
    """The page is loaded anew while the cell asks; what the notebook says to do then is done."""
    notebook.press(cell)
    expect(cell.locator("input.jp-Stdin-input")).to_be_visible(timeout=60_000)
    notebook.page.once("dialog", lambda dialog: dialog.accept())  # leave the page?
    notebook.page.reload()
    notebook = Notebook(notebook.page, "04_migrate", state="Unknown")
    expect(notebook.panel.locator("input.jp-Stdin-input")).to_have_count(0)
    expect(notebook.cells.first).to_contain_text("interrupt it (the button with the square)")
    notebook.interrupt()
    return notebook


def test_cell_by_cell_to_pass_and_back(project: Path, lab: Lab, page: Page) -> None:
    """What a person types is a ticket in the form, and the database's name; nothing else."""
    before = (project / "sample" / "sample.db").read_bytes()
    notebook = opened(page, lab, "01_preflight")
    fill_form(notebook)
    notebook = followed(notebook, "02_rehearse")
    for name, following in (("02_rehearse", "03_snapshot"), ("03_snapshot", "04_migrate")):
        notebook.run_all()
        notebook.picture(SCREENS / f"{name}.png")
        notebook = followed(notebook, following)

    parameters, migrate, *_ = notebook.codes()
    notebook.run(parameters, 1)
    notebook = loaded_anew_while_it_asks(notebook, migrate)
    _, migrate, *_ = notebook.codes()
    notebook.answer(migrate, "wrong.db", SCREENS / "04_asked.png")
    expect(migrate.locator(".jp-InputPrompt")).to_have_text("[3]:", timeout=60_000)
    expect(notebook.errors(migrate)).to_contain_text(
        'NotConfirmed: The database sample.db was not changed, because "wrong.db" was typed'
    )
    notebook.picture(SCREENS / "04_refused.png")
    assert (project / "sample" / "sample.db").read_bytes() == before

    notebook.answer(migrate, "sample.db")
    expect(migrate.locator(".jp-InputPrompt")).to_have_text("[4]:", timeout=60_000)
    expect(notebook.errors(migrate)).to_have_count(0)
    for number, cell in enumerate(notebook.codes()[2:], start=5):
        notebook.run(cell, number)
        expect(notebook.errors(cell)).to_have_count(0)
    notebook.picture(SCREENS / "04_migrate.png")

    first, row = record(project, "04_migrate"), ledger(project)
    migrated = (project / "sample" / "sample.db").read_bytes()
    assert first["status"] == "finished"
    assert len(row) == 1
    count = len(notebook.codes()) + 2
    notebook.run_all(after=count)  # nobody is asked, nothing is done
    expect(notebook.codes()[1]).to_contain_text("Done already at")
    notebook.picture(SCREENS / "04_again.png")
    assert record(project, "04_migrate") == first
    assert ledger(project) == row
    assert (project / "sample" / "sample.db").read_bytes() == migrated

    for name in ("05_verify", "06_report"):
        notebook = followed(notebook, name)
        notebook.run_all()
        notebook.picture(SCREENS / f"{name}.png")
    assert record(project, "05_verify")["result"]["verdict"] == "pass"
    expect(notebook.codes()[1].locator("table").last.locator("td").nth(1)).to_have_text("pass")
    notebook.codes()[-1].locator(".jp-OutputArea-output a").first.click()
    expect(page.locator(".jp-HTMLViewer")).to_be_visible()

    notebook = followed(shown(page, "06_report"), "07_monitor")
    notebook.run_all()
    notebook.picture(SCREENS / "07_monitor.png")
    watched = record(project, "07_monitor")
    assert watched["result"]["verdict"] == "pass"
    assert watched["result"]["observations"] >= 2
    notebook.run_all(after=len(notebook.codes()))
    again = record(project, "07_monitor")["result"]  # no verdict without an observation of its own
    assert again["start"] == watched["result"]["start"]
    assert again["observations"] > watched["result"]["observations"]

    notebook = followed(shown(page, "06_report"), "08_rollback")
    for number, cell in enumerate(notebook.codes(), start=1):
        if "nb.rollback(" in cell.locator(".cm-content").inner_text():
            notebook.answer(cell, "the new code lost drafts")
            notebook.reply(cell, "Type its name", "sample.db")
            expect(cell.locator(".jp-InputPrompt")).to_have_text(f"[{number}]:", timeout=60_000)
        else:
            notebook.run(cell, number)
        expect(notebook.errors(cell), notebook.text(cell)).to_have_count(0)
    notebook.picture(SCREENS / "08_rollback.png")
    back = record(project, "08_rollback")["result"]
    assert back["done"]
    assert back["confirmation"]["reason"] == "the new code lost drafts"
    notebook = shown(page, "04_migrate")
    notebook.run_all(after=2 * count - 2)
    expect(notebook.codes()[1]).to_contain_text("The migration was taken back at")
    with closing(sqlite3.connect(project / "sample" / "sample.db")) as connection:
        assert connection.execute("SELECT count(*) FROM projects").fetchone() == (1000,)
        names = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    assert ("organizations",) not in names

    notebook = opened(page, lab, "09_explore")  # of the latest run, from its snapshots alone
    notebook.run_all()
    assert notebook.panel.locator(".jp-OutputArea-output img").count() == 1
    assert "org-usr_" in notebook.text(notebook.codes()[3])
    notebook.picture(SCREENS / "09_explore.png")


def test_errors_are_a_sentence_with_the_traceback_folded_away(
    project: Path, lab: Lab, page: Page
) -> None:
    make_sample(project / "sample" / "messy.db", messy=True)
    shutil.copy(project / "notebooks" / "01_preflight.ipynb", project / "notebooks" / "messy.ipynb")
    set_parameters(project, "messy", database="../sample/messy.db", run_dir="../runs/messy")
    notebook = opened(page, lab, "messy")
    cells = notebook.codes()
    for number, cell in enumerate(cells, start=1):
        notebook.run(cell, number)
    expect(cells[3]).to_contain_text("block")
    expect(cells[4]).to_contain_text("correct or delete them")
    expect(cells[5]).to_contain_text("Not known: a hazard blocks the run")
    expect(notebook.errors(cells[-1])).to_contain_text("Blocked: Preflight blocks the run")
    folded = cells[-1].locator("details")
    expect(folded.locator("pre")).not_to_be_visible()
    notebook.picture(SCREENS / "01_blocked.png")
    folded.locator("summary").click()
    expect(folded.locator("pre")).to_contain_text("Traceback (most recent call last)")

    count = len(cells) + 1
    notebook.set(cells[2], "nb.go_on(run, 'nonsense')")
    notebook.run(cells[2], count)
    expect(notebook.errors(cells[2])).to_contain_text("Unexpected: ValueError")
    expect(cells[2].locator("details pre")).not_to_be_visible()
    notebook.set(cells[2], "fuond")
    notebook.run(cells[2], count + 1)
    expect(notebook.errors(cells[2])).to_contain_text("NameError")
    expect(cells[2].locator("details")).to_have_count(0)
    notebook.picture(SCREENS / "01_unexpected.png")


def test_the_monitoring_grows_and_survives_an_interrupt_and_a_new_kernel(
    project: Path, lab: Lab, page: Page
) -> None:
    database = project / "sample" / "watched.db"
    make_sample(database, users=40, projects=120)
    until_migrated(begin(database, project / "runs" / "watched"))
    shutil.copy(project / "notebooks" / "07_monitor.ipynb", project / "notebooks" / "watch.ipynb")
    set_parameters(project, "watch", run_dir="../runs/watched", watch_for="1h", every="1s")
    notebook = opened(page, lab, "watch")
    parameters, watching, *_ = notebook.codes()
    rows = watching.locator("table").nth(1).locator("tbody tr")  # the first names the run
    notebook.run(parameters, 1)
    notebook.press(watching)
    expect(rows.nth(2)).to_be_visible(timeout=60_000)
    expect(watching.locator("img")).to_have_count(1)  # one picture, which is drawn anew
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE projects SET organization_id = NULL WHERE rowid <= 49")
    expect(rows.first).to_contain_text("49 rows without organization", timeout=60_000)

    page.locator("[data-command='notebook:interrupt-kernel'], [title^='Interrupt']").first.click()
    expect(notebook.errors(watching)).to_contain_text("Interrupted", timeout=60_000)
    before = rows.count()
    assert before >= 4
    expect(rows.first).to_contain_text("49 rows without organization")
    notebook.picture(SCREENS / "07_interrupted.png")

    page.locator("[data-command='notebook:restart-kernel'], [title^='Restart the']").first.click()
    page.locator(".jp-Dialog button.jp-mod-accept").click()
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)
    notebook.run(parameters, 1)
    notebook.press(watching)
    expect(watching.locator("img")).to_have_count(1, timeout=60_000)
    shown = page.locator("p", has_text="observations,").last
    expect(shown).to_contain_text("watched of 1 h")
    assert int(shown.inner_text().split()[0]) >= before  # what the first kernel observed is there
    page.locator("[data-command='notebook:interrupt-kernel'], [title^='Interrupt']").first.click()
    expect(notebook.errors(watching)).to_contain_text("Interrupted", timeout=60_000)
