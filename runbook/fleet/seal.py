"""The fleet's one seal: a Merkle root over the digests of all runs' `audit.json`.

The root stands for every record at once; the list of digests beside it names the run whose record
was altered. A leaf is bound to the database's name, so that two records cannot change places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook.errors import RunbookError, RunFolderError
from runbook.files import read_sealed, sha256, write_sealed

SEAL = "seal.json"


@dataclass(frozen=True)
class Leaf:
    """A run's record: the database's name, the run folder below the fleet's, the digest."""

    name: str
    run: str
    digest: str


@dataclass(frozen=True)
class Seal:
    """What was sealed, and the root over it."""

    root: str
    leaves: tuple[Leaf, ...]


def merkle_root(leaves: Sequence[Leaf]) -> str:
    """The root over leaves in their order, in hexadecimal; of none, the digest of nothing.

    Leaves and nodes begin with different bytes, so that a node is never taken for a leaf, and a
    node without a neighbour is carried up as it is.
    """
    level = [
        _hash(
            b"\0"
            + leaf.name.encode("utf-8", "surrogatepass")
            + b"\0"
            + leaf.run.encode()
            + b"\0"
            + leaf.digest.encode()
        )
        for leaf in leaves
    ]
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        level = [
            _hash(b"\1" + level[i] + level[i + 1]) if i + 1 < len(level) else level[i]
            for i in range(0, len(level), 2)
        ]
    return level[0].hex()


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def write_seal(folder: Path, leaves: Iterable[Leaf]) -> Seal:
    """Seals the records as they are named, and writes that down in the fleet folder.

    Raises:
        RunFolderError: it cannot be written.
    """
    kept = tuple(leaves)
    seal = Seal(merkle_root(kept), kept)
    rows: list[list[str]] = [[leaf.name, leaf.run, leaf.digest] for leaf in kept]
    data: dict[str, Any] = {"root": seal.root, "runs": rows}
    try:
        write_sealed(folder / SEAL, data)
    except OSError as error:
        raise RunFolderError(
            f"The seal cannot be written to {folder} ({error.strerror}); make room, and call "
            "`runbook fleet report` again."
        ) from error
    return seal


def read_seal(folder: Path) -> Seal:
    """The seal in a fleet folder.

    Raises:
        RunFolderError: there is none, or it was altered.
    """
    data = read_sealed(folder / SEAL)
    try:
        leaves = tuple(Leaf(*map(str, row)) for row in data["runs"])
        seal = Seal(str(data["root"]), leaves)
    except (KeyError, TypeError) as error:
        raise RunFolderError(f"{folder / SEAL} is damaged; put the original back.") from error
    if merkle_root(leaves) != seal.root:
        raise RunFolderError(
            f"{folder / SEAL} was altered: its root is not the one of its digests; put the "
            "original back."
        )
    return seal


@dataclass(frozen=True)
class Checked:
    """Whether a fleet's records are as they were sealed; `problems` is one line for each other."""

    root: str
    runs: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is as it was sealed."""
        return not self.problems


def check_fleet(folder: Path, root: str = "") -> Checked:
    """Compares every run's records with the seal.

    Args:
        folder: the fleet folder.
        root: the root as it was kept elsewhere; empty where only the folder itself is asked.

    Raises:
        RunFolderError: the seal itself is missing or was altered.
    """
    seal = read_seal(folder)
    problems = [problem for leaf in seal.leaves for problem in _altered(folder, leaf)]
    if root and root.lower() != seal.root:
        problems.insert(0, f"the seal is another one: its root is {seal.root}")
    return Checked(seal.root, len(seal.leaves), tuple(problems))


def _altered(folder: Path, leaf: Leaf) -> Iterable[str]:
    """What of a run is not as it was sealed: `audit.json` by the seal, its records by their own."""
    path = folder / leaf.run / "audit.json"
    try:
        if sha256(path) != leaf.digest:
            yield f"{leaf.name}: {leaf.run}/audit.json was altered"
    except OSError:
        yield f"{leaf.name}: {leaf.run}/audit.json is missing"
    for record in sorted((folder / leaf.run / "stages").glob("*.json")):
        try:
            read_sealed(record)
        except RunbookError:
            yield f"{leaf.name}: {leaf.run}/stages/{record.name} was altered"
