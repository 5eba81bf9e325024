"""The maintenance window in the notebooks, as a person goes through them cell by cell."""

from __future__ import annotations

from collections.abc import Callable

import nbformat
import pytest
from nbclient import NotebookClient

from runbook.errors import NotAllowedNow, NotProven, RunbookError, WindowFailed
from runbook.notebook import window as cells
from runbook.run.folder import Run, now
from runbook.run.records import Confirmation
from runbook.stages import migrate, preflight, rollback, snapshot, verify
from runbook.window.store import read_ticks
from tests.support.databases import execute
from tests.support.notebooks import NOTEBOOKS
from tests.support.windows import Site, Window, content, states

Settings = dict[str, object]


def counting(site: Site) -> Settings:
    """The plan of the application; each command leaves a line in the file `did`."""
    did = f"echo {{}} >> '{site.folder / 'did'}'; "
    return site.settings() | {
        "window.maintenance_on": {"shell": did.format("on") + f"touch '{site.maintenance}'"},
        "window.maintenance_off": {"shell": did.format("off") + f"rm -f '{site.maintenance}'"},
        "window.deploy": {"shell": did.format("deploy") + f"echo new > '{site.code}'"},
        "window.smoke": {"shell": did.format("smoke")},
    }


def did(site: Site) -> list[str]:
    path = site.folder / "did"
    return path.read_text().split() if path.exists() else []


def opened(run: Run, name: str) -> nbformat.NotebookNode:
    """The notebook with parameters."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    parameters = {"run_dir": str(run.folder), "confirm": run.info.identity.name}
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            lines = cell.source.splitlines()
            for n, line in enumerate(lines):
                parameter = line.partition(":")[0]
                if parameter in parameters:
                    lines[n] = f"{parameter}: str = {parameters[parameter]!r}"
            cell.source = "\n".join(lines)
    return notebook


def gone_through(run: Run, name: str, *, stubborn: bool = False) -> str:
    """Executes every cell, with `stubborn` also those after an error; all that they showed."""
    notebook = opened(run, name)
    NotebookClient(notebook, kernel_name="python3", allow_errors=stubborn, timeout=120).execute()
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    return "\n".join(
        str(part)
        for o in outputs
        for part in (
            "".join(o.get("traceback", [])),
            o.get("text", ""),
            *o.get("data", {}).values(),
        )
    )


def agreed(run: Run) -> Confirmation:
    return Confirmation("tester", now(), "test")


def until_verified(run: Run) -> Run:
    preflight.preflight(run)
    cells.maintenance_on(run)
    snapshot.snapshot(run)
    migrate.migrate(run, agreed(run))
    verify.verify(run)
    return run


@pytest.mark.slow
def test_a_person_takes_the_application_through_the_window(site: Site) -> None:
    run = Window.of(site, counting(site)).run
    preflight.preflight(run)
    text = gone_through(run, "03_snapshot")
    assert "Line 2: cannot be ticked by hand" in text
    assert 'answered 503 with "maintenance"' in text
    assert (site.get()[0], states(run)) == (503, ("before", "old", "on"))

    site.maintenance.unlink()  # somebody opens it, before the migration
    assert "so it was shut again" in gone_through(run, "04_migrate")
    assert (site.get()[0], states(run)) == (503, ("migrated", "old", "on"))

    text = gone_through(run, "05_verify")
    for detail in (
        'answered 200 with "well"',
        "0 differences",
        "no longer shows a maintenance page",
    ):
        assert detail in text
    assert site.get() == (200, "welcome")
    assert site.get("/health") == (200, "well, new code")
    assert states(run) == ("migrated", "new", "off")
    once = ["on", "on", "deploy", "smoke", "off"]
    assert did(site) == once

    # All of it a second time is shown, and shuts nobody out.
    for name in ("03_snapshot", "04_migrate", "05_verify"):
        assert "Done already at" in gone_through(run, name, stubborn=True)
        assert site.get() == (200, "welcome")
    assert did(site) == once


@pytest.mark.slow
def test_a_failed_deployment_stops_and_the_site_stays_shut_until_the_way_back(site: Site) -> None:
    settings = counting(site)
    settings["window.deploy"] = {"shell": "echo no space left; exit 4"}
    before = content(site.database)
    run = until_verified(Window.of(site, settings).run)
    text = gone_through(run, "05_verify", stubborn=True)  # goes on after every error
    assert "WindowFailed: The new code was not deployed" in text
    assert "[window.deploy] ended with exit status" in text
    assert "The maintenance window is not over." in text
    assert "| no space left" in text  # a person reads it; what is kept is archived
    kept = (run.folder / "notebooks" / "05_verify.ipynb").read_text()
    assert "The maintenance window is not over." in kept
    assert "no space left" not in kept
    assert f"runbook rollback --run-dir {run.folder}" in text
    assert '"Deployment" is not done, so "Maintenance off" may not follow' in text
    assert "**Done.** The application is still shut." in text
    assert site.get()[0] == 503
    assert states(run) == ("migrated", "unknown", "on")
    assert did(site) == ["on"]

    text = gone_through(run, "08_rollback")
    assert "the old code again" in text
    assert site.get() == (200, "welcome")
    assert site.get("/health") == (200, "well, old code")
    assert states(run) == ("rolled back", "old", "off")
    assert content(site.database) == before


FAILING: dict[str, Callable[[Site], Settings]] = {
    "deploy": lambda site: {"window.deploy": {"command": ["false"]}},
    "health": lambda site: {"window.deploy": {"shell": f"echo broken > '{site.code}'"}},
    "smoke": lambda site: {"window.smoke": {"command": ["false"]}},
    "maintenance_off": lambda site: {"window.maintenance_off": {"command": ["false"]}},
}


@pytest.mark.parametrize("name", FAILING)
def test_nothing_follows_a_step_that_failed(name: str, site: Site) -> None:
    run = until_verified(Window.of(site, counting(site) | FAILING[name](site)).run)
    before = cells.AFTER_VERIFY[: cells.AFTER_VERIFY.index(name)]
    for step in before:
        getattr(cells, step)(run)
    with pytest.raises(WindowFailed):
        getattr(cells, name)(run)
    for step in cells.AFTER_VERIFY[len(before) + 1 :]:
        with pytest.raises(NotAllowedNow, match="may not follow"):
            getattr(cells, step)(run)
    assert site.get()[0] == 503


def test_nothing_is_opened_over_a_failed_verdict_or_before_one(site: Site) -> None:
    run = Window.of(site, counting(site)).run
    preflight.preflight(run)
    cells.maintenance_on(run)
    snapshot.snapshot(run)
    for step in cells.AFTER_VERIFY:
        with pytest.raises(RunbookError):
            getattr(cells, step)(run)
    migrate.migrate(run, agreed(run))
    execute(site.database, "DROP INDEX idx_projects_org")
    assert verify.verify(run).verdict == "fail"
    for step in cells.AFTER_VERIFY:
        with pytest.raises(NotProven):
            getattr(cells, step)(run)
    assert did(site) == ["on"]
    assert site.get()[0] == 503


def test_nobody_is_shut_out_for_a_snapshot_that_may_not_be_taken(site: Site) -> None:
    run = Window.of(site, counting(site)).run
    with pytest.raises(NotAllowedNow, match="preflight is not finished"):
        cells.maintenance_on(run)
    assert did(site) == []


def test_after_a_rollback_nothing_new_is_opened(site: Site) -> None:
    run = until_verified(Window.of(site, counting(site)).run)
    with pytest.raises(NotAllowedNow, match="not taken back"):
        cells.open_again(run)
    rollback.rollback(run, agreed(run))
    for step in cells.AFTER_VERIFY:
        with pytest.raises(NotAllowedNow, match="taken back"):
            getattr(cells, step)(run)
    assert site.get()[0] == 503
    cells.open_again(run)
    assert site.get() == (200, "welcome")
    assert did(site) == ["on", "off"]
    cells.open_again(run)  # nothing is left to do
    assert did(site) == ["on", "off"]


def test_what_is_not_configured_is_ticked_by_name(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(cells, "echo", said.append)
    run = until_verified(Window.of(site, {}).run)
    for step in cells.AFTER_VERIFY:
        getattr(cells, step)(run)
    assert "Maintenance on: not configured in the plan." in said
    assert "Deployment: not configured in the plan." in said
    cells.tick(run, 2)
    assert said[-1].startswith("Line 2: not ticked.")
    assert read_ticks(run.folder) == ()
    cells.tick(run, 2, by="Ann", note="page put up")
    assert said[-1].startswith("Line 2: ticked by hand by Ann, ")
    assert said[-1].endswith("(page put up).")
    cells.tick(run, 2)
    assert said[-1].startswith("Line 2: ticked by hand by Ann, ")
    with pytest.raises(NotAllowedNow, match="not ticked by hand"):
        cells.tick(run, 6, by="Ann")
