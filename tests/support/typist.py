"""A person at a terminal in the maintenance window: types, reads, and does what is printed.

The commands of the plan are scripts beside the application, so that one plan (and one prepared
run) serves every situation: a situation changes a script. The site with its run can be frozen and
put back as it was, in place, so that each printed way is tried in the same situation.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook.cli import main
from runbook.headless import run_stages
from runbook.report.checklist import checklist
from runbook.report.contents import read_contents
from runbook.run.folder import Run
from tests.support.direct_cli import direct
from tests.support.windows import Site, write_plan

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = "ada.l@example.com"
"""An operator whose name would be masked where it is taken for personal data."""

SECRET = "hunter2-of-the-plan"
COMMANDS = ("maintenance_on", "maintenance_off", "deploy", "undeploy", "smoke")
_LIVE = ("port", "errors")
"""Files of the running server, which are never put back."""


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

    def in_sentences(self) -> list[str]:
        """The commands that stand in sentences, each once."""
        return list(dict.fromkeys(re.findall(r"`(\S*runbook [^`]+)`", self.text)))


@dataclass(frozen=True)
class Operator:
    """A person at a terminal, with a run folder beside the application."""

    site: Site
    name: str = "the run"

    @property
    def folder(self) -> Path:
        return self.site.folder / self.name

    @property
    def run(self) -> Run:
        return Run.open(self.folder)

    def types(self, *words: str) -> Answer:
        """The command in this process, its notebooks too: a second instead of many."""
        done = CliRunner().invoke(main, list(words))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Answer(done.exit_code, done.output)

    def types_elsewhere(self, *words: str) -> Answer:
        """The command in a process of its own, which may be killed."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.direct_cli", *words],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return Answer(done.returncode, done.stdout + done.stderr)

    def begins(self, settings: Mapping[str, object], *more: str) -> Answer:
        plan = write_plan(self.site.folder / f"{self.name}.toml", settings)
        names = ("--database", str(self.site.database), "--plan", str(plan))
        return self.types(
            *("run", *names, "--run-dir", str(self.folder), "--operator", OPERATOR, "--yes", *more)
        )

    def goes_on(self, *more: str) -> Answer:
        return self.types("run", "--run-dir", str(self.folder), "--yes", *more)

    def asks(self, *words: str) -> Answer:
        """A command about the run, such as `status` or `maintenance off`."""
        return self.types(*words, "--run-dir", str(self.folder))

    def types_line(self, line: str) -> Answer:
        """One printed line, word for word."""
        words = shlex.split(line)
        while words and Path(words[0]).name != "runbook":  # python -m runbook
            words.pop(0)
        assert words, line
        return self.types(*words[1:])

    def executes(self, lines: list[str], by_hand: Callable[[str], object]) -> Answer:
        """Types the lines of a printed way, until one fails; `#` says what is done by hand."""
        last = Answer(0, "")
        for line in lines:
            if line.startswith("#"):
                by_hand(line)
                continue
            last = self.types_line(line)
            if last.code:
                break
        return last

    def line(self, number: int) -> str:
        return checklist(read_contents(self.folder))[number - 1].state


@pytest.fixture(scope="module")
def in_this_process() -> Iterator[None]:
    """Notebooks are executed without kernels, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_stages, "notebooks", direct)
        yield


def settings_of_scripts(site: Site) -> dict[str, object]:
    """The site's settings, its commands as scripts that a test replaces, each with a secret."""
    settings = site.settings()
    for name in COMMANDS:
        path = site.folder / f"{name}.sh"
        settings[f"window.{name}"] = {"command": ["sh", str(path), f"--token={SECRET}"]}
    settings["window"] = {"quiet_seconds": 0.05}
    for name, seconds in (("maintenance", 0.5), ("health", 0.5)):
        settings[f"window.{name}"] |= {"timeout": seconds, "every": 0.05}  # type: ignore[operator]
    return settings


def write_scripts(site: Site, **scripts: str) -> None:
    """The scripts that do what the plan's commands are for, but for those that are passed."""
    page, code = shlex.quote(str(site.maintenance)), shlex.quote(str(site.code))
    well = {
        "maintenance_on": f"touch {page}",
        "maintenance_off": f"rm -f {page}",
        "deploy": f"echo new > {code}",
        "undeploy": f"echo old > {code}",
        "smoke": f"grep -q new {code}",
    }
    for name, text in (well | scripts).items():
        (site.folder / f"{name}.sh").write_text(text + "\n")


@dataclass(frozen=True)
class Frozen:
    """A copy of application, database, scripts and run folders, to be put back as often as wanted."""

    site: Site
    copy: Path

    @classmethod
    def of(cls, site: Site, copy: Path) -> Frozen:
        shutil.copytree(site.folder, copy, ignore=shutil.ignore_patterns(*_LIVE))
        return cls(site, copy)

    def put_back(self) -> None:
        for path in self.site.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in _LIVE and not (self.copy / path.name).exists():
                path.unlink()
        # Over the database that is there: a run knows it by its inode.
        shutil.copytree(self.copy, self.site.folder, dirs_exist_ok=True)
