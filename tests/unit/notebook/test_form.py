"""The form in 01_preflight: what it offers, how a run is begun with it, and what is left of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from runbook import notebook as nb
from runbook.notebook import entry, form, offers
from runbook.notebook.form import Values
from runbook.resources import copy_notebooks
from runbook.sample.make import make_sample


class Handle:
    """A place in a page."""

    def __init__(self, shown: list[Any]) -> None:
        self.shown = shown

    def update(self, shown: Any) -> None:
        self.shown[-1] = shown


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is displayed to a person who is there."""
    shown: list[Any] = []

    def display(what: Any, display_id: bool = False) -> Handle:
        shown.append(what)
        return Handle(shown)

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(form, "has_person", lambda: True)
    return shown


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notebooks' folder in a workspace with two databases and two plans, where one stands."""
    make_sample(tmp_path / "one.db", users=3, projects=3)
    (tmp_path / "data").mkdir()
    shutil.copy(tmp_path / "one.db", tmp_path / "data" / "two")
    copy_notebooks(tmp_path / "notebooks")
    (tmp_path / "plan.toml").write_text('[users]\ntable = "users"\nkey = "id"\n')
    (tmp_path / "wrong.toml").write_text("[users]\ntabel = 1\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (tmp_path / "empty.toml").write_text("")
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setattr(entry, "_BEGUN", {})
    monkeypatch.setattr(form, "_LATEST", {})
    return tmp_path / "notebooks"


def test_databases_and_plans_of_the_workspace_are_offered(here: Path) -> None:
    os.mkfifo(here.parent / "pipe.db")  # nobody writes: opening it would wait for ever
    (here.parent / "text.db").write_text("SQLite")
    shutil.copytree(here.parent / "data", here.parent / "runs" / "x" / "backup")
    shutil.copytree(here.parent / "data", here.parent / ".git")
    (here.parent / "data" / "circle").symlink_to(here.parent)
    assert offers.databases(here) == ("../one.db", "../data/two")
    assert offers.plans(here) == ("../plan.toml", "../wrong.toml")


def test_nothing_is_shown_where_nobody_attends(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = nb.choose("../one.db", "", "", "Ann", "T-1")
    run = nb.begin(choice)
    assert capsys.readouterr().out == ""
    assert run.folder.parent == here.parent / "runs"
    assert (run.session.operator, run.session.ticket, run.session.way) == ("Ann", "T-1", "")


def test_a_run_is_begun_by_the_next_cell_with_what_the_form_says(
    here: Path, page: list[Any]
) -> None:
    choice = nb.choose("../one.db")
    (box,) = page
    database, other, plan, operator, ticket, _, _ = box.children
    assert [value for _, value in plan.options] == ["", "../plan.toml", "../wrong.toml"]
    database.value, plan.value, operator.value = "../data/two", "../plan.toml", "<Ann>"
    ticket.value = "T-7"
    run = nb.begin(choice)
    assert run.info.identity.name == "two"
    assert run.info.plan_file == str(here.parent / "plan.toml")
    assert (run.info.operator, run.info.ticket) == ("<Ann>", "T-7")
    # What is left of the form needs no kernel.
    text = page[0].data
    assert "<li>database: <code>../data/two</code></li>" in text
    assert "&lt;Ann&gt;" in text
    assert f"../runs/{run.folder.name}" in text
    other.value = "nothing.db"  # changes nothing any more
    # Run again from the top, the cells go on with what was chosen.
    again = nb.begin(nb.choose("../one.db"))
    assert again.folder.name == run.folder.name


def test_the_button_begins_and_the_next_cell_goes_on_with_that_run(
    here: Path, page: list[Any]
) -> None:
    choice = nb.choose("../one.db")
    plan, button, message = (page[0].children[n] for n in (2, 5, 6))
    plan.value = "../wrong.toml"
    button.click()
    assert "did you mean &quot;table&quot;" in message.value
    assert not (here.parent / "runs").exists()
    plan.value = ""
    button.click()
    (folder,) = (here.parent / "runs").glob("*-one")
    assert nb.begin(choice).folder.name == folder.name
    assert nb.begin(choice).folder.name == folder.name
    assert len(list((here.parent / "runs").glob("*-one"))) == 1


def test_another_database_can_be_typed(here: Path, page: list[Any]) -> None:
    choice = nb.choose("../one.db")
    page[0].children[1].value = " ../data/two "
    assert choice.values == Values("../data/two")


def test_there_is_no_form_over_a_run_that_is_named(here: Path, page: list[Any]) -> None:
    run = nb.begin("../one.db")
    assert nb.begin(nb.choose("", "", str(run.folder))).folder == run.folder
    assert page == []


def test_the_same_kernel_stays_with_its_run_until_it_was_rolled_back(here: Path) -> None:
    first = nb.begin("../one.db")
    assert nb.begin("../one.db", operator="Bob").folder == first.folder
    assert nb.begin("../data/two").folder != first.folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(first), "record", lambda self, stage: object())
        assert nb.begin("../one.db").folder != first.folder
