"""Sets up the one pinned wrangler (and with it workerd, D1's engine) for the D1 target.

    python -m runbook.targets.d1.install            installs it, if it is not there yet
    python -m runbook.targets.d1.install --check    only says whether it is there

It goes into `.tools/d1/` of the clone, or where the runbook was installed from a wheel into the
user's cache folder, from a lock file, with npm; no package's install script runs. One version is
pinned because workerd cannot open local state that a newer one has written. RUNBOOK_WRANGLER may
name another wrangler, for example the application's own `node_modules/.bin/wrangler`.
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

from runbook.errors import TargetError
from runbook.files import parse_json
from runbook.resources import tools_folder

SOURCES = Path(__file__).parent / "tools"
OVERRIDE = "RUNBOOK_WRANGLER"
MINIMUM_NODE = (20, 3)
FOLDER = tools_folder() / "d1"
_MARK = "installed.sha256"
_INSTALL_SECONDS = 900


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


@functools.cache
def find_node() -> Path:
    """Node, new enough for the pinned wrangler.

    Raises:
        TargetError: there is no Node on the PATH, or only an old one.
    """
    wanted = ".".join(map(str, MINIMUM_NODE))
    path = shutil.which("node")
    if path is None:
        raise TargetError(
            f"Node {wanted} or newer is needed to reach D1 and no `node` is on the PATH; install "
            "Node with npm, or use a SQLite file."
        )
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60)
    version = re.match(r"v(\d+)\.(\d+)", answer.stdout)
    if version is None or (int(version[1]), int(version[2])) < MINIMUM_NODE:
        raise TargetError(
            f"Node {wanted} or newer is needed to reach D1 and {path} is "
            f"{answer.stdout.strip() or 'broken'}; install a newer Node."
        )
    return Path(path)


def find_tool() -> Tool:
    """The wrangler to use: RUNBOOK_WRANGLER's, or else the pinned one.

    Raises:
        TargetError: there is none; the message says how to get it.
    """
    named = os.environ.get(OVERRIDE)
    if named:
        return _tool_at(_script_of(Path(named)))
    if not is_installed():
        find_node()
        raise TargetError(
            "The wrangler that drives D1 is not set up; run `python -m runbook.targets.d1.install`."
        )
    return _tool_at(FOLDER / "node_modules" / "wrangler" / "bin" / "wrangler.js")


def is_installed() -> bool:
    """Whether the folder holds exactly what the lock file says."""
    mark = FOLDER / _MARK
    return mark.is_file() and mark.read_text(encoding="ascii").strip() == _lock_digest()


def install() -> Tool:
    """Installs the pinned wrangler, unless it is there already; a broken attempt leaves nothing.

    Raises:
        TargetError: Node or npm is missing, or npm could not fetch the packages.
    """
    if is_installed():
        return find_tool()
    find_node()
    npm = shutil.which("npm")
    if npm is None:
        raise TargetError(
            "npm is needed to install wrangler for D1 and is not on the PATH; install it."
        )
    fresh = FOLDER.with_name(f"{FOLDER.name}.new-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCES / name, fresh / name)
        _npm_ci(npm, fresh)
        (fresh / _MARK).write_text(_lock_digest() + "\n", encoding="ascii")
        shutil.rmtree(FOLDER, ignore_errors=True)
        fresh.rename(FOLDER)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return _tool_at(FOLDER / "node_modules" / "wrangler" / "bin" / "wrangler.js")


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


def _tool_at(script: Path) -> Tool:
    package = script.parent.parent / "package.json"
    try:
        version = str(parse_json(package.read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError) as error:
        raise TargetError(
            f"There is no wrangler at {script}; let {OVERRIDE} name the file "
            "`node_modules/wrangler/bin/wrangler.js`, or leave it unset."
        ) from error
    return Tool(find_node(), script, version)


def _script_of(named: Path) -> Path:
    """`node_modules/.bin/wrangler` is a link to the script; a folder holds it."""
    named = named.expanduser().resolve()
    return named / "bin" / "wrangler.js" if named.is_dir() else named


def _lock_digest() -> str:
    return hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Installs or checks; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        tool = find_tool() if "--check" in arguments else install()
    except TargetError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"wrangler {tool.version} at {tool.script.parent.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
