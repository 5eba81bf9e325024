"""Fleets of small databases, and what carries their orders out in this very process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from runbook.fleet.call import OpenPool, Wanted, roll_back_fleet, run_fleet
from runbook.fleet.coordinate import Choices
from runbook.fleet.databases import list_databases
from runbook.fleet.pool import Arrival, Here, Pool
from runbook.fleet.records import Order, Outcome
from runbook.fleet.store import Fleet, Member
from runbook.fleet.work import work
from runbook.terminal import Echo
from tests.support.databases import connected, execute

SCHEMA = (
    "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL, name TEXT)",
    "CREATE TABLE projects (id TEXT PRIMARY KEY, owner_id TEXT NOT NULL, title TEXT, updated_at TEXT)",
)
BLOCKED = "INSERT INTO projects VALUES ('lost', 'nobody', 'of nobody', '2026-01-01T00:00:00Z')"
"""A row whose owner does not exist: preflight blocks."""


def make_tenant(path: Path, number: int = 0) -> Path:
    """A database of two users and three rows; which ones depends on the number."""
    execute(path, *SCHEMA)
    with connected(path) as connection:
        users = [(f"u{number}-{n}", f"u{n}@t{number}.example", f"User {n}") for n in range(2)]
        connection.executemany("INSERT INTO users VALUES (?, ?, ?)", users)
        at = "2026-01-01T00:00:00Z"
        rows = [(f"p{number}-{n}", users[n % 2][0], f"Row {n}", at) for n in range(3)]
        connection.executemany("INSERT INTO projects VALUES (?, ?, ?, ?)", rows)
    return path


def make_tenants(folder: Path, count: int) -> list[Path]:
    """Databases `t01.db` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    return [make_tenant(folder / f"t{n:02d}.db", n) for n in range(1, count + 1)]


def pool_of(carry_out: Callable[[Order], Outcome] = work) -> OpenPool:
    """Opens a pool that is this process."""

    @contextlib.contextmanager
    def open_here(echo: Echo) -> Iterator[Pool]:
        yield Here(carry_out)

    return open_here


class Losing(Here):
    """A pool that loses orders, as Dask does: before or after they were carried out."""

    def __init__(self, lose: Callable[[Order], str]) -> None:
        super().__init__(work)
        self._lose = lose

    def arrivals(self, seconds: float) -> Sequence[Arrival]:
        done: list[Arrival] = []
        for order in self.open_orders():
            fate = self._lose(order)
            outcome = None if fate == "before" else work(order)
            lost = Arrival(order, None, "KilledWorker: it is gone")
            done.append(lost if fate else Arrival(order, outcome))
        self._waiting.clear()
        return done


def losing(lose: Callable[[Order], str]) -> OpenPool:
    """Opens a pool in which an order's fate is `before` or `after` its work; "": it comes back."""

    @contextlib.contextmanager
    def open_losing(echo: Echo) -> Iterator[Pool]:
        yield Losing(lose)

    return open_losing


def choices(lines: list[str] | None = None, **more: Any) -> Choices:
    """Choices without notebooks, and without questions."""
    echo = (lambda line: None) if lines is None else lines.append
    return Choices(**{"yes": True, "notebooks": False, "echo": echo, **more})


def migrate_fleet(
    tenants: Path,
    fleet_dir: Path,
    pool: OpenPool | None = None,
    wanted: dict[str, Any] | None = None,
    **more: Any,
) -> Path:
    """`runbook fleet run` over all databases in a folder."""
    entries = list_databases([str(tenants / "*.db")])
    about = Wanted(**{"entries": entries, "fleet_dir": str(fleet_dir), **(wanted or {})})
    return run_fleet(about, choices(**more), pool or pool_of())


def take_back(fleet_dir: Path, only: frozenset[str] | None = None, **more: Any) -> None:
    """`runbook fleet rollback`."""
    roll_back_fleet(fleet_dir, choices(**more), pool_of(), only=only)


def outcome_of(order: Order) -> dict[str, object]:
    """Carries it out; the state, and all that the audit says but names, times and their digests."""
    done = work(order)
    audit = json.loads((Path(order.run_dir) / "audit.json").read_text())
    script = Path(order.run_dir, "sql", "migrate.sql")
    return {
        "state": done.state,
        "error": done.error,
        # those about the disk are of another folder, and they were accepted at another time
        "hazards": [
            {**hazard, "done": ""}
            for hazard in audit["hazards"]
            if not hazard["subject"].startswith("/")
        ],
        "invariants": audit["invariants"],
        "footprint": audit["footprint"],
        "findings": audit["findings"],
        "checksum": script.read_text().split("Checksum ")[1][:64] if script.exists() else "",
    }


def members(fleet_dir: Path) -> list[Member]:
    """The databases as `fleet.db` has them."""
    with contextlib.closing(Fleet.open(fleet_dir)) as fleet:
        return list(fleet.members())


def states(fleet_dir: Path) -> list[str]:
    """The states of the databases, in their order."""
    return [member.state for member in members(fleet_dir)]


def ledger(path: Path) -> list[str]:
    """The runs that the ledger of a database holds: each migration that happened."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            return [row[0] for row in connection.execute("SELECT run FROM runbook_ledger")]
        except sqlite3.OperationalError:
            return []


def fingerprint(path: Path) -> str:
    """The bytes of a database, as one digest."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def copy_folder(source: Path, to: Path) -> Path:
    """A copy of a folder, links kept."""
    return Path(shutil.copytree(source, to, symlinks=True))


def size_of(run: Path) -> int:
    """Bytes of a run folder without its backup and its snapshots."""
    files = [p for p in run.rglob("*") if p.is_file() and "snapshots" not in p.parts]
    return sum(p.stat().st_size for p in files if p.suffix != ".db")
