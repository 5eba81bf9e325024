"""The one place that runs wrangler.

Every call is quiet, offline unless it is `--remote`, has a private and empty HOME, and dies with
this process. Reads are tried again a few times; a write is never tried again: unless the database
itself refused it, `OutcomeUnknown` is raised and the caller has to look.

The token is handed on in the environment alone, only to `--remote` calls, and is masked in
whatever wrangler says.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt, wait_exponential

from runbook.errors import OutcomeUnknown, Refused, RunbookError, TargetError
from runbook.targets.d1.call import Ended, call_environment, run_call
from runbook.targets.d1.choose import Choice, choose
from runbook.targets.d1.config import D1Config, read_config
from runbook.targets.d1.install import Tool
from runbook.targets.d1.wrangler_output import (
    Failure,
    failure_in,
    is_from_replica,
    results_in,
    values_in,
)
from runbook.wording import counted

Row = dict[str, Any]
Kind = Literal["read", "write"]

READ_ATTEMPTS = 3
COMMAND_BYTES = 90_000
"""SQL in one remote call, where it is an argument: those end at 128 kB."""

FILE_BYTES = 2_000_000
"""SQL in one local call, where it is a file."""

EXPORT_SECONDS = 120.0
"""For the export, which is customary and not needed: the replica is the backup."""

STATEMENT_BYTES = 100_000
"""D1's limit for one statement."""

ALONE_BYTES = 16_000
"""A longer statement goes alone: wrangler splits many statements in time that grows with the
square of each, but does not split a single one."""


@dataclass(frozen=True)
class Where:
    """Where a D1 database is.

    Attributes:
        local: whether it is the local state or Cloudflare's database.
        persist_to: where local state is kept, if not beside the configuration.
        environment: the section `[env.NAME]` of the configuration, if not the top level.
    """

    local: bool
    persist_to: Path | None = None
    environment: str | None = None


@dataclass(frozen=True)
class _Limits:
    """How often a call is tried, and for how many seconds each time."""

    attempts: int
    seconds: float


class Wrangler:
    """Calls wrangler for one D1 database, local or remote."""

    def __init__(
        self,
        config: Path,
        database: str,
        where: Where,
        tool: Tool | None = None,
        timeout: float = 300.0,
    ) -> None:
        """Takes the database `database` (name or binding) of the wrangler configuration `config`.

        Args:
            config: wrangler.toml, wrangler.json or wrangler.jsonc.
            database: its `database_name` or `binding`.
            where: local or remote.
            tool: which wrangler; by default the one that `choose` finds.
            timeout: seconds after which a call is given up, and its outcome unknown.

        Raises:
            TargetError: no such database, no wrangler, or no token for a remote one.
        """
        self.config: D1Config = read_config(config, database, where.environment)
        self.local = where.local
        self.timeout = timeout
        self._persist_to = where.persist_to.resolve() if where.persist_to else None
        choice = Choice(tool) if tool else choose(self.config, self._choosing_state())
        self.tool = choice.tool
        self.own_version = choice.own
        self.calls = 0
        if not self.local and not os.environ.get("CLOUDFLARE_API_TOKEN"):
            raise TargetError(
                f"The environment variable CLOUDFLARE_API_TOKEN is needed for the remote database "
                f"{self.config.name}; set it to a token that may edit D1."
            )
        if not self.local and self.config.remote_id is None:
            raise TargetError(
                f"{self.config.path} gives no database_id for {self.config.name}; "
                "add the one that `wrangler d1 list` shows."
            )

    def _choosing_state(self) -> Path | None:
        return self.state_file if self.local else None

    @property
    def state_folder(self) -> Path:
        """Where wrangler keeps local state."""
        return self.config.state_folder(self._persist_to)

    @property
    def state_file(self) -> Path:
        """The SQLite file of the local database; it may not exist yet."""
        return self.config.state_file(self._persist_to)

    def read(self, statements: Sequence[str]) -> list[list[Row]]:
        """The rows of each of the SELECT or PRAGMA `statements`, run in as few calls as fit.

        An answer of a read replica is not taken: it may be from before the last change.
        Integers beyond 2^53 come rounded and blobs as text: have SQL turn them into text.
        Columns of the same name come once.

        Raises:
            TargetError: the database refused a statement, or cannot be reached.
        """
        rows: dict[int, list[Row]] = {}
        for batch in _batches(statements, FILE_BYTES if self.local else COMMAND_BYTES):
            ended = self._ask("\n".join(text for _, text in batch))
            answers = results_in(ended.stdout)
            if answers is None or len(answers) != len(batch):
                raise TargetError(
                    f"wrangler answered {counted(len(answers or ()), 'result')} to "
                    f"{counted(len(batch), 'statement')} on the D1 database "
                    f"{self.config.name}; see that nothing else wraps wrangler."
                )
            rows |= {number: each for (number, _), each in zip(batch, answers, strict=True)}
        return [rows[number] for number in range(len(statements))]

    def _ask(self, sql: str) -> Ended:
        """Sends SELECTs; in a file where that is answered with rows, which is only locally so."""
        if not self.local:
            return self._call("read", "reading", self._execute("--command", sql))
        with tempfile.TemporaryDirectory(prefix="runbook-d1-") as folder:
            path = Path(folder) / "select.sql"
            path.write_bytes(sql.encode())
            return self._call("read", "reading", self._execute("--file", str(path)))

    def execute(self, sql: str, doing: str) -> None:
        """Runs `sql`, statements that change the database, as one batch.

        Raises:
            Refused: the database refused a statement and rolled all back.
            OutcomeUnknown: whether it happened cannot be known from here; never simply repeat.
        """
        with tempfile.TemporaryDirectory(prefix="runbook-d1-") as folder:
            path = Path(folder) / "statements.sql"
            path.write_bytes(sql.encode())
            self.execute_file(path, doing)

    def execute_file(self, path: Path, doing: str) -> None:
        """Runs a file of statements as one atomic unit; `doing` names it in messages.

        Raises:
            Refused: the database refused a statement; everything was rolled back.
            TargetError: nothing was sent, because of the configuration or missing rights.
            OutcomeUnknown: whether it happened cannot be known from here; never simply repeat.
        """
        ended = self._call("write", doing, [*self._execute("--file", str(path.resolve())), "--yes"])
        if results_in(ended.stdout) is None:
            raise OutcomeUnknown(self._unknown(doing, "wrangler printed no result"))

    def migrations_apply(self, doing: str) -> None:
        """Applies every pending file of the migrations folder, each with its row in the ledger.

        Raises:
            Refused: the database refused a migration, and rolled it back; earlier ones stay.
            TargetError: nothing was sent, because of the configuration or missing rights.
            OutcomeUnknown: whether it happened cannot be known from here; never simply repeat.
        """
        self._call("write", doing, ["migrations", "apply", *self._which()])

    def export(self, to: Path, seconds: float = EXPORT_SECONDS) -> None:
        """Writes `wrangler d1 export`'s SQL file, the customary and lossy backup, to `to`.

        It is tried once, for at most `seconds`: at Cloudflare the database waits meanwhile.

        Raises:
            TargetError: the database cannot be exported, for example because of virtual tables.
        """
        arguments = ["export", *self._which(persist=False), "--skip-confirmation"]
        arguments += ["--output", str(to.resolve())]
        limits = _Limits(attempts=1, seconds=min(seconds, self.timeout))
        with self._export_config() as config:
            self._call("read", "exporting", arguments, limits, config)
        if not to.is_file():
            raise TargetError(f"wrangler wrote no export of {self.config.name} to {to}.")

    def time_travel_bookmark(self) -> str:
        """The remote database's present Time Travel bookmark; it moves with every write.

        Raises:
            TargetError: it cannot be had; a local database has none.
        """
        arguments = ["time-travel", "info", self.config.name, "--json"]
        ended = self._call("read", "asking for its Time Travel bookmark", arguments)
        for value in values_in(ended.stdout):
            if isinstance(value, dict) and value.get("bookmark"):
                return str(value["bookmark"])
        raise TargetError(f"wrangler gave no Time Travel bookmark of {self.config.name}.")

    def _which(self, persist: bool = True) -> list[str]:
        words = [self.config.name, "--local" if self.local else "--remote"]
        if self.local and persist and self._persist_to:
            words += ["--persist-to", str(self._persist_to)]
        return words

    def _execute(self, option: str, value: str) -> list[str]:
        # "=" keeps SQL that begins with a dash from being read as an option.
        return ["execute", *self._which(), "--json", f"{option}={value}"]

    @contextlib.contextmanager
    def _export_config(self) -> Iterator[Path]:
        """A configuration for `export`, which has no --persist-to.

        Where state is kept elsewhere, it is a copy beside a link that leads there.
        """
        if not (self.local and self._persist_to):
            yield self.config.path
            return
        with tempfile.TemporaryDirectory(prefix="runbook-d1-") as folder:
            config = Path(folder) / self.config.path.name
            config.write_bytes(self.config.path.read_bytes())
            (Path(folder) / ".wrangler").mkdir()
            (Path(folder) / ".wrangler" / "state").symlink_to(self._persist_to)
            yield config

    def _call(
        self,
        kind: Kind,
        doing: str,
        arguments: list[str],
        limits: _Limits | None = None,
        config: Path | None = None,
    ) -> Ended:
        """One `wrangler d1 ...`, repeated only if it reads; raises unless it ended well."""
        limits = limits or _Limits(READ_ATTEMPTS if kind == "read" else 1, self.timeout)
        command = [*self.tool.command, "d1", *arguments]
        command += ["--config", str(config or self.config.path)]
        if self.config.environment:
            command += ["--env", self.config.environment]

        def attempt() -> Ended:
            self.calls += 1
            return run_call(command, self.config.path.parent, self.environment, limits.seconds)

        def unclear(ended: Ended) -> bool:
            if kind == "read" and is_from_replica(ended.stdout):
                return True
            return ended.code != 0 and self._failure(ended, limits.seconds).certainty not in (
                "refused",
                "unusable",
            )

        ended = Retrying(
            retry=retry_if_result(unclear),
            stop=stop_after_attempt(limits.attempts),
            wait=wait_exponential(multiplier=0.5, exp_base=4),
            retry_error_callback=last_outcome,
        )(attempt)
        if kind == "read" and is_from_replica(ended.stdout):
            raise TargetError(
                f"Reading the D1 database {self.config.name} was answered by a read replica, which "
                "may be behind the primary; try again, or switch read replication off meanwhile."
            )
        if ended.code != 0:
            raise self._error(kind, doing, self._failure(ended, limits.seconds))
        return ended

    def environment(self, home: str) -> dict[str, str]:
        """The environment of a call, with `home` for its own."""
        return call_environment(home, local=self.local)

    def _failure(self, ended: Ended, seconds: float) -> Failure:
        if ended.code is None:
            return Failure("unknown", f"wrangler did not end within {seconds:g} s")
        if ended.code < 0:
            name = signal.Signals(-ended.code).name
            return Failure("unknown", f"wrangler was ended by {name}")
        return failure_in(ended.stdout, ended.stderr, remote=not self.local)

    def _error(self, kind: Kind, doing: str, failure: Failure) -> RunbookError:
        database = f"the D1 database {self.config.name}"
        if failure.certainty == "unusable":
            return TargetError(
                f"{database[0].upper()}{database[1:]} cannot be used ({failure.reason}); "
                "correct that and try again; nothing was changed."
            )
        if kind == "read":
            return TargetError(f"Reading {database} failed while {doing}: {failure.reason}.")
        if failure.certainty == "refused":
            return Refused(
                f"{database[0].upper()}{database[1:]} refused a statement while {doing} "
                f"({failure.reason}); that unit was rolled back."
            )
        if failure.certainty == "busy":
            return Refused(
                f"{database[0].upper()}{database[1:]} is locked by another process while {doing} "
                f"({failure.reason}); stop what uses it and try again; nothing was changed."
            )
        return OutcomeUnknown(self._unknown(doing, failure.reason))

    def _unknown(self, doing: str, reason: str) -> str:
        return (
            f"Whether {doing} happened in the D1 database {self.config.name} is unknown ({reason});"
            " do not repeat it: look at the ledger, the schema and the remaining rows first."
        )


def last_outcome(state: RetryCallState) -> Any:
    """The result of the last attempt, where there is no time for another."""
    assert state.outcome is not None
    return state.outcome.result()


def _batches(statements: Sequence[str], most: int) -> list[list[tuple[int, str]]]:
    """Statements, each with its number, in calls of at most `most` bytes; long ones go alone."""
    calls: list[list[tuple[int, str]]] = []
    shared: list[tuple[int, str]] = []
    size = 0
    for number, statement in enumerate(statements):
        # D1 asks for a final semicolon, and a comment at the end must not hide it.
        text = statement.rstrip().rstrip(";") + "\n;"
        length = len(text.encode())
        if length > min(most, STATEMENT_BYTES):
            raise TargetError(
                f"A statement of {length} bytes is too long for D1 (it begins {text[:60]!r}); "
                "a table with so many or so long column names cannot be read."
            )
        if length > ALONE_BYTES:
            calls.append([(number, text)])
            continue
        if size + length > most:
            calls.append(shared)
            shared, size = [], 0
        shared.append((number, text))
        size += length + 1
    return [*calls, shared] if shared else calls
