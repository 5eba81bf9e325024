"""The executed notebooks in a run folder: kept whole or not at all, each with its checksum.

A stage may have been executed by the headless driver and by a person, too. Each way has a file of
its own, `04_migrate.ipynb` or `04_migrate-2.ipynb`, so that none replaces what another has shown.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from runbook.files import sha256, write_durably
from runbook.resources import resource_folder
from runbook.run.lock import hold_lock

NOTEBOOKS = resource_folder("notebooks")
"""The notebooks as they come, one for each stage."""

SUMS = "SHA256SUMS"
"""The file of checksums, in the form that `sha256sum -c` reads."""

LOCK_SECONDS = 10.0
"""How long another that keeps a notebook may take."""

ABOUT = "runbook"
"""The key of a kept notebook's metadata that says how the file came to be."""

_LINK = re.compile(r"\]\(([^()\s]+)\)")
_STEM = re.compile(r"(?P<stem>.*?)(-\d+)?\.ipynb")


def keep_notebook(run_dir: Path, name: str, content: bytes) -> str:
    """Puts an executed notebook into the run folder, whole or not at all, with its checksum.

    Returns:
        The name that it was kept under: `name`, or with a number where that is taken by a notebook
        that was executed by another way.
    """
    folder = run_dir / "notebooks"
    with hold_lock(run_dir, "notebooks", wait=LOCK_SECONDS):
        kept = _free_name(folder, name, _way(content))
        write_durably(folder / kept, content)
        sums = {**_sums(folder), kept: hashlib.sha256(content).hexdigest()}
        lines = "".join(f"{digest}  {file}\n" for file, digest in sorted(sums.items()))
        write_durably(folder / SUMS, lines.encode())
    return kept


def described(content: bytes, run_dir: Path, about: dict[str, Any]) -> bytes:
    """The notebook with `about` in its metadata, and its links as they lead from the run folder.

    One that is no JSON stays as it is.
    """
    try:
        notebook = json.loads(content)
        notebook.setdefault("metadata", {})[ABOUT] = about
        relink(notebook, run_dir)
    except (ValueError, AttributeError, TypeError, KeyError):
        return content
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def relink(notebook: dict[str, Any], run_dir: Path) -> None:
    """Leads links into the run folder from the archived place, not from where the kernel stood."""
    for cell in notebook.get("cells", []):
        if cell.get("cell_type") == "markdown":
            cell["source"] = _relinked(cell["source"], run_dir)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data:
                data["text/markdown"] = _relinked(data["text/markdown"], run_dir)


def kept_notebooks(run_dir: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names of what was kept of the notebook `name`, each with what it says of itself."""
    folder = run_dir / "notebooks"
    for file in sorted(_family(folder, name), key=lambda file: (len(file), file)):
        if not _altered(folder, file):
            yield file, _about((folder / file).read_bytes())


def has_notebook(run_dir: Path, name: str) -> bool:
    """Whether the executed notebook is there, and everything of it as it was kept."""
    folder = run_dir / "notebooks"
    family = _family(folder, name)
    return bool(family) and not any(_altered(folder, file) for file in family)


def altered_notebooks(run_dir: Path) -> tuple[str, ...]:
    """A sentence for each executed notebook that is missing or not as it was kept."""
    folder = run_dir / "notebooks"
    return tuple(filter(None, (_altered(folder, name) for name in _sums(folder))))


def _free_name(folder: Path, name: str, way: str) -> str:
    """The name for a notebook executed by `way`: a damaged one's first, then its own or a free."""
    known = _family(folder, name)
    for file in known:
        if _altered(folder, file):
            return file
    stem = name.removesuffix(".ipynb")
    numbered = (f"{stem}-{number}.ipynb" for number in itertools.count(2))
    return next(
        file
        for file in itertools.chain((name,), numbered)
        if file not in known or _way((folder / file).read_bytes()) == way
    )


def _family(folder: Path, name: str) -> list[str]:
    """The files that were kept of the notebook `name`, those that are missing included."""
    stem = name.removesuffix(".ipynb")
    matches = ((file, _STEM.fullmatch(file)) for file in _sums(folder))
    return [file for file, match in matches if match and match["stem"] == stem]


def _way(content: bytes) -> str:
    return str(_about(content).get("way", "headless"))


def _about(content: bytes) -> dict[str, Any]:
    try:
        about = json.loads(content)["metadata"][ABOUT]
    except (ValueError, TypeError, KeyError):
        return {}
    return about if isinstance(about, dict) else {}


def _relinked(text: str | list[str], run_dir: Path) -> str:
    """The Markdown with each link into the run folder as it leads from `notebooks/` in it."""
    inside = os.path.abspath(run_dir)  # noqa: PTH100 (links stay as they were typed)

    def lead(match: re.Match[str]) -> str:
        target = os.path.abspath(unquote(match[1]))  # noqa: PTH100
        if "://" in match[1] or not Path(target).is_relative_to(inside):
            return match[0]
        return f"]({quote(os.path.relpath(target, Path(inside, 'notebooks')))})"

    return _LINK.sub(lead, text if isinstance(text, str) else "".join(text))


def _altered(folder: Path, name: str) -> str:
    if not (folder / name).is_file():
        return f"The executed notebook notebooks/{name} is missing."
    if sha256(folder / name) != _sums(folder)[name]:
        return f"The executed notebook notebooks/{name} is not as it was kept."
    return ""


def _sums(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
