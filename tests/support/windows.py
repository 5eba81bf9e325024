"""What the tests of the maintenance window share: the application, its plan, its notebooks without kernels."""

from __future__ import annotations

import ast
import contextlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runbook.headless.run_stages import Options, run_stages
from runbook.run.folder import Run, file_stem
from runbook.run.notebooks import keep_notebook
from runbook.run.records import RehearseRecord
from runbook.sample.make import make_sample
from runbook.stages.open_run import open_run
from runbook.window.state import window_state
from tests.support.databases import connected, dump
from tests.support.notebooks import NOTEBOOKS, code_cells

APPLICATION = Path(__file__).with_name("application.py")


@dataclass
class Site:
    """The application, running, and the files that command it."""

    folder: Path
    database: Path
    url: str
    process: subprocess.Popen[bytes]

    @property
    def errors(self) -> Path:
        """What the server complained of on its standard error."""
        return self.folder / "errors"

    @property
    def maintenance(self) -> Path:
        return self.folder / "maintenance"

    @property
    def code(self) -> Path:
        return self.folder / "code"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def get(self, path: str = "/") -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def post(self, **form: str) -> int:
        data = urllib.parse.urlencode(form).encode()
        try:
            with urllib.request.urlopen(self.url + "/projects", data, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def settings(self) -> dict[str, object]:
        """The plan's settings for this application, to be changed by a test."""
        return {
            "window": {"quiet_seconds": 0.3},
            "window.maintenance_on": {"command": ["touch", str(self.maintenance)]},
            "window.maintenance_off": {"command": ["rm", "-f", str(self.maintenance)]},
            "window.deploy": {"shell": f"echo new > '{self.code}'"},
            "window.undeploy": {"shell": f"echo old > '{self.code}'"},
            "window.smoke": {"command": ["grep", "-q", "new", str(self.code)]},
            "window.maintenance": {
                "url": self.url + "/",
                "status": 503,
                "text": "maintenance",
                "timeout": 1.0,
                "every": 0.1,
            },
            "window.health": {
                "url": self.url + "/health",
                "text": "well",
                "timeout": 1.5,
                "every": 0.1,
            },
            "monitor": {"logs": [str(self.log)]},
        }


@contextlib.contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """The application over a sample database, in a process of its own."""
    folder.mkdir(parents=True)
    database = folder / "app.db"
    make_sample(database, users=20, projects=60)
    (folder / "code").write_text("old")
    (folder / "log").touch()
    with (folder / "errors").open("wb") as errors:
        command = [sys.executable, str(APPLICATION), str(folder), str(database)]
        process = subprocess.Popen(command, stderr=errors)
    try:
        while not (folder / "port").exists():
            assert process.poll() is None, "the application did not start"
            time.sleep(0.02)
        yield Site(folder, database, f"http://127.0.0.1:{(folder / 'port').read_text()}", process)
    finally:
        process.kill()
        process.wait()


def write_plan(path: Path, settings: Mapping[str, object]) -> Path:
    """A plan in TOML of sections with settings; JSON's texts, numbers and lists are TOML's."""
    lines = []
    for section, values in settings.items():
        if values is None:
            continue
        assert isinstance(values, dict)
        lines.append(f"[{section}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass
class Direct:
    """Executes the notebooks' cells in this process; hooks are called around a stage's own call."""

    before: dict[str, Callable[[Run], object]] = field(default_factory=dict)
    after: dict[str, Callable[[Run], object]] = field(default_factory=dict)
    rehearse: bool = False

    def __call__(self, run: Run, stage: str, parameters: Mapping[str, object]) -> None:
        name = f"{file_stem(stage)}.ipynb"
        try:
            if stage == "rehearse" and not self.rehearse:
                nothing = RehearseRecord((), (), (), True, 0.0, 0.0, 0, 0)
                run.perform("rehearse", RehearseRecord, lambda stage: nothing)
            else:
                self._execute(run, stage, parameters)
        finally:
            keep_notebook(run.folder, name, b"{}")

    def _execute(self, run: Run, stage: str, parameters: Mapping[str, object]) -> None:
        names: dict[str, object] = {}
        for cell in code_cells(NOTEBOOKS / f"{file_stem(stage)}.ipynb"):
            for statement in ast.parse("".join(cell["source"])).body:
                own = f"nb.{stage}(" in ast.unparse(statement)
                if own:
                    self.before.get(stage, lambda run: None)(run)
                exec(compile(ast.Module([statement], []), stage, "exec"), names)
                if own:
                    self.after.get(stage, lambda run: None)(run)
            if "parameters" in cell["metadata"].get("tags", []):
                assert set(parameters) <= set(names), "Papermill would not know one of these"
                names.update(parameters)


@dataclass
class Window:
    """A run of the application's window, and the lines that it printed."""

    run: Run
    lines: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, site: Site, settings: Mapping[str, object], name: str = "run") -> Window:
        plan = write_plan(site.folder / f"{name}.toml", settings)
        folder = site.folder / name
        return cls(
            open_run(str(site.database), plan=str(plan), run_dir=str(folder), operator="tester")
        )

    def go(self, execute: Direct | None = None, on_failure: str = "stop", **more: object) -> None:
        run_stages(
            self.run,
            Options(yes=True, echo=self.lines.append, on_failure=on_failure, **more),  # type: ignore[arg-type]
            execute or Direct(),
        )

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def content(database: Path) -> str:
    """Everything in the database as text, the schema included, and its journal mode."""
    with connected(database) as connection:
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    return f"{mode} {version}\n{dump(database)}"


def states(run: Run) -> tuple[str, str, str]:
    """State of database, code and maintenance mode."""
    state = window_state(run)
    return state.database, state.code, state.maintenance
