"""Has D1 change, in one unit or in chunks, there or back, and finds out whether it did.

Where an answer is missing, the database is looked at, never written to again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tenacity import Retrying, retry_if_not_result, stop_after_delay, wait_fixed

from runbook.errors import OutcomeUnknown, Refused, RunbookError
from runbook.files import write_durably
from runbook.progress import Progress
from runbook.run.identity import LedgerRow
from runbook.script.migration import GUARD, Script
from runbook.sqlite.connect import attach_immutable, open_immutable
from runbook.targets.d1.chunks import CHUNKS, Entry, Part, digest_of, finishing_sql, parts
from runbook.targets.d1.halfway import Halfway
from runbook.targets.d1.inspect import Inspector, Signs
from runbook.targets.d1.migration_file import file_name, file_text, noted_text
from runbook.targets.d1.notes import read_notes
from runbook.targets.d1.rollback_file import Note, rollback_text
from runbook.targets.d1.schema import read_schema
from runbook.targets.d1.wrangler import Wrangler, last_outcome

T = TypeVar("T")

REMOTE_PATIENCE = 45.0
"""Seconds in which a remote statement without an answer may still commit: D1 allows it 30."""


def same_migration(script: Script, row: LedgerRow) -> None:
    """Raises Refused unless a migration that was begun is this very one."""
    if (row.run, row.checksum) != (script.run, script.checksum):
        raise Refused(
            f'The run "{row.run}" began this migration at {row.applied_at}, and it has not ended; '
            "go on in that run's folder, with the version of the runbook that began it."
        )


class Applier:
    """Changes the database that `wrangler` is for."""

    def __init__(self, wrangler: Wrangler, file: str = "") -> None:
        """Takes the database, and the name of the migration's file, if it is not `NAME.sql`."""
        self._wrangler = wrangler
        self._folder = wrangler.config.migrations
        self._inspector = Inspector(wrangler, file)
        self._file = file

    def apply_file(self, script: Script, sent: Path) -> None:
        """Writes the migration file and has D1 run it; the file stays if it happened.

        `sent` is where the run keeps what was sent.

        What is run is that file and wrangler's note of it, as one unit. `wrangler d1 migrations
        apply` would apply every other pending file, too, and remotely it is limited to 30 seconds
        and may leave a part behind; a file that is executed is an import there, which does not.
        """
        path = self._write_file(script)
        doing = f"the migration {path.name}"
        text = file_text(script)
        write_durably(sent, text.encode())
        try:
            self._wrangler.execute(self._noted(script, text), doing)
        except OutcomeUnknown as error:
            if not self._settled(script, error):
                self._folder.remove(self._name(script))
                raise Refused(
                    f"D1 did not run {doing} (no clear answer came, and then nothing of it was "
                    "found); the database is as it was."
                ) from error
        except RunbookError:
            self._folder.remove(self._name(script))
            raise
        self._check_whole(script, doing)

    def go_on(self, script: Script, half: Halfway) -> None:
        """Has D1 run what is left of a migration of which it ran only a part, as one unit.

        Raises:
            OutcomeUnknown: it is still in between, or whether it is cannot be known.
        """
        self._write_file(script)
        doing = f"the rest of the migration {script.migration}"
        try:
            self._wrangler.execute(self._noted(script, "\n\n".join(half.rest)), doing)
        except OutcomeUnknown as error:
            if not self._settled(script, error):
                raise
        except RunbookError as error:
            raise OutcomeUnknown(
                f"D1 did not run {doing} ({str(error).rstrip('.')}), so it is still {half}; call "
                "the same command again, or take it back with `runbook rollback`."
            ) from error
        self._check_whole(script, doing)

    def _check_whole(self, script: Script, doing: str) -> None:
        signs = self._inspector.inspect(script.migration)
        if not signs.after(script.run):
            raise OutcomeUnknown(
                f"wrangler ran {doing} without an error, and yet {signs}; look at the database "
                "before anything else."
            )

    def _noted(self, script: Script, text: str) -> str:
        table = self._wrangler.config.migrations_table
        return noted_text(text, self._name(script), table)

    def begun(self, script: Script) -> LedgerRow | None:
        """The row of this very migration, if it was begun in chunks and has not ended.

        Raises:
            Refused: another run began it.
        """
        begun = self._inspector.unfinished(script.migration)
        if begun is not None:
            same_migration(script, begun)
        return begun

    def apply_chunks(self, script: Script, backup: Path, rows: int, progress: Progress) -> None:
        """Has D1 run each part that it has not run yet, and looks after each one that is unclear.

        Raises:
            OutcomeUnknown: it stopped on the way; the next start goes on there.
        """
        with contextlib.closing(open_immutable(backup)) as before:
            entry = Entry(self._wrangler.config.migrations_table, self._name(script))
            whole = parts(script, before, rows, entry) if rows else ()
        done = self._inspector.parts_done()
        if done and (not whole or done[0]["digest"] != digest_of(whole)):
            raise OutcomeUnknown(
                "The migration was begun in chunks of another size or by another version of the "
                "runbook; go on with that one, or take it back with `runbook rollback`."
            )
        for part in whole[len(done) :]:
            doing = f"part {part.number} of {len(whole)} ({part.title})"
            progress(f"Part {part.number}: {part.title}", part.number - 1, len(whole), "chunks")
            if part is whole[-1]:
                self._write_file(script)
            try:
                self._wrangler.execute(part.text, doing)
            except RunbookError as error:
                if self._part_happened(script, part, last=part is whole[-1]):
                    continue
                reason = str(error).rstrip(".")
                if part.number == 1:
                    raise Refused(
                        f"D1 did not run {doing} ({reason}), and nothing of it was found; the "
                        "database is as it was."
                    ) from error
                raise OutcomeUnknown(
                    f"The migration in chunks stopped before {doing} ({reason}); the database is "
                    "neither before nor after: call the same command again, which goes on there, "
                    "or take it back with `runbook rollback`."
                ) from error

    def take_back(
        self, script: Script, now: Path, copy: Path, keep_in: Path, rest: tuple[str, ...] = ()
    ) -> None:
        """Has D1 run the way back, and takes the migration's file out of the folder again.

        Args:
            script: the way back, as it ran on the copy.
            now: what D1 holds, with a migration that stopped looking finished.
            copy: what it will hold.
            keep_in: the backup's folder.
            rest: what a migration that stopped has left to do, which comes first.
        """
        schema = read_schema(self._wrangler.read, self._wrangler.config.migrations_table)
        unfinished = CHUNKS in {table.name for table in schema.tables}
        with contextlib.closing(open_immutable(copy)) as copies:
            attach_immutable(copies, now, "now")
            note = Note(
                self._wrangler.config.migrations_table,
                self._name(script),
                drop_table=read_notes(keep_in)["applied"] is None,
            )
            tables = [table for table in schema.tables if table.name not in (CHUNKS, GUARD)]
            first = finishing_sql(script.migration) if unfinished else rest
            text = rollback_text(script, tables, copies, note, first)
        path = keep_in / "d1_rollback.sql"
        write_durably(path, text.encode())
        try:
            self._wrangler.execute_file(path, f"the rollback of {script.migration}")
        except OutcomeUnknown as error:
            if not self._settled(script, error, undone=True):
                raise Refused(
                    "D1 did not run the rollback (no clear answer came, and then the migration "
                    "was found whole); the database is as it was."
                ) from error
        self._folder.remove(self._name(script))

    def _part_happened(self, script: Script, part: Part, last: bool) -> bool:
        """Looks until it is certain; a part that comes late cannot happen twice anyway."""

        def happened() -> bool:
            signs = self._inspector.inspect(script.migration)  # waits for whoever is still at work
            done = self._inspector.parts_done()
            return len(done) >= part.number or (last and signs.after(script.run))

        return self._poll(happened, bool)

    def _settled(self, script: Script, unknown: OutcomeUnknown, undone: bool = False) -> bool:
        """Looks until it is certain whether the migration happened (or was undone)."""

        def settled(signs: Signs) -> bool:
            return signs.before if undone else signs.after(script.run)

        signs = self._poll(lambda: self._inspector.inspect(script.migration), settled)
        if signs.before or signs.after(script.run):
            return settled(signs)
        raise OutcomeUnknown(
            f"{str(unknown).rstrip('.')}; an inspection shows that {signs}: it is in between, so "
            "call the same command again, which goes on from there, or take it back with "
            "`runbook rollback`."
        )

    def _poll(self, read: Callable[[], T], certain: Callable[[T], bool]) -> T:
        """Reads until it is certain; only a remote database gets time for what comes late."""
        retrying = Retrying(
            retry=retry_if_not_result(certain),
            stop=stop_after_delay(0 if self._wrangler.local else REMOTE_PATIENCE),
            wait=wait_fixed(5),
            retry_error_callback=last_outcome,
        )
        result: T = retrying(read)
        return result

    def _name(self, script: Script) -> str:
        """The name of the migration's file, as wrangler notes it."""
        return self._file or file_name(script.migration)

    def _write_file(self, script: Script) -> Path:
        """Writes the migration into the application's folder of migrations."""
        return self._folder.write(self._name(script), file_text(script))
