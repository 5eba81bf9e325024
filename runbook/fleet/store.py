"""The fleet's folder and its `fleet.db`, from which a second call goes on.

Only the coordinator writes it. It never decides whether a database was migrated: that stands in the
database's own ledger, and is asked again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from runbook import __version__
from runbook.errors import RunFolderError
from runbook.files import create_private, ignore_in_git
from runbook.fleet.databases import Entry
from runbook.fleet.records import Outcome, State
from runbook.run.lock import hold_lock
from runbook.run.stage import now
from runbook.targets.d1.options import D1_PREFIX
from runbook.templates import sql_file

DATABASE = "fleet.db"


@dataclass(frozen=True)
class About:
    """What the whole fleet has in common.

    `plan` is the whole path of the plan, "" for the specification's schema; `options` say how D1
    databases are reached.
    """

    name: str
    created_at: str
    version: str
    migration: str
    plan: str
    plan_digest: str
    operator: str = ""
    ticket: str = ""
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    """A database of the fleet, as `fleet.db` has it.

    `run` is its run folder, below the fleet's; `wave` is 0 for a canary, -1 where there was none.
    """

    number: int
    name: str
    database: str
    run: str
    wave: int
    state: State
    stage: str
    error: str
    seconds: float
    cpu: float
    rows: int
    bytes: int
    digest: str
    worker: str
    attempts: int
    finished_at: str


class Fleet:
    """An open fleet folder. Use `Fleet.create` or `Fleet.open`, never the constructor."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, about: About) -> None:
        self.folder = folder
        self.about = about
        self._connection = connection

    @classmethod
    def create(cls, folder: Path, about: About) -> Fleet:
        """A new fleet folder, readable by its owner alone.

        Raises:
            RunFolderError: the folder cannot be written, or holds something else.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            others = [p.name for p in folder.iterdir() if not p.name.startswith(".")]
            if others:
                raise RunFolderError(
                    f"The folder {folder} is not empty and is not a fleet folder (it holds "
                    f"{others[0]}); name a new folder with --fleet-dir."
                )
            (folder / "runs").mkdir(mode=0o700)
            ignore_in_git(folder)
            # Complete before it has its name: a kill leaves no half of it.
            scratch = folder / f".{DATABASE}.new"
            scratch.unlink(missing_ok=True)
            create_private(scratch)
            with contextlib.closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
                connection.executescript(sql_file("fleet/schema").body)
                values = {**dataclasses.asdict(about), "options": json.dumps(about.options)}
                names = ", ".join(values)
                holders = ", ".join(f":{name}" for name in values)
                connection.execute(
                    f"INSERT INTO fleet (one, {names}) VALUES (1, {holders})", values
                )
            scratch.rename(folder / DATABASE)
        except OSError as error:
            raise RunFolderError(
                f"The fleet folder {folder} cannot be written ({error.strerror}); choose another "
                "with --fleet-dir."
            ) from error
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Fleet:
        """The fleet in an existing folder.

        Raises:
            RunFolderError: there is none in it, or its `fleet.db` is damaged.
        """
        path = folder / DATABASE
        if not path.is_file():
            raise RunFolderError(
                f"{folder} is not a fleet folder (it holds no {DATABASE}); check --fleet-dir."
            )
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.row_factory = sqlite3.Row
            (row,) = connection.execute("SELECT * FROM fleet").fetchall()
            values = {key: row[key] for key in row.keys() if key != "one"}  # noqa: SIM118
            about = About(**{**values, "options": json.loads(row["options"])})
        except (sqlite3.Error, TypeError, ValueError) as error:
            connection.close()
            raise RunFolderError(
                f"{path} cannot be read ({error}); put it back, or begin a new fleet folder with "
                "the same databases, whose ledgers know what was migrated."
            ) from error
        return cls(folder, connection, about)

    def close(self) -> None:
        """Closes `fleet.db`."""
        self._connection.close()

    def locked(self) -> AbstractContextManager[None]:
        """Nobody else coordinates this fleet meanwhile.

        Raises:
            NotAllowedNow: somebody does.
        """
        return hold_lock(self.folder, "fleet")

    # -- the databases -----------------------------------------------------------------------

    def add(self, entries: Sequence[Entry]) -> int:
        """Adds the databases that the fleet does not know yet; how many there were."""
        members = list(self.members())
        known = {member.name: member.database for member in members}
        listed = {e.name: e for e in entries if not e.problem}
        better = [
            Outcome(m.number, "untouched")
            for m in members
            if m.state == "before" and not m.attempts and m.name in listed
        ]
        self.settle(better)  # what was against them when they were listed first, is no more
        fresh = [e for e in entries if known.get(e.name) != e.database]
        clash = next((e for e in fresh if e.name in known), None)
        if clash is not None:
            raise RunFolderError(
                f"{clash.name} meant {known[clash.name]} when the fleet was begun, and means "
                f"{clash.database} now; call it from the folder where the fleet was begun."
            )
        add = sql_file("fleet/add").body
        settle = sql_file("fleet/settle").body
        with self.writing():
            for number, entry in enumerate(fresh, len(members) + 1):
                row = {
                    "number": number,
                    "name": entry.name,
                    "database": entry.database,
                    "run": f"runs/{number:05d}-{_stem(entry)}",
                }
                self._connection.execute(add, row)
                if entry.problem:
                    refused = Outcome(number, "before", error=entry.problem)
                    self._connection.execute(settle, _settled(refused))
        return len(fresh)

    def members(self) -> Iterator[Member]:
        """Every database, in the order of the list."""
        for row in self._connection.execute(sql_file("fleet/rows").body).fetchall():
            yield Member(**dict(row))

    def counts(self) -> dict[State, int]:
        """How many databases are in each state that occurs."""
        return {row[0]: row[1] for row in self._connection.execute(sql_file("fleet/counts").body)}

    def begin(self, numbers: Sequence[int], wave: int | None) -> None:
        """Notes that databases are handed to workers; `wave` None leaves it as it was."""
        statement = sql_file("fleet/begin").body
        with self.writing():
            for number in numbers:
                self._connection.execute(statement, {"number": number, "wave": wave})

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Notes where databases are."""
        statement = sql_file("fleet/settle").body
        with self.writing():
            for outcome in outcomes:
                self._connection.execute(statement, _settled(outcome))

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction.

        Raises:
            RunFolderError: `fleet.db` cannot be written.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise RunFolderError(
                f"{self.folder / DATABASE} cannot be written ({error}); make room or make it "
                "writable, and call the same command again, which asks every ledger."
            ) from error


def new_about(folder: Path, plan: str, plan_digest: str, migration: str) -> About:
    """What a fleet that begins now has in common, but for who does it and how it is reached."""
    return About(
        name=folder.resolve().name,
        created_at=now(),
        version=__version__,
        migration=migration,
        plan=plan,
        plan_digest=plan_digest,
    )


def _settled(outcome: Outcome) -> dict[str, object]:
    values = dataclasses.asdict(outcome)
    values.pop("misfit")
    return {**values, "finished_at": now()}


def _stem(entry: Entry) -> str:
    """The database's name as part of a folder's name."""
    name = entry.database.removeprefix(D1_PREFIX)
    stem = Path(name).stem if not entry.database.startswith(D1_PREFIX) else name
    return re.sub(r"[^A-Za-z0-9_.-]", "_", stem)[:60].strip(".") or "database"
