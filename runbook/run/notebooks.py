"""The executed notebooks in a run folder: kept whole or not at all, each with its checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path

from runbook.files import sha256, write_durably
from runbook.resources import resource_folder

NOTEBOOKS = resource_folder("notebooks")
"""The notebooks as they come, one for each stage."""

SUMS = "SHA256SUMS"
"""The file of checksums, in the form that `sha256sum -c` reads."""


def keep_notebook(run_dir: Path, name: str, content: bytes) -> None:
    """Puts an executed notebook into the run folder, whole or not at all, with its checksum."""
    folder = run_dir / "notebooks"
    write_durably(folder / name, content)
    sums = {**_sums(folder), name: hashlib.sha256(content).hexdigest()}
    lines = "".join(f"{digest}  {file}\n" for file, digest in sorted(sums.items()))
    write_durably(folder / SUMS, lines.encode())


def has_notebook(run_dir: Path, name: str) -> bool:
    """Whether the executed notebook is there as it was kept."""
    folder = run_dir / "notebooks"
    return name in _sums(folder) and not _altered(folder, name)


def altered_notebooks(run_dir: Path) -> tuple[str, ...]:
    """A sentence for each executed notebook that is missing or not as it was kept."""
    folder = run_dir / "notebooks"
    return tuple(filter(None, (_altered(folder, name) for name in _sums(folder))))


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
