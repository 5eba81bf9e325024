"""Sets up wrangler (and with it workerd, D1's engine) for the D1 target, in one of two editions.

    python -m runbook.targets.d1.install            installs the pinned one, if it is not there yet
    python -m runbook.targets.d1.install --newest   the newest that is tested, with its own Node
    python -m runbook.targets.d1.install --check    only says whether it is there

They go into `.tools/d1/` and `.tools/d1-newest/` of the clone, or where the runbook was installed
from a wheel into the user's cache folder, from a lock file, with npm; no package's install script
runs. Which of them drives a database, `choose.py` says.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.errors import TargetError
from runbook.files import parse_json
from runbook.resources import tools_folder

SOURCES = Path(__file__).parent / "tools"
OVERRIDE = "RUNBOOK_WRANGLER"
MINIMUM_NODE = (20, 3)
_MARK = "installed.sha256"
_INSTALL_SECONDS = 900

Version = tuple[int, ...]


@dataclass(frozen=True)
class Tool:
    """A wrangler that can be run: `node script ...`."""

    node: Path
    script: Path
    version: str

    @property
    def command(self) -> tuple[str, ...]:
        """The words that start it."""
        return (str(self.node), str(self.script))


@dataclass(frozen=True)
class Edition:
    """One wrangler that the runbook brings: its lock file is in `sources`, its place `folder`."""

    sources: Path
    folder: Path
    option: str = ""

    @property
    def script(self) -> Path:
        """What Node runs."""
        return self.folder / "node_modules" / "wrangler" / "bin" / "wrangler.js"

    @property
    def version(self) -> str:
        """The version of wrangler in the lock file."""
        package = parse_json((self.sources / "package.json").read_text(encoding="utf-8"))
        return str(package["dependencies"]["wrangler"])

    @property
    def is_installed(self) -> bool:
        """Whether the folder holds exactly what the lock file says."""
        mark = self.folder / _MARK
        return mark.is_file() and mark.read_text(encoding="ascii").strip() == self._digest()

    @property
    def command(self) -> str:
        """What installs it."""
        return f"python -m runbook.targets.d1.install{self.option}"

    def tool(self) -> Tool:
        """Its wrangler.

        Raises:
            TargetError: it is not installed, or no Node is new enough.
        """
        if not self.is_installed:
            find_node()
            raise TargetError(f"The wrangler that drives D1 is not set up; run `{self.command}`.")
        return tool_at(self.script)

    def install(self) -> Tool:
        """Installs it, unless it is there already; a broken attempt leaves nothing.

        Raises:
            TargetError: Node or npm is missing, or npm could not fetch the packages.
        """
        if self.is_installed:
            return self.tool()
        find_node()
        npm = shutil.which("npm")
        if npm is None:
            raise TargetError(
                "npm is needed to install wrangler for D1 and is not on the PATH; install it."
            )
        fresh = self.folder.with_name(f"{self.folder.name}.new-{os.getpid()}")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(self.sources / name, fresh / name)
            _npm_ci(npm, fresh)
            (fresh / _MARK).write_text(self._digest() + "\n", encoding="ascii")
            shutil.rmtree(self.folder, ignore_errors=True)
            fresh.rename(self.folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        find_node.cache_clear()
        return self.tool()

    def _digest(self) -> str:
        return hashlib.sha256((self.sources / "package-lock.json").read_bytes()).hexdigest()


PINNED = Edition(SOURCES, tools_folder() / "d1")
"""The newest that runs on Node 20."""

NEWEST = Edition(SOURCES / "newest", tools_folder() / "d1-newest", " --newest")
"""The newest that the tests were run with; it needs Node 22, and brings it."""


@functools.cache
def find_node(minimum: Version = MINIMUM_NODE) -> Path:
    """A Node of at least that version: the one on the PATH, or else the newest edition's.

    Raises:
        TargetError: there is none, or only an old one.
    """
    wanted = ".".join(map(str, minimum))
    path = shutil.which("node")
    if path is None:
        raise TargetError(
            f"Node {wanted} or newer is needed to reach D1 and no `node` is on the PATH; install "
            "Node with npm, or use a SQLite file."
        )
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60)
    version = re.match(r"v(\d+)\.(\d+)", answer.stdout)
    if version is not None and (int(version[1]), int(version[2])) >= minimum[:2]:
        return Path(path)
    for brought in sorted((NEWEST.folder / "node_modules").glob("node-*/bin/node")):
        return brought
    raise TargetError(
        f"Node {wanted} or newer is needed to reach D1 and {path} is "
        f"{answer.stdout.strip() or 'broken'}; install a newer Node."
    )


def tool_at(script: Path) -> Tool:
    """The wrangler whose script that is, with a Node that is new enough for it.

    Raises:
        TargetError: there is none, or no Node for it.
    """
    package = read_package(script)
    engines = str(package.get("engines", {}).get("node", ""))
    needed = re.search(r">=\s*(\d+)\.(\d+)", engines)
    minimum = (int(needed[1]), int(needed[2])) if needed else MINIMUM_NODE
    return Tool(find_node(max(minimum, MINIMUM_NODE)), script, str(package["version"]))


def read_package(script: Path) -> dict[str, Any]:
    """What the package of a wrangler's script says of itself.

    Raises:
        TargetError: there is no wrangler.
    """
    try:
        text = (script.parent.parent / "package.json").read_text(encoding="utf-8")
        package: dict[str, Any] = parse_json(text)
        if package["name"] == "wrangler" and package["version"]:
            return package
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise TargetError(
        f"There is no wrangler at {script}; let {OVERRIDE} name the file "
        "`node_modules/wrangler/bin/wrangler.js`, or leave it unset."
    )


def script_of(named: Path) -> Path:
    """`node_modules/.bin/wrangler` is a link to the script; a folder holds it."""
    named = named.expanduser().resolve()
    return named / "bin" / "wrangler.js" if named.is_dir() else named


def _npm_ci(npm: str, folder: Path) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        ended = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise TargetError(
            f"npm did not finish installing wrangler within {_INSTALL_SECONDS} s; look at the "
            "network and try again."
        ) from None
    if ended.returncode != 0:
        lines = [line.strip() for line in ended.stderr.splitlines() if "npm error" in line]
        # Addresses are left out: a private registry's may carry a password.
        reason = re.sub(r"\S+://\S+", "(address)", lines[0]) if lines else "no reason given"
        raise TargetError(
            f"npm could not install wrangler ({reason}); check that its registry can be reached."
        )


def main(arguments: list[str] | None = None) -> int:
    """Installs or checks; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    edition = NEWEST if "--newest" in arguments else PINNED
    try:
        tool = edition.tool() if "--check" in arguments else edition.install()
    except TargetError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"wrangler {tool.version} at {tool.script.parent.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
