"""What pip installs works by itself: anywhere, whatever the current folder holds."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

# Into the environment itself: the runbook that lies among the borrowed libraries does not count.
INTO = ("--no-deps", "--no-compile", "--no-index", "--ignore-installed")

SHADOW = "raise RuntimeError('the folder in the current folder was taken for the package')\n"


def command(*words: str | Path, cwd: Path) -> str:
    """What a command prints; it must succeed, with none of our own paths to help it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    ended = subprocess.run(
        [*map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a clone in a folder called `runbook` has it, without what was built before."""
    folder = tmp_path_factory.mktemp("parent") / "runbook"
    folder.mkdir()
    for name in ("runbook", "sql", "notebooks"):
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


def pip(python: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Our pip, working on another environment."""
    call = [sys.executable, "-m", "pip", "--python", python, *words, "--quiet"]
    return subprocess.run([*map(str, call)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that can build, with the setuptools of this one."""
    return empty_environment(tmp_path_factory.mktemp("builder") / "environment")


@pytest.fixture(scope="module")
def wheel(sources: Path, builder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by pip as anybody would."""
    out = tmp_path_factory.mktemp("wheel")
    built = pip(builder, "wheel", "--no-deps", "--no-build-isolation", "-w", out, sources)
    assert built.returncode == 0, built.stderr
    (path,) = out.glob("*.whl")
    return path


def empty_environment(folder: Path) -> Path:
    """The Python of a new environment that has the libraries of this one, but not the runbook."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    libraries = next(p for p in site.getsitepackages() if Path(p, "papermill").is_dir())
    # A plain path: the .pth files in it, one of which may lead to the clone, are not read.
    (packages / "libraries.pth").write_text(libraries + "\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment into which the wheel was installed."""
    python = empty_environment(tmp_path_factory.mktemp("installed") / "environment")
    done = pip(python, "install", *INTO, wheel)
    assert done.returncode == 0, done.stderr
    return python


def test_the_wheel_carries_every_file(wheel: Path) -> None:
    carried = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "runbook").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted |= {f"runbook/{path.relative_to(ROOT)}" for path in (ROOT / "sql").rglob("*.sql")}
    wanted |= {f"runbook/{path.relative_to(ROOT)}" for path in ROOT.glob("notebooks/*.ipynb")}
    assert not wanted - carried
    assert {name for name in carried if ".dist-info/" not in name} == wanted


def test_it_works_beside_a_folder_of_its_name(installed: Path, tmp_path: Path) -> None:
    """There and back by command, and a stage through Papermill, none of it from the clone.

    Every command runs beside a package of that name. `python -c` and the kernel of a notebook take
    what the current folder holds before what is installed, as Python and IPython have it; they run
    beside a folder that is no package, as the clone is for its parent.
    """
    package, parent = tmp_path / "package", tmp_path / "parent"
    for folder in (package, parent):
        (folder / "runbook").mkdir(parents=True)
    (package / "runbook" / "__init__.py").write_text(SHADOW)
    runbook = installed.parent / "runbook"

    def call(*words: str) -> str:
        return command(runbook, *words, cwd=package)

    where = command(installed, "-c", "import runbook; print(runbook.__file__)", cwd=parent).strip()
    assert Path(where).is_relative_to(installed.parent.parent)

    assert "5 users, 20 projects" in call("sample", "s.db", "--users", "5", "--projects", "20")
    call("notebooks", "copies")
    copy, database = package / "copies" / "01_preflight.ipynb", package / "s.db"
    papermill = [installed, "-m", "papermill", copy, "out.ipynb"]
    command(*papermill, "-p", "database", database, "-p", "run_dir", "runs/p", cwd=parent)
    assert (parent / "runs" / "p" / "stages" / "01_preflight.json").is_file()

    call("run", "--database", "s.db", "--run-dir", "runs/x", "--yes")
    assert "verdict" in call("status", "--run-dir", "runs/x").lower()
    call("rollback", "--run-dir", "runs/x", "--yes")
    assert (package / "runs" / "x" / "stages" / "08_rollback.json").is_file()


def test_an_editable_install_works_from_the_parent_of_the_clone(
    sources: Path, builder: Path, tmp_path: Path
) -> None:
    """There, the clone is a folder `runbook` without being the package."""
    done = pip(builder, "install", *INTO, "--no-build-isolation", "--editable", sources)
    assert done.returncode == 0, done.stderr
    call = [builder, "-c", "from runbook.cli import main; main()"]
    command(*call, "sample", tmp_path / "s.db", cwd=sources.parent)
    command(*call, "notebooks", tmp_path / "copies", cwd=sources.parent)
    assert len(list((tmp_path / "copies").glob("*.ipynb"))) == len(
        list((ROOT / "notebooks").glob("*.ipynb"))
    )
