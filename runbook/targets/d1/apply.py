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
from runbook.sqlite.connect import immutable_uri
from runbook.targets.d1.chunks import CHUNKS, Part, digest_of, finishing_sql, parts
from runbook.targets.d1.inspect import Looking
from runbook.targets.d1.migration_file import file_name, file_text
from runbook.targets.d1.notes import open_copy, seen_beside
from runbook.targets.d1.rollback_file import reversal_text
from runbook.targets.d1.schema import read_schema
from runbook.targets.d1.wrangler import Wrangler, last_outcome

T = TypeVar("T")

REMOTE_PATIENCE = 45.0
"""Seconds in which a remote statement without an answer may still commit: D1 allows it 30."""


class Applying:
    """Changes the database that `wrangler` is for."""

    def __init__(self, wrangler: Wrangler) -> None:
        self._wrangler = wrangler
        self._looking = Looking(wrangler)

    def apply_file(self, script: Script) -> None:
        """Writes the migration file and has wrangler apply it; the file stays if it happened."""
        path = self._write_file(script)
        doing = f"the migration {path.name}"
        try:
            self._wrangler.migrations_apply(doing)
        except OutcomeUnknown as error:
            if not self._settled(script, error):
                path.unlink(missing_ok=True)
                raise Refused(
                    f"D1 did not run {doing} (no clear answer came, and then nothing of it was "
                    "found); the database is as it was."
                ) from error
        except RunbookError:
            path.unlink(missing_ok=True)
            raise
        seen = self._looking.look(script.migration)
        if not seen.after(script.run):
            raise OutcomeUnknown(
                f"wrangler applied {doing} without an error, and yet {seen}; inspect the database "
                "before anything else."
            )

    def begun(self, script: Script) -> LedgerRow | None:
        """The row of this very migration, if it was begun in chunks and has not ended.

        Raises:
            Refused: another run began it.
        """
        begun = self._looking.unfinished(script.migration)
        if begun is not None and (begun.run, begun.checksum) != (script.run, script.checksum):
            raise Refused(
                f'The run "{begun.run}" began this migration in chunks at {begun.applied_at}; go '
                "on in that run's folder, with the version of the runbook that began it."
            )
        return begun

    def apply_chunks(self, script: Script, backup: Path, rows: int, progress: Progress) -> None:
        """Has D1 run each part that it has not run yet, and looks after each one that is unclear.

        Raises:
            OutcomeUnknown: it stopped on the way; the next start goes on there.
        """
        with contextlib.closing(open_copy(backup)) as before:
            table = self._wrangler.config.migrations_table
            made = parts(script, before, rows, table) if rows else ()
        done = self._looking.parts_done()
        if done and (not made or done[0]["digest"] != digest_of(made)):
            raise OutcomeUnknown(
                "The migration was begun in chunks of another size or by another version of the "
                "runbook; go on with that one, or take it back with `runbook rollback`."
            )
        for part in made[len(done) :]:
            doing = f"part {part.number} of {len(made)} ({part.title})"
            progress(f"Part {part.number}: {part.title}", part.number - 1, len(made))
            if part is made[-1]:
                self._write_file(script)
            try:
                self._wrangler.execute(part.text, doing)
            except RunbookError as error:
                if self._part_happened(script, part, last=part is made[-1]):
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

    def take_back(self, script: Script, now: Path, copy: Path, keep_in: Path) -> None:
        """Has D1 run the way back, and takes the migration's file out of the folder again."""
        schema = read_schema(self._wrangler.read, self._wrangler.config.migrations_table)
        unfinished = CHUNKS in {table.name for table in schema.tables}
        with contextlib.closing(open_copy(copy)) as copies:
            copies.execute("ATTACH ? AS now", (immutable_uri(now),))
            text = reversal_text(
                script,
                [table for table in schema.tables if table.name not in (CHUNKS, GUARD)],
                copies,
                self._wrangler.config.migrations_table,
                drop_table=seen_beside(keep_in)["applied"] is None,
                first=finishing_sql(script.migration) if unfinished else (),
            )
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
        (self._wrangler.config.migrations_dir / file_name(script.migration)).unlink(missing_ok=True)

    def _part_happened(self, script: Script, part: Part, last: bool) -> bool:
        """Looks until it is certain; a part that comes late cannot happen twice anyway."""

        def happened() -> bool:
            seen = self._looking.look(script.migration)  # waits for whoever is still at work
            done = self._looking.parts_done()
            return len(done) >= part.number or (last and seen.after(script.run))

        return self._poll(happened, bool)

    def _settled(self, script: Script, unknown: OutcomeUnknown, undone: bool = False) -> bool:
        """Looks until it is certain whether the migration happened (or was undone)."""
        seen = self._poll(
            lambda: self._looking.look(script.migration),
            lambda seen: seen.before if undone else seen.after(script.run),
        )
        if seen.before or seen.after(script.run):
            return seen.before if undone else seen.after(script.run)
        raise OutcomeUnknown(f"{str(unknown).rstrip('.')}; a look shows that {seen}.")

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

    def _write_file(self, script: Script) -> Path:
        """Writes the migration into the application's folder of migrations."""
        path = self._wrangler.config.migrations_dir / file_name(script.migration)
        text = file_text(script)
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise Refused(
                f"The file {path} is not the one that would be applied; move it away; the "
                "database was not touched."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, text.encode())
        return path
